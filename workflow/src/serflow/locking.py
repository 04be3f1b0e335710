"""One run at a time in a folder.

Snakemake's own lock is a file that a killed run leaves behind, so that the next one has to be told to
remove it. The lock here belongs to a process and ends with it, however it ends.
"""

import fcntl
import os
import socket
from pathlib import Path

from serflow.errors import UserError

_held: list = []  # an open file keeps its lock until the process ends


def hold_lock(path: str | Path) -> None:
    """Hold a lock until this process ends.

    Parameters
    ----------
    path
        The lock's file; it names the holder. On a shared disk the lock also holds between machines.

    Raises
    ------
    UserError
        If another process holds it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        raise UserError(f"another run is at work in this folder ({holder}); wait for it to end, or stop it") from error
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
    _held.append(file)
