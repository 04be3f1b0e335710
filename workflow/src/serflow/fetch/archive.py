"""Read archives of recordings from any source without harm.

Files that the caller asks for are unpacked under their bare names. No path, link, owner or mode in an archive is used.
"""

import bz2
import contextlib
import functools
import gzip
import hashlib
import lzma
import re
import shutil
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from serflow.runtime.errors import UserError

AUDIO, METADATA = "AudioWAV", "metadata"
MOST_MEMBERS = 200_000
MOST_BYTES = 64 << 30  # of all members, unpacked
MOST_RATIO = 100  # of unpacked bytes to those of the archive, unless
FREE_BYTES = 256 << 20  # they are fewer: silence compresses well
KINDS = ".zip, .tar, .tar.gz, .tar.xz or .tar.bz2"
_PIECE = 1 << 20
_TOO_LARGE = "unpacks to more than {:,.0f} MB, which is too much for its size"
_MAGIC = {"zip": b"PK\x03\x04", "gz": b"\x1f\x8b", "xz": b"\xfd7zXZ\0", "bz2": b"BZh"}
_POINTER = re.compile(rb"version https://git-lfs\S*\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\nsize (\d+)\n")
_DAMAGE = (zipfile.BadZipFile, zlib.error, tarfile.TarError, lzma.LZMAError, EOFError, struct.error, ValueError)
FolderOf = Callable[[str], str | None]  # file name -> AUDIO, METADATA, or None for a file that stays in the archive


Digests = dict[str, tuple[int, str]]  # file name -> size in bytes and sha256


class Member(NamedTuple):
    """A file to unpack."""

    folder: str
    file: str
    size: int


def archive_kind(head: bytes) -> str:
    """Return zip, tar, gz, xz or bz2 by the first 512 bytes of an archive; raise ``UserError`` for other files."""
    for kind, magic in _MAGIC.items():
        if head.startswith(magic):
            return kind
    if head[257:262] == b"ustar":
        return "tar"
    raise UserError(f"not an archive that can be read; expected {KINDS}")


def list_archive(path: Path, folder_of: FolderOf) -> list[Member]:
    """Return the files of an archive that are to be unpacked, sorted.

    Raises
    ------
    UserError
        If the archive is damaged or too large, or has two files of one name.
    """
    with _explained(path):
        return sorted(member for member, _ in _members(path, folder_of))


def unpack_archive(path: Path, folder: Path, folder_of: FolderOf) -> tuple[Digests, Digests]:
    """Unpack files into :data:`AUDIO` and :data:`METADATA` below ``folder``, which must not exist.

    Returns
    -------
    recordings, pointers : dict
        File name → size in bytes and sha256: of recordings, and of those that the archive has only a Git LFS pointer
        to. Pointers are not unpacked.

    Raises
    ------
    UserError
        As :func:`list_archive`; files that were unpacked before the error stay.
    """
    recordings, pointers = {}, {}
    for name in (AUDIO, METADATA):
        (folder / name).mkdir(parents=True)
    with _explained(path):
        for member, open_member in _members(path, folder_of):
            target = folder / member.folder / member.file
            with open_member() as stream, target.open("xb") as file:
                shutil.copyfileobj(stream, file, _PIECE)
            if target.stat().st_size != member.size:
                raise EOFError
            if member.folder != AUDIO:
                continue
            with target.open("rb") as file:
                pointer = _POINTER.match(file.read(1024))
                file.seek(0)
                recordings[member.file] = member.size, hashlib.file_digest(file, "sha256").hexdigest()
            if pointer:
                del recordings[member.file]
                pointers[member.file] = int(pointer[2]), pointer[1].decode()
                target.unlink()
    return recordings, pointers


def _members(path: Path, folder_of: FolderOf) -> Iterator[tuple[Member, Callable[[], BinaryIO]]]:
    """Yield each file to unpack with a function that opens it."""
    names: dict[bytes, str] = {}
    unpacked, most = 0, min(MOST_BYTES, max(FREE_BYTES, MOST_RATIO * path.stat().st_size))
    with path.open("rb") as file:
        kind = archive_kind(file.read(512))
        file.seek(0)
        items = _zip_items(file) if kind == "zip" else _tar_items(file, kind, most)
        for number, (name, size, problem, open_member) in enumerate(items, 1):
            unpacked += size
            if unpacked > most:
                raise UserError(_TOO_LARGE.format(most / 1e6))
            if number > MOST_MEMBERS:
                raise UserError(f"has more than {MOST_MEMBERS:,} members")
            file_name = name.replace("\\", "/").rpartition("/")[2]
            folder = None if file_name.startswith(".") else folder_of(file_name)  # macOS adds hidden files
            if folder is None:
                continue
            if problem:
                raise UserError(f"{name!r} in it is {problem}; unpack it yourself and set audio to the folder")
            key = unicodedata.normalize("NFC", file_name).casefold().encode()  # refuses names that are not Unicode
            if key in names:
                raise UserError(f"{names[key]!r} and {name!r} would be unpacked to the same file")
            names[key] = name
            yield Member(folder, file_name, size), open_member


def _zip_items(file: BinaryIO) -> Iterator[tuple]:
    """Yield name, size, what makes it unusable, and a function that opens it, of each member."""
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            problem = "encrypted" if info.flag_bits & 1 else None
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                problem = "not a plain file"
            yield info.filename, info.file_size, problem, functools.partial(archive.open, info)


def _tar_items(file: BinaryIO, kind: str, most: int) -> Iterator[tuple]:
    """Yield the same of a tar that may unpack to ``most`` bytes."""
    openers = {"tar": contextlib.nullcontext, "gz": gzip.open, "xz": lzma.open, "bz2": bz2.open}
    with openers[kind](file) as stream:
        bounded = _Bounded(stream, most)
        with tarfile.open(fileobj=bounded, mode="r:") as archive:
            while (info := archive.next()) is not None:
                if info.size < 0:
                    raise EOFError
                name = f"{info.name}/" if info.isdir() else info.name
                problem = None if info.isreg() and not info.issparse() else "not a plain file"
                yield name, info.size, problem, functools.partial(archive.extractfile, info)
                archive.members.clear()  # the archive would keep all of them
        if bounded.last != bytes(512):  # the end of a tar, without which it was cut off
            raise EOFError
        while bounded.read(_PIECE):  # up to the checksum of the compressed stream
            pass


class _Bounded:
    """A tar that is read up to a limit and in small pieces: tarfile would read a name of 3 GB into memory at once."""

    def __init__(self, stream: BinaryIO, most: int):
        self._stream, self._most, self.tell = stream, most + (16 << 20), stream.tell  # with headers and padding
        self.last = b""

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _PIECE:
            raise UserError("has a header that is too long; fetch it again")
        self.last = self._stream.read(size)
        self._check(self.tell())
        return self.last

    def seek(self, position: int) -> None:
        self._check(position)
        self._stream.seek(position)

    def _check(self, position: int) -> None:
        if position > self._most:
            raise UserError(_TOO_LARGE.format(self._most / 1e6))


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Raise errors of an archive with its path."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (OSError, OverflowError, RuntimeError, *_DAMAGE) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk, not of the archive
            raise
        raise UserError(f"{path}: a damaged archive ({str(error) or 'it is cut off'}); fetch it again") from error
