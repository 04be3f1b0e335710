"""Checks and cleaning up on a SLURM cluster before a run starts."""

import os
import re
import subprocess
import time
from pathlib import Path

from serflow.runtime.errors import UserError


def prepare_cluster(logs: Path) -> None:
    """Check the partition, and cancel jobs that a killed run has left in the queue.

    Parameters
    ----------
    logs
        Snakemake's log folder, whose files name the runs of this folder.

    Raises
    ------
    UserError
        If ``SBATCH_PARTITION`` is not a partition of the cluster.
    """
    partition = os.environ.get("SBATCH_PARTITION")
    if partition:
        known = _words("sinfo", "--noheader", "--all", "--format=%R")
        if known and partition not in known:
            raise UserError(f"SBATCH_PARTITION: the cluster has no partition {partition!r}; it has {', '.join(known)}")
    cancelled = cancel_orphans(logs)
    if cancelled:
        print(f"serflow: cancelled {cancelled} jobs that a killed run had left in the queue", flush=True)


def cancel_orphans(logs: Path) -> int:
    """Cancel jobs of this folder's latest runs and return their number.

    The caller holds the lock of the folder, so the runs that submitted these jobs have ended. The jobs would write the
    same files as this run.

    Parameters
    ----------
    logs
        Snakemake's log folder.
    """
    newest = sorted(logs.glob("*.log"), key=lambda path: path.stat().st_mtime)[-10:]
    runs = {run for path in newest for run in re.findall(r"SLURM run ID: (\S+)", path.read_text(errors="replace"))}
    if not runs:
        return 0
    query = ("squeue", "--noheader", "--format=%A", f"--name={','.join(sorted(runs))}")
    jobs = _words(*query)
    if jobs:
        # Those in the queue first, so that none starts in place of those that end.
        subprocess.run(["scancel", "--state=PENDING", *jobs], check=False)
        # A job that is cancelled while it runs deletes its outputs, also complete ones that this run needs. Unlike
        # KILL, with which scancel cancels a job, USR1 ends the processes at once.
        subprocess.run(["scancel", "--full", "--state=RUNNING", "--signal=USR1", *jobs], check=False)
        end = time.monotonic() + 30
        while (left := _words(*query)) and time.monotonic() < end:
            time.sleep(1)
        if left:
            subprocess.run(["scancel", *left], check=False)
    return len(jobs)


def _words(*command: str) -> list[str]:
    """Return the words that a SLURM command prints; none if it fails, which Snakemake's plug-in then reports."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return sorted(set(done.stdout.split())) if done.returncode == 0 else []
