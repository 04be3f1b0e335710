"""Zip archives, such as Keras models and ``.npz`` files, checked by the CRC of each member."""

import io
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from serflow.storage.checksums import Damaged
from serflow.storage.files import readable, replacing

# What zipfile and NumPy raise when they read a damaged archive; NotImplementedError is a RuntimeError.
_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, RuntimeError, EOFError, KeyError, OverflowError)
_ERRORS += (tokenize.TokenError, MemoryError)


def write_archive(
    path: str | Path, write: Callable[[Path], None], change: Callable[[str, bytes], bytes] | None = None
) -> None:
    """Write a zip file.

    Parameters
    ----------
    path
        The file to write.
    write
        Writes the archive to the path that it is given.
    change
        Returns what to store as a member, from its name and its content. The archive is then without dates, so that
        equal members give equal bytes. None: the archive stays as it was written.
    """
    with replacing(path) as partial:
        write(partial)
        if change is not None:
            with zipfile.ZipFile(partial) as archive:
                members = {name: change(name, archive.read(name)) for name in archive.namelist()}
            with zipfile.ZipFile(partial, "w") as archive:
                for name, content in members.items():
                    archive.writestr(zipfile.ZipInfo(name), content)


def read_archive(path: str | Path, kind: str) -> bytes:
    """Return the bytes of a zip file after a check of all its members.

    Parameters
    ----------
    path
        The file.
    kind
        What a file that fails the check is, for the message, such as ``"not a readable model"``.

    Raises
    ------
    UserError
        If the file is no zip archive, or the CRC of a member does not match.
    """
    with readable(path, kind, *_ERRORS):
        content = Path(path).read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if (damaged := archive.testzip()) is not None:
                raise Damaged(f"the CRC of {damaged} does not match: the file has changed since it was written")
        return content


def write_arrays(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as one ``.npz`` file."""
    write_archive(path, lambda partial: np.savez(partial, allow_pickle=False, **arrays))


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Read a file of :func:`write_arrays`; errors are those of :func:`read_archive`."""
    kind = "not readable named arrays"
    content = read_archive(path, kind)
    with readable(path, kind, *_ERRORS), np.load(io.BytesIO(content), allow_pickle=False) as found:
        return {name: found[name] for name in found.files}
