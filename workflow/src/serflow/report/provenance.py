"""Where results come from: code, settings, packages, data, machine and computing time."""

import csv
import hashlib
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from serflow.evaluation.predictions import key_of
from serflow.runtime.provenance import describe_code, describe_hardware, describe_packages
from serflow.storage import read_json, read_table, write_json

ENCODER = ("name", "source", "source_sha256", "sha256", "licence")


def record_provenance(
    metrics: Sequence[Path],
    *,
    clips: Path,
    splits: Sequence[Path],
    encoders: Sequence[Path],
    benchmarks: Path,
    stages: Mapping[str, str],
    config: Mapping,
    output: Path,
) -> None:
    """Write what the results were made of and with.

    Parameters
    ----------
    metrics
        ``metrics.json`` of the runs in the report.
    clips
        The catalogue.
    splits
        The split tables of the runs' protocols.
    encoders
        Descriptions of the encoders that models read embeddings of.
    benchmarks
        Folder in which Snakemake records the seconds of each job. A job that is not run again keeps its seconds.
    stages
        Rule → the stage of the work that it belongs to, in the order of the work.
    config
        The configuration.
    output
        ``provenance.json`` to write. Digests are sha256: of the corpus over the names and digests of its recordings,
        of a split over its file.
    """
    rows = read_table(clips, ["clip", "sha256"]).to_pylist()
    corpus = hashlib.sha256("".join(f"{row['clip']} {row['sha256']}\n" for row in rows).encode()).hexdigest()
    runs, seconds = [read_json(path) for path in metrics], seconds_by_rule(benchmarks)
    write_json(
        output,
        {
            "serflow": describe_code(),
            "settings": dict(config),
            "python": platform.python_version(),
            "packages": describe_packages(),
            "corpus": {"name": config["corpus"], "clips": len(rows), "sha256": corpus},
            "splits": {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in splits},
            "encoders": [{key: read_json(path)[key] for key in ENCODER} for path in encoders],
            "runs": [key_of(run)._asdict() | {"fold": run["fold"]} for run in runs],
            "hardware": describe_hardware(),
            "seconds": seconds,
            "stages": {
                stage: [rule for rule in seconds if stages.get(rule) == stage]
                for stage in dict.fromkeys(stages.values())
            },
        },
    )


def seconds_by_rule(benchmarks: Path) -> dict[str, float]:
    """Return the seconds of all jobs of each rule."""
    seconds: Counter[str] = Counter()
    for path in sorted(benchmarks.rglob("*.tsv")):
        # benchmarks/{rule}.tsv, or in a folder: benchmarks/{rule}/…
        rule = path.relative_to(benchmarks).with_suffix("").parts[0]
        with path.open(newline="") as file:
            seconds[rule] += sum(float(row["s"]) for row in csv.DictReader(file, delimiter="\t"))
    return dict(sorted(seconds.items()))
