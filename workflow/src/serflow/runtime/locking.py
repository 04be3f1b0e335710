"""One run at a time in a folder, and no step that outlives the run which started it.

Snakemake's own lock is a file that a killed run leaves behind, so that the next one has to be told to
remove it. The lock here belongs to a process and ends with it, however it ends.
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

LOCK_VARIABLE = "SERFLOW_LOCK"  # tells a step the lock of its run
# For a moment after a run was killed others have its lock: a program that was just being started, and steps that end.
PATIENCE = 2.0  # seconds
_held: list = []  # an open file keeps its lock until the process ends


def hold_lock(path: str | Path) -> None:
    """Hold a lock until this process ends; wait a moment for it.

    Parameters
    ----------
    path
        The lock's file; it names the holder. On a shared disk the lock also holds between machines.

    Raises
    ------
    UserError
        If another process holds it, or the file cannot be written.
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
            raise UserError(f"another run is at work in this folder ({holder}); wait for it to end, or stop it")
        time.sleep(0.05)
    _held.append(file)
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    try:
        file.flush()
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); make room, then run again") from error


def _lock(file) -> bool:
    """Lock an open file for this process alone, and tell whether that could be done at once."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def end_with_run(path: str | Path) -> None:
    """End this process when the lock is given up, as nobody then waits for it and the next run does its work.

    A run that is killed cannot stop its steps. They would go on writing where the next one writes.

    Parameters
    ----------
    path
        The lock's file.
    """
    try:
        file = Path(path).open()  # noqa: SIM115 - as long as the process
    except OSError:
        return  # nothing to wait for

    def wait() -> None:
        fcntl.flock(file, fcntl.LOCK_SH)
        try:
            print("the run that started this step has ended, and so does this step", file=sys.stderr, flush=True)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()
