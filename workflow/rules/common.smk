"""What all rules share: the checked configuration, the corpus, the runs, every path pattern, and helper functions."""

import json
import os
import re
import shlex
import sys
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

from serflow.inference.recordings import recording_digests
from serflow.cli import function_of
from serflow.configuration import configure, runs_on
from serflow.corpus.formats import CREMA_D, FORMATS
from serflow.corpus.shards import shard_names
from serflow.corpus.source import FETCHED_FOLDER, SAMPLE, SAMPLE_FOLDER, open_corpus
from serflow.features import KINDS, kind_settings, lineage
from serflow.features.frame_features import modules_of as modules_of_frame_features
from serflow.models.named import named_models, training_settings
from serflow.runtime.errors import UserError
from serflow.runtime.fingerprint import digest_of, fingerprint
from serflow.runtime.locking import LOCK_VARIABLE, hold_lock
from serflow.runtime.slurm import prepare_cluster
from serflow.splits import PROTOCOLS, count_folds
from serflow.storage import tidy


def stop(error):
    """Print a user error in one line, without a traceback, and exit."""
    print(f"serflow: {error}", file=sys.stderr)
    sys.exit(1)


# The path may contain anything. Snakemake reads a brace as its own unless it is doubled.
PACKAGE = shlex.quote(f"{BASE}/workflow/src").replace("{", "{{").replace("}", "}}")
shell.prefix(f"export PYTHONPATH={PACKAGE}" '"${{PYTHONPATH:+:$PYTHONPATH}}"; ')

# ---- Configuration, corpus and runs ------------------------------------------------------------------------------

Run = namedtuple("Run", "protocol model seed fold")
try:
    config = configure(config, Path(BASE), workflow.configfiles)
    CORPUS = config["corpus"]
    MODELS = named_models(config["models"])
    DATA = open_corpus(config, Path("results", CORPUS), list_anew=workflow.is_main_process)
    TO_LABEL = recording_digests(config["input"], config["shards"])
    for path in filter(None, (DATA.archive, *DATA.metadata.values(), config["split"]["table"], config["bundle"])):
        if re.search(r"[{}]|<\w+>", str(path)):
            raise UserError(f"{path}: Snakemake reads braces, and words in <>, as its own; rename the folder or file")
    FOLDS = {
        run["protocol"]: count_folds(run["protocol"], DATA.speakers, DATA.formats, config["split"]["table"])
        for run in runs_on(config, DATA.formats)
    }
    RUNS = [
        Run(run["protocol"], model, seed, fold)
        for run in runs_on(config, DATA.formats)
        for model in run["models"]
        for seed in run["seeds"]
        for fold in range(FOLDS[run["protocol"]])
    ]
except UserError as error:
    stop(error)

SHARDS = shard_names(config["shards"])
PROTOCOL_MODULES = [PROTOCOLS[name].module for name in FOLDS]
FORMAT_MODULES = [FORMATS[name].module for name in sorted(set(DATA.formats.values()))]
USED_KINDS = sorted({kind for run in RUNS for kind in lineage(MODELS[run.model].features)})
RUN = "{protocol}/{model}/seed{seed}/fold{fold}"
SELECTIONS = ["all", *dict.fromkeys(run.protocol for run in RUNS)]

# ---- Paths -------------------------------------------------------------------------------------------------------


wildcard_constraints:
    shard=r"s\d+",
    seed=r"\d+",
    fold=r"\d+",
    model="|".join(map(re.escape, MODELS)),
    protocol="|".join(PROTOCOLS),
    selection="|".join(["all", *PROTOCOLS]),


PATTERNS = {
    "listing": "listing/{shard}.parquet",
    "plan": "plan/{shard}.parquet",
    "recordings": "recordings/{shard}.npy",
    "recordings_index": "recordings/{shard}.parquet",
    "clips": "catalog/clips.parquet",
    "excluded": "catalog/excluded.tsv",
    "flagged": "catalog/flagged.tsv",
    "audit": "catalog/audit.json",
    "split": "splits/{protocol}.parquet",
    "augmented": "augmented/{shard}.npy",
    "augmented_index": "augmented/{shard}.parquet",
    "length": "length.json",
    "target": "target.json",
    "fixed": "fixed/{shard}.npy",
    "fixed_index": "fixed/{shard}.parquet",
    "model": f"models/{RUN}/model.keras",
    "history": f"models/{RUN}/history.csv",
    "layers": f"models/{RUN}/model.txt",
    "training": f"models/{RUN}/training.json",
    "predictions": f"models/{RUN}/predictions.parquet",
    "metrics": f"models/{RUN}/metrics.json",
    "bundle": f"bundles/{RUN}.zip",
    "labelled": "predicted/{shard}.parquet",
    "timeline": "predicted/timeline/{shard}.parquet",
    "all_labels": "predicted/recordings.csv",
    "whole_timeline": "predicted/timeline.csv",
    "curves": f"report/figures/{RUN}/curves.png",
    "confusion": f"report/figures/{RUN}/confusion.png",
    "shown_clips": "report/figures/clips.json",
    "evaluation": "report/{selection}/evaluation.json",
    "provenance": "report/{selection}/provenance.json",
    "comparison": "report/{selection}/comparison.csv",
    "chart": "report/{selection}/comparison.png",
    "reliability": "report/{selection}/reliability.png",
    "risk_coverage": "report/{selection}/risk_coverage.png",
    "leakage": "report/{selection}/leakage.png",
    "mistakes": "report/{selection}/mistakes.json",
    "shown_mistakes": "report/{selection}/mistakes",
    "report": "report/{selection}/index.html",
}
paths = SimpleNamespace(**{name: f"results/{CORPUS}/{pattern}" for name, pattern in PATTERNS.items()})


def log_of(rule, *wildcards):
    """Return the log of a rule's jobs."""
    return str(Path("results", CORPUS, "logs", rule, *wildcards)) + ".log"


def benchmark_of(rule, *wildcards):
    """Return the file for seconds and memory of a rule's jobs."""
    return str(Path("results", CORPUS, "benchmarks", rule, *wildcards)) + ".tsv"


def feature_path(kind):
    """Return the path pattern of a kind's features."""
    return f"results/{CORPUS}/{kind}/{{shard}}.{KINDS[kind].writes}"


def feature_index(kind):
    """Return the path pattern of the names of an array's clips; a table has them itself."""
    return f"results/{CORPUS}/{kind}/{{shard}}.parquet" if KINDS[kind].writes == "npy" else []


def feature_shards(wildcards):
    """Return the features that a model reads."""
    return collect(feature_path(MODELS[wildcards.model].features), shard=SHARDS)


def feature_indices(wildcards):
    """Return the indices of the features that a model reads, if they are arrays."""
    index = feature_index(MODELS[wildcards.model].features)
    return collect(index, shard=SHARDS) if index else []


def at(pattern, run):
    """Fill a run into a path pattern."""
    return pattern.format(**run._asdict())


def selected_runs(wildcards):
    """Return the configured runs of a selection: those of a protocol, or all."""
    return [run for run in RUNS if wildcards.selection in ("all", run.protocol)]


def of_runs(pattern):
    """Return an input function that fills the runs of a selection into a path pattern."""
    return lambda wildcards: [at(pattern, run) for run in selected_runs(wildcards)]


def configured(pattern):
    """Return an input function for a file of a run that refuses runs that are not configured."""

    def path(wildcards):
        if Run(wildcards.protocol, wildcards.model, int(wildcards.seed), int(wildcards.fold)) not in RUNS:
            folds = FOLDS.get(wildcards.protocol, 0)
            stop(
                UserError(
                    f"{RUN.format(**wildcards)} is not a configured run: runs has {len(RUNS)} of them, and "
                    f"{wildcards.protocol} has {folds} folds here"
                )
            )
        return pattern.format(**wildcards)

    return path


CLIP_FIGURES, CLIP_RECORDINGS = (
    [f"results/{CORPUS}/report/figures/clip{number:02d}.{suffix}" for number in range(config["report"]["clips"])]
    for suffix in ("png", "wav")
)


def refuse_protocol(protocol):
    """Print why a protocol has no report."""
    try:
        count_folds(protocol, DATA.speakers, DATA.formats, config["split"]["table"])
        raise UserError(f"no configured run has the protocol {protocol}; add it to runs")
    except UserError as error:
        stop(error)


def report_on(selection):
    """Return the tables, charts and pages of a selection."""
    if selection not in SELECTIONS:
        return lambda wildcards: refuse_protocol(selection)
    patterns = (paths.provenance, paths.comparison, paths.chart, paths.evaluation, paths.report)
    patterns += (paths.reliability, paths.risk_coverage, paths.leakage)
    runs = [run for run in RUNS if selection in ("all", run.protocol)]
    return [
        *collect(patterns, selection=selection),
        *(at(path, run) for run in runs for path in (paths.curves, paths.confusion)),
    ]


def architecture_of(wildcards):
    """Return the name of the architecture of a model."""
    return MODELS[wildcards.model].architecture.name


def bundle_to_use(wildcards):
    """Return the configured bundle, or that of the first run that is not leaky."""
    if not config["input"]:
        stop(UserError("config: input is null, but predict needs recordings, e.g. --config input=/data/wavs"))
    honest = [run for run in RUNS if not PROTOCOLS[run.protocol].leaky]
    return config["bundle"] or at(paths.bundle, [*honest, *RUNS][0])


# ---- Resources and parameters ------------------------------------------------------------------------------------


def shard_number(wildcards):
    return int(wildcards.shard[1:])


def memory(base, per_input=0, of=None):
    """Ask for ``base`` MB and a multiple of the size of the inputs (or those named ``of``), and more each attempt."""

    def megabytes(wildcards, input, attempt):
        size = sum(Path(path).stat().st_size for path in input[of]) / 1e6 if of else input.size_mb
        return attempt * int(base + per_input * size)

    return megabytes


def minutes(base):
    """Ask for a time limit, and for more with each attempt."""
    return lambda wildcards, attempt: attempt * base


def code_of(rule, *modules):
    """Return the fingerprint of the function behind a rule, and of the plug-ins that it uses."""
    return fingerprint(function_of(rule), *modules)


def modules_of_features(kind):
    """Return the modules that compute the features of a kind."""
    modules = [KINDS[name].module for name in lineage(kind)]
    return modules + (modules_of_frame_features(config["frames"]["features"]) if "frames" in lineage(kind) else [])


def target_length(wildcards):
    """Return target.json once it is known to be up to date, so that staleness is judged by its content.

    All steps up to the features ask for it, also those that do not read it, since Snakemake judges only those jobs
    anew that depend on a checkpoint themselves.
    """
    return checkpoints.measure_length.get().output.target


# ---- Before the first job ----------------------------------------------------------------------------------------


onstart:
    begin()


def begin():
    """Keep two runs from writing to the same results, and prepare a cluster, before the first job starts.

    Steps on this machine end with the run. On a cluster the next run cancels what is left.
    """
    lock = Path("results/.lock")
    try:
        if workflow.is_main_process:
            hold_lock(lock)
            for note in DATA.notes:
                print(f"serflow: {note}", file=sys.stderr)
            if workflow.executor_plugin.name == "slurm":
                prepare_cluster(Path(".snakemake/log"))
            else:
                os.environ[LOCK_VARIABLE] = str(lock.resolve())
            for folder in ("results", *([DATA.folder.parent] if DATA.made else [])):
                tidy(folder)
    except UserError as error:
        stop(error)
