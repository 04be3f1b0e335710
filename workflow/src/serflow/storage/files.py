"""Writing beside the place and renaming, and one line for a file that is not what it should be."""

import contextlib
import errno
import mmap
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from serflow.runtime.errors import UserError
from serflow.storage.checksums import seal_digits, seal_place

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


@contextlib.contextmanager
def replacing(path: str | Path, *, flush: bool = True) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; rename it to ``path`` if the block succeeds.

    Parameters
    ----------
    path
        The file to make. Its folder is created where it is missing.
    flush
        Whether to wait until the content is on the disk, so that it survives a power cut as well.

    Yields
    ------
    Path
        Where to write. It bears the suffix of ``path``, which some writers choose their format by.

    Raises
    ------
    UserError
        If the disk is full or nothing may be written there.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=f".part{path.suffix}", dir=path.parent)
    except OSError as error:
        raise _unwritten(path, error) from error
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        if flush:
            with partial.open("rb") as written:
                os.fsync(written.fileno())
        partial.chmod(0o644)
        partial.replace(path)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise _unwritten(path, error) from error
        raise
    finally:
        with contextlib.suppress(OSError):  # or it would hide what went wrong
            partial.unlink(missing_ok=True)


def _unwritten(path: Path, error: OSError) -> UserError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return UserError(f"{path}: cannot be written ({reason}); make room or give access there, then run again")


def tidy(folder: str | Path) -> None:
    """Remove what killed jobs have left half-written below a folder, and bring dates of the future back to now.

    None may be at work there. A clock that was set back would else make results that follow from those of
    tomorrow look stale until then. The dates keep their order.
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
        with contextlib.suppress(OSError):  # another's file
            os.utime(path, ns=(date, date))


def seal(path: Path) -> None:
    """Fill in the digits of a finished file's seal."""
    with path.open("r+b") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            place = seal_place(content)
            digits = seal_digits(content, place)
        file.seek(place)
        file.write(digits)


@contextlib.contextmanager
def readable(path: str | Path, kind: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn what is wrong with a result into one line that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (ValueError, OSError, *errors) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: {kind} ({reason}); delete it to have it made again") from error
