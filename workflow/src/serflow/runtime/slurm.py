"""What is checked and mended on a SLURM cluster before a run begins."""

import os
import re
import subprocess
from pathlib import Path

from serflow.runtime.errors import UserError


def prepare_cluster(logs: Path) -> None:
    """Check the partition, and cancel what a killed run has left in the queue.

    Parameters
    ----------
    logs
        Snakemake's folder of logs, which name the runs of this folder.

    Raises
    ------
    UserError
        If ``SBATCH_PARTITION`` names no partition of the cluster.
    """
    partition = os.environ.get("SBATCH_PARTITION")
    if partition:
        known = _lines("sinfo", "--noheader", "--all", "--format=%R")
        if known and partition not in known:
            raise UserError(f"SBATCH_PARTITION: the cluster has no partition {partition!r}; it has {', '.join(known)}")
    left = cancel_orphans(logs)
    if left:
        print(f"serflow: cancelled {left} jobs that a killed run had left in the queue", flush=True)


def cancel_orphans(logs: Path) -> int:
    """Cancel the jobs of this folder's latest runs, whose controller is gone.

    Whoever calls this holds the folder's lock, so no other controller waits for them. They would write the
    files that this run is about to make as well.

    Parameters
    ----------
    logs
        Snakemake's folder of logs.

    Returns
    -------
    int
        How many jobs were cancelled.
    """
    newest = sorted(logs.glob("*.log"), key=lambda path: path.stat().st_mtime)[-10:]
    runs = {run for path in newest for run in re.findall(r"SLURM run ID: (\S+)", path.read_text(errors="replace"))}
    if not runs:
        return 0
    jobs = _lines("squeue", "--noheader", "--format=%A", f"--name={','.join(sorted(runs))}")
    if jobs:
        subprocess.run(["scancel", *jobs], check=False)
    return len(jobs)


def _lines(*command: str) -> list[str]:
    """Give the lines that a command of SLURM prints; none where it cannot answer, which the plugin then reports."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return sorted(set(done.stdout.split())) if done.returncode == 0 else []
