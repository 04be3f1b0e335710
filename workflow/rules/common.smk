"""What all rules share: every path pattern, and what jobs ask for."""

CORPUS = config["corpus"]
SHARDS = shard_names(config["shards"])
RUN = "{protocol}/{model}/seed{seed}/fold{fold}"


wildcard_constraints:
    shard=r"s\d+",
    seed=r"\d+",
    fold=r"\d+",
    model="|".join(MODELS),
    protocol=r"[a-z-]+",
    selection="|".join(["all", *PROTOCOLS]),


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
            "functionals": "functionals/{shard}.parquet",
            "mel": "mel/{shard}.npy",
            "mel_index": "mel/{shard}.parquet",
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
            "figures": "report/figures",
            "curves": f"report/figures/{RUN}/curves.png",
            "confusion": f"report/figures/{RUN}/confusion.png",
            "drawn_clips": "report/figures/clips.json",
            "evaluation": "report/{selection}/evaluation.json",
            "provenance": "report/{selection}/provenance.json",
            "comparison": "report/{selection}/comparison.csv",
            "chart": "report/{selection}/comparison.png",
            "reliability": "report/{selection}/reliability.png",
            "risk_coverage": "report/{selection}/risk_coverage.png",
            "leakage": "report/{selection}/leakage.png",
            "mistakes": "report/{selection}/mistakes.json",
            "drawn_mistakes": "report/{selection}/mistakes",
            "report": "report/{selection}/index.html",
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


def shard_number(wildcards):
    return int(wildcards.shard[1:])


def memory(base, per_input=0):
    """Ask for base MB and a multiple of the input's size, and for more with each attempt."""
    return lambda wildcards, input, attempt: attempt * int(base + per_input * input.size_mb)


def minutes(base):
    """Ask for a time limit, and for more with each attempt."""
    return lambda wildcards, attempt: attempt * base


def target_length(wildcards):
    """Give target.json once it is known to be up to date, so that staleness is then judged by its content.

    All steps up to the features ask for it, even those that do not read it, since Snakemake judges anew
    those jobs that depend on a checkpoint themselves, and no others.
    """
    return checkpoints.measure_length.get().output.target


def brought_with_recordings():
    """Give the metadata tables that are fetched, or unpacked, with the recordings."""
    return [str(path) for path in SOURCE.metadata.values() if SOURCE.coming and SOURCE.folder.parent in path.parents]


def features_of(wildcards):
    """Give the feature shards that a model reads, with their index tables."""
    return collect(getattr(paths, MODELS[wildcards.model].features), shard=SHARDS)
