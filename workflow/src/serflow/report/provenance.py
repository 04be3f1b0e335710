"""Where results come from: code, settings, packages, data, machine and time."""

import csv
import hashlib
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from serflow import __version__
from serflow.storage import read_json, read_table, write_json

_PACKAGES = ("numpy", "scipy", "scikit-learn", "tensorflow-cpu", "tensorflow", "keras", "soundfile", "soxr", "pyarrow")
_PACKAGES += ("matplotlib", "altair", "vl-convert-python", "Jinja2", "snakemake")
_ROOT = Path(__file__).resolve().parents[4]


def record_provenance(
    runs: Sequence[Path],
    *,
    clips: Path,
    splits: Sequence[Path],
    benchmarks: Path,
    config: Mapping,
    output: Path,
) -> None:
    """Write ``provenance.json``.

    Parameters
    ----------
    runs
        ``metrics.json`` of the runs that are reported on.
    clips
        The catalogue.
    splits
        The split tables of the runs' protocols.
    benchmarks
        The folder in which Snakemake notes the seconds of each job.
    config
        The configuration.
    output
        Digests are sha256: of the corpus over the names and digests of its recordings, of a split over its
        file. A job that was not run again keeps the seconds of when it was.
    """
    rows = read_table(clips, ["clip", "sha256"]).to_pylist()
    corpus = hashlib.sha256("".join(f"{row['clip']} {row['sha256']}\n" for row in rows).encode()).hexdigest()
    write_json(
        output,
        {
            "serflow": {"version": __version__, **_commit()},
            "settings": dict(config),
            "python": platform.python_version(),
            "packages": {name: version for name in _PACKAGES if (version := _version(name))},
            "corpus": {"name": config["corpus"], "clips": len(rows), "sha256": corpus},
            "splits": {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in splits},
            "runs": [{key: read_json(path)[key] for key in ("protocol", "model", "seed", "fold")} for path in runs],
            "hardware": _hardware(),
            "seconds": _seconds(benchmarks),
        },
    )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> dict:
    """Give the commit of the folder that the code is in, and whether files there differ from it; else None."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(_ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != _ROOT:
            return {"commit": None, "changed": None}
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "changed": None}


def _hardware() -> dict:
    memory = None
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "machine": platform.machine(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": memory,
    }


def _processor() -> str | None:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or None


def _seconds(benchmarks: Path) -> dict[str, float]:
    """Add up the seconds of each rule's jobs; selections' own jobs count to their rule."""
    seconds: dict[str, float] = {}
    for path in sorted(benchmarks.rglob("*.tsv")):
        below = path.relative_to(benchmarks).with_suffix("").parts
        # {rule}, {rule}/{shard}, {rule}/{run}, or {selection}/{rule}
        rule = next((part for part in below if "_" in part), below[0])
        with path.open(newline="") as file:
            seconds[rule] = seconds.get(rule, 0.0) + sum(
                float(row["s"]) for row in csv.DictReader(file, delimiter="\t")
            )
    return dict(sorted(seconds.items()))
