"""What stands in a zip or a tar, one thing after the other, for :mod:`serflow.corpus.archive` to judge."""

import bz2
import gzip
import lzma
import posixpath
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from serflow.runtime.errors import UserError

_PIECE = 1 << 20
_BLOCK = bytes(512)  # what a tar ends with


class Item(NamedTuple):
    """Anything in an archive, as far as it matters here. ``kind`` is file, folder, link or what else it is."""

    name: str
    kind: str
    size: int
    mark: int
    target: str
    open: Callable[[], BinaryIO]


def archive_kind(head: bytes) -> str | None:
    """Tell an archive by its first 512 bytes: zip, tar, gz, xz or bz2, or None if it is none."""
    for kind, magic in {"zip": b"PK\x03\x04", "gz": b"\x1f\x8b", "xz": b"\xfd7zXZ\0", "bz2": b"BZh"}.items():
        if head.startswith(magic):
            return kind
    return "tar" if head[257:262] == b"ustar" else None


def too_large(most: int) -> str:
    """Say that an archive unpacks to more bytes than it may."""
    return f"unpacks to more than {most / 1e6:,.0f} MB, which is too much for its size"


def zip_items(file: BinaryIO) -> Iterator[Item]:
    """Give what stands in a zip."""
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            kind, target = _kind_of_mode(info.external_attr >> 16), ""
            if info.is_dir():
                kind = "folder"
            if info.flag_bits & 0x1:
                raise UserError(f"{info.filename!r} in it is encrypted; unpack it yourself and give the folder")
            if kind == "link":
                with archive.open(info) as stream:
                    target = stream.read(4096).decode(errors="replace")
                target = posixpath.normpath(posixpath.join(posixpath.dirname(info.filename), target))
            yield Item(info.filename, kind, info.file_size, info.CRC, target, lambda info=info: archive.open(info))


def _kind_of_mode(mode: int) -> str:
    kinds = {0: "file", stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link", stat.S_IFIFO: "a pipe"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def tar_items(file: BinaryIO, kind: str, most: int) -> Iterator[Item]:
    """Give what stands in a tar of a kind (see :func:`archive_kind`) that may unpack to ``most`` bytes."""
    opened = {"tar": lambda file: file, "gz": gzip.open, "xz": lzma.open, "bz2": bz2.open}
    with opened[kind](file) as stream:
        bounded = _Bounded(stream, most)
        with tarfile.open(fileobj=bounded, mode="r:") as archive:
            while (info := archive.next()) is not None:
                kind, target = "no plain file", info.linkname
                if info.issym():
                    kind, target = "link", posixpath.join(posixpath.dirname(info.name), target)
                elif info.islnk():
                    kind = "link"
                elif info.isdir():
                    kind = "folder"
                elif info.isdev():
                    kind = "a pipe" if info.isfifo() else "a device"
                elif info.isreg() and not info.issparse():
                    kind = "file"
                target = posixpath.normpath(target) if target else ""
                yield Item(
                    info.name, kind, info.size, int(info.mtime), target, lambda info=info: archive.extractfile(info)
                )
                archive.members.clear()  # it keeps each
            if bounded.last != _BLOCK:
                raise UserError("is cut off or damaged; fetch it again")
        while bounded.read(_PIECE):  # to the checksum that follows
            pass


class _Bounded:
    """The bytes of a tar, which are read no farther than the limits, and never many at once.

    Python's own reader takes a long name into memory whole, however long it is said to be.
    """

    def __init__(self, stream: BinaryIO, most: int):
        self._stream, self._most = stream, most + (16 << 20)  # headers and padding come on top of the files
        self.last = b""

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _PIECE:
            raise UserError("has a header that is too long; fetch it again")
        self._check(self._stream.tell() + size)
        self.last = self._stream.read(size)
        return self.last

    def seek(self, position: int, whence: int = 0) -> int:
        self._check(position)
        return self._stream.seek(position, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def _check(self, position: int) -> None:
        if position > self._most:
            raise UserError(too_large(self._most))
