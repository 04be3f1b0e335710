"""One run at a time per folder, and no job that outlives the run that started it.

Snakemake's own lock is a file that a killed run leaves behind and the next run must be told to remove. The lock here
belongs to a process and is released when the process ends, however it ends.
"""

import fcntl
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from serflow.runtime.errors import UserError

LOCK_VARIABLE = "SERFLOW_LOCK"  # environment variable with the lock of the run that started a job
# Just after a run was killed, its lock may still be held by jobs that are ending and programs that are starting.
PATIENCE = 2.0  # seconds
_held: list = []  # an open file keeps its lock until the process ends


def hold_lock(path: str | Path) -> None:
    """Take a lock and hold it until this process ends.

    Parameters
    ----------
    path
        File of the lock; it names the process that holds it. On a shared disk the lock also works between machines.

    Raises
    ------
    UserError
        If another process holds the lock for longer than :data:`PATIENCE`, or the file cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); results need a folder to write to") from error
    until = time.monotonic() + PATIENCE
    while not _lock(file):
        if time.monotonic() > until:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise UserError(f"another run is using this folder ({holder}); wait for it to end, or stop it")
        time.sleep(0.05)
    _held.append(file)
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    try:
        file.flush()
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); make room, then run again") from error


def _lock(file) -> bool:
    """Try to lock an open file for this process; return whether it worked."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def end_with_run(path: str | Path) -> None:
    """Kill this process when the lock of its run is released: the next run makes the same files again.

    A run that is killed cannot stop its jobs, which would go on writing where the next run writes.

    Parameters
    ----------
    path
        File of the lock.
    """
    try:
        file = Path(path).open()  # noqa: SIM115 - open as long as the process runs
    except OSError:
        return  # nothing to wait for

    def wait() -> None:
        fcntl.flock(file, fcntl.LOCK_SH)
        try:
            print("the run that started this job has ended, so the job ends too", file=sys.stderr, flush=True)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()
