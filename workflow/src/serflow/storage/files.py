"""Atomic writes, and one-line errors for files that cannot be read."""

import contextlib
import errno
import os
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from serflow.runtime.errors import UserError

_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EISDIR}


@contextlib.contextmanager
def replacing(path: str | Path, *, flush: bool = True) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; rename it to ``path`` if the block succeeds.

    Parameters
    ----------
    path
        The file to write. Its folder is created if it is missing.
    flush
        Whether to wait until the content is on the disk, so that it survives a power cut.

    Yields
    ------
    Path
        An empty file to write to. It has the suffix of ``path``, since some writers choose the format by it.

    Raises
    ------
    UserError
        If the disk is full or the folder is not writable.
    """
    path = Path(path)
    partial = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch(exist_ok=False)
    except OSError as error:
        raise _unwritten(path, error) from error
    try:
        yield partial
        if flush:
            with partial.open("rb") as written:
                os.fsync(written.fileno())
        partial.replace(path)
    except OSError as error:
        if error.errno in _UNWRITABLE:
            raise _unwritten(path, error) from error
        raise
    finally:
        with contextlib.suppress(OSError):  # it would hide the first error
            partial.unlink(missing_ok=True)


def _unwritten(path: Path, error: OSError) -> UserError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return UserError(f"{path}: cannot be written ({reason}); make room or give access there, then run again")


def check_regular(path: str | Path) -> os.stat_result:
    """Return the status of a file; raise ``OSError`` for a pipe or the like, which might never end."""
    try:
        status = Path(path).stat()
    except ValueError as error:  # a zero byte
        raise OSError(errno.EINVAL, str(error), str(path)) from error
    if not stat.S_ISREG(status.st_mode):
        what = "folder" if stat.S_ISDIR(status.st_mode) else "pipe, socket or device"
        raise OSError(errno.EINVAL, f"a {what}, not a file", str(path))
    return status


def check_own(folder: str | Path, *, below: bool) -> None:
    """Raise if a folder, or one ``below`` it, belongs to another user who lets nobody else write there.

    Snakemake would fail with a traceback when it removes or writes a file in such a folder.
    """
    folders = [str(folder)] if os.path.lexists(folder) else []
    for parent, names, _ in os.walk(folder) if below else ():
        folders += [os.path.join(parent, name) for name in names]  # noqa: PTH118 - many of them
    for path in folders:
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK) and Path(path).stat().st_uid != os.getuid():
            problem = "belongs to another user and cannot be written"
            raise UserError(f"{path}: {problem}; get access there, or run in a folder of your own")


def tidy(folder: str | Path) -> None:
    """Remove the unfinished files of killed jobs below a folder, and set modification times in the future to now.

    No job may be writing there. After the clock was set back, results made from files "of tomorrow" would look stale
    until then. The files keep their order in time.
    """
    now, ahead = time.time_ns(), []
    for path in Path(folder).rglob("*"):
        if path.name.startswith(".") and ".part" in path.suffixes:
            with contextlib.suppress(OSError):
                path.unlink()
        elif path.is_file() and (modified := path.stat().st_mtime_ns) > now:
            ahead.append((modified, path))
    for place, (_, path) in enumerate(sorted(ahead)):
        date = now - 1000 * (len(ahead) - place)
        with contextlib.suppress(OSError):  # a file of another user
            os.utime(path, ns=(date, date))


@contextlib.contextmanager
def readable(path: str | Path, kind: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn an error while a result is read into a ``UserError`` of one line.

    Parameters
    ----------
    path
        The result.
    kind
        What the file is if an error is raised, such as ``"not valid JSON"``.
    *errors
        Exceptions to catch beside ``ValueError`` and ``OSError``.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (ValueError, OSError, *errors) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: {kind} ({reason}); delete it to have it made again") from error
