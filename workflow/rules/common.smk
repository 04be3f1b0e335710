"""What all rules share: the checked configuration, the corpus, the runs, and every path pattern."""

import json
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

from serflow.corpus.grammar import shard_names
from serflow.corpus.sources import open_source
from serflow.corpus.splits import folds_of
from serflow.errors import UserError
from serflow.fingerprint import fingerprint
from serflow.locking import hold_lock
from serflow.models.registry import MODELS
from serflow.settings import check_settings, read_scalars
from serflow.slurm import prepare_cluster


def stop(error):
    """Tell a user's mistake in one line, without Snakemake's account of where in this file it was noticed."""
    print(f"serflow: {error}", file=sys.stderr)
    sys.exit(1)


def begin():
    """Keep two runs from writing to the same results, and look after a cluster, before the first job starts."""
    try:
        if workflow.is_main_process:
            hold_lock("results/.lock")
            if workflow.executor_plugin.name == "slurm":
                prepare_cluster(Path(".snakemake/log"))
    except UserError as error:
        stop(error)


config.update(read_scalars(config))
try:
    check_settings(config, Path(workflow.basedir, "workflow/schemas/config.schema.yaml"))
    SOURCE = open_source(config)
    Run = namedtuple("Run", "protocol model seed fold")
    RUNS = [
        Run(run["protocol"], model, seed, fold)
        for run in config["runs"]
        for model in run["models"]
        for seed in run["seeds"]
        for fold in range(folds_of(run["protocol"], SOURCE.actors))
    ]
except UserError as error:
    stop(error)

CORPUS = config["corpus"]
SHARDS = shard_names(config["shards"])
RUN = "{protocol}/{model}/seed{seed}/fold{fold}"


wildcard_constraints:
    shard=r"s\d+",
    seed=r"\d+",
    fold=r"\d+",
    model="|".join(MODELS),
    protocol=r"[a-z-]+",


paths = SimpleNamespace(
    **{
        name: f"results/{CORPUS}/{pattern}"
        for name, pattern in {
            "scan": "scan/{shard}.parquet",
            "clips": "catalog/clips.parquet",
            "excluded": "catalog/excluded.tsv",
            "audit": "catalog/audit.json",
            "copies": "catalog/copies.parquet",
            "split": "splits/{protocol}.parquet",
            "augmented": "augmented/{shard}.npy",
            "augmented_index": "augmented/{shard}.parquet",
            "length": "length.json",
            "target": "target.json",
            "fixed": "fixed/{shard}.npy",
            "fixed_index": "fixed/{shard}.parquet",
            "frames": "frames/{shard}.parquet",
            "mel": "mel/{shard}.npy",
            "mel_index": "mel/{shard}.parquet",
            "model": f"models/{RUN}/model.keras",
            "history": f"models/{RUN}/history.csv",
            "layers": f"models/{RUN}/model.txt",
            "training": f"models/{RUN}/training.json",
            "predictions": f"models/{RUN}/predictions.parquet",
            "metrics": f"models/{RUN}/metrics.json",
            "figures": "report/figures",
            "curves": f"report/figures/{RUN}/curves.png",
            "confusion": f"report/figures/{RUN}/confusion.png",
            "drawn_clips": "report/figures/clips.json",
            "drawn_mels": "report/figures/spectrograms.json",
            "comparison": "report/comparison.csv",
            "chart": "report/comparison.png",
            "report": "report/index.html",
        }.items()
    }
)


def log_of(rule, *wildcards):
    """Give the log of a rule's jobs."""
    return str(Path("results", CORPUS, "logs", rule, *wildcards)) + ".log"


def benchmark_of(rule, *wildcards):
    """Give the file for the seconds and memory of a rule's jobs."""
    return str(Path("results", CORPUS, "benchmarks", rule, *wildcards)) + ".tsv"


def at(pattern, run):
    """Fill a run into a path pattern."""
    return pattern.format(**run._asdict())


def runs_of(protocol):
    """Give the configured runs of a protocol."""
    return [run for run in RUNS if run.protocol == protocol]


def shard_number(wildcards):
    return int(wildcards.shard[1:])


def memory(base, per_input=0):
    """Ask for base MB and a multiple of the input's size, and for more with each attempt."""
    return lambda wildcards, input, attempt: attempt * int(base + per_input * input.size_mb)


def minutes(base):
    """Ask for a time limit, and for more with each attempt."""
    return lambda wildcards, attempt: attempt * base


def training_settings(model):
    """Give a model's settings, within the bounds that the sample sets to be done in minutes."""
    settings = dict(config["models"][model])
    if SOURCE.made:
        bounds = config["sample"]
        settings["epochs"] = min(settings["epochs"], bounds["epochs"] or settings["epochs"])
        settings["batch_size"] = bounds["batch_size"] or settings["batch_size"]
    return json.dumps(settings)


def target_length(wildcards):
    """Give target.json once it is known to be up to date, so that staleness is then judged by its content.

    All steps up to the features ask for it, even those that do not read it, since Snakemake judges anew
    those jobs that depend on a checkpoint themselves, and no others.
    """
    return checkpoints.measure_length.get().output.target


def features_of(wildcards):
    """Give the feature shards that a model reads, with their index tables."""
    if MODELS[wildcards.model].features == "frames":
        return collect(paths.frames, shard=SHARDS)
    return collect(paths.mel, shard=SHARDS)
