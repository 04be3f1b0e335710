"""Archives of recordings, read so that nothing in one can do harm.

Only recordings and the corpus' tables are taken out, each under its bare name into a folder that is given, so that
no path of an archive is ever used. What an honest archive never has is refused nevertheless.
"""

import contextlib
import hashlib
import lzma
import posixpath
import re
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from serflow.corpus.items import Item, archive_kind, tar_items, too_large, zip_items
from serflow.corpus.listing import SUFFIXES
from serflow.corpus.metadata import DEMOGRAPHICS, VOTES
from serflow.runtime.errors import UserError

AUDIO, METADATA = "AudioWAV", "metadata"
TABLES = (DEMOGRAPHICS, VOTES, "summaryTable.csv", "SentenceFilenames.csv")
KINDS = ".zip, .tar, .tar.gz, .tar.xz or .tar.bz2"
_PIECE = 1 << 20
_LONGEST_NAME = 255  # bytes; what file systems take
_POINTER = re.compile(rb"version https://git-lfs\S*\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\nsize (\d+)\n")
_LONGEST_POINTER = 1024


class Limits(NamedTuple):
    """How large an archive may be.

    Attributes
    ----------
    members
        Files, folders and all else in it.
    bytes
        Of everything in it, unpacked.
    ratio
        Of unpacked bytes to the archive's own; digital silence compresses well, so it counts from ``free`` on.
    free
        Bytes that an archive may always unpack to.
    """

    members: int = 200_000
    bytes: int = 64 << 30
    ratio: int = 100
    free: int = 256 << 20


LIMITS = Limits()


class Member(NamedTuple):
    """A file to take out.

    Attributes
    ----------
    folder
        :data:`AUDIO` or :data:`METADATA`.
    file
        Its name without a path.
    size
        Bytes.
    mark
        What changes with its content: the checksum in a zip, the time of its last change in a tar.
    """

    folder: str
    file: str
    size: int
    mark: int


class Digest(NamedTuple):
    """Size in bytes and sha256 of a file; of the recording itself where the file is a Git LFS pointer to it."""

    bytes: int
    sha256: str
    pointer: bool = False


def check_is_archive(head: bytes) -> None:
    """Refuse what does not begin as an archive."""
    if archive_kind(head) is None:
        raise UserError(f"no archive ({KINDS}): it begins with {head[:16]!r}")


def list_archive(path: Path, *, wanted: Callable[[str], bool] = lambda file: True, limits=LIMITS) -> list[Member]:
    """List the recordings and tables of an archive, sorted.

    Parameters
    ----------
    path
        The archive.
    wanted
        Which recordings count, by name without path; the others are passed over.
    limits
        See :class:`Limits`.

    Raises
    ------
    UserError
        Naming the archive and what is wrong, if it is damaged, too large, or may do harm.
    """
    found = []
    _walk(path, wanted, limits, lambda member, stream: found.append(member))
    return sorted(found)


def unpack_archive(
    path: Path, folder: Path, *, wanted: Callable[[str], bool] = lambda file: True, limits=LIMITS
) -> dict[str, Digest]:
    """Unpack recordings and tables into :data:`AUDIO` and :data:`METADATA` below ``folder``, which must be new.

    Returns
    -------
    dict
        File name → digest, of the recordings. Pointers of Git LFS are not unpacked.

    Raises
    ------
    UserError
        As :func:`list_archive`; what was unpacked until then is still there.
    """
    for name in (AUDIO, METADATA):
        (folder / name).mkdir(parents=True)
    digests: dict[str, Digest] = {}

    def take(member: Member, open_stream: Callable[[], BinaryIO]) -> None:
        with open_stream() as stream:
            first = stream.read(_PIECE)
            if member.folder == AUDIO and (pointer := _pointer(first)):
                digests[member.file] = pointer
                return
            digest, size = hashlib.sha256(), 0
            with (folder / member.folder / member.file).open("xb") as file:
                piece = first
                while piece:
                    file.write(piece)
                    digest.update(piece)
                    size += len(piece)
                    piece = stream.read(_PIECE)
        if size != member.size:
            raise UserError(f"{path}: {member.file} is cut off in it; fetch it again")
        if member.folder == AUDIO:
            digests[member.file] = Digest(size, digest.hexdigest())

    _walk(path, wanted, limits, take)
    return digests


def _pointer(content: bytes) -> Digest | None:
    match = _POINTER.match(content) if len(content) < _LONGEST_POINTER else None
    return Digest(int(match[2]), match[1].decode(), pointer=True) if match else None


def _walk(path: Path, wanted, limits: Limits, visit: Callable[[Member, Callable[[], BinaryIO]], None]) -> None:
    """Visit what is to be taken out, and check everything on the way."""
    with _readable(path), path.open("rb") as file:
        kind = archive_kind(file.read(512))
        if kind is None:
            raise UserError(f"{path}: not an archive that can be read; expected {KINDS}")
        file.seek(0)
        most = min(limits.bytes, max(limits.free, limits.ratio * path.stat().st_size))
        items = zip_items(file) if kind == "zip" else tar_items(file, kind, most)
        names: dict[str, str] = {}
        unpacked = 0
        for number, item in enumerate(items, 1):
            if number > limits.members:
                raise UserError(f"holds more than {limits.members:,} members")
            unpacked += item.size
            if item.size < 0:
                raise UserError("is damaged: a size in it is negative; fetch it again")
            if unpacked > most:
                raise UserError(too_large(most))
            member = _member(item)
            if member is None or (member.folder == AUDIO and not wanted(member.file)):
                continue
            key = unicodedata.normalize("NFC", member.file).casefold()
            if key in names:
                raise UserError(f"{names[key]!r} and {item.name!r} in it would be one file")
            names[key] = item.name
            visit(member, item.open)


def _member(item: Item) -> Member | None:
    """Check anything in an archive; give what to take out of it, if it is that."""
    name = item.name.replace("\\", "/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise UserError(f"{item.name!r} in it is an absolute path")
    if ".." in name.split("/"):
        raise UserError(f"{item.name!r} in it leads out of its folder")
    file = posixpath.basename(name)
    if item.kind == "link":
        target = item.target.replace("\\", "/")
        if target.startswith("/") or target.split("/")[0] == ".." or re.match(r"[A-Za-z]:", target):
            raise UserError(f"{item.name!r} in it is a link out of its folder")
    elif item.kind not in ("file", "folder"):
        raise UserError(f"{item.name!r} in it is {item.kind}")
    if file.startswith(".") or "__MACOSX" in name.split("/"):  # what macOS adds to archives
        return None
    if file in TABLES and item.kind == "file":
        return Member(METADATA, file, item.size, item.mark)
    if posixpath.splitext(file)[1].lower() not in SUFFIXES or item.kind == "folder":
        return None
    if item.kind == "link":
        raise UserError(f"{item.name!r} in it is a link and no recording")
    try:
        length = len(file.encode())
    except UnicodeEncodeError:
        length = 0
    if not 0 < length <= _LONGEST_NAME or any(unicodedata.category(letter) == "Cc" for letter in file):
        raise UserError(f"{item.name!r} in it is no name for a file")
    return Member(AUDIO, file, item.size, item.mark)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Name the archive in what is said of it."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error) if str(error).startswith(str(path)) else f"{path}: {error}") from error
    except NotImplementedError as error:
        raise UserError(
            f"{path}: compressed in a way that cannot be read here ({error}); unpack it yourself"
        ) from error
    except OSError as error:
        if error.errno is not None:  # the disk's, not the archive's
            raise
        raise UserError(f"{path}: a damaged archive ({error}); fetch it again") from error
    except (
        zipfile.BadZipFile, zlib.error, tarfile.TarError, lzma.LZMAError, EOFError, struct.error, ValueError,
        OverflowError, RuntimeError,
    ) as error:  # fmt: skip
        raise UserError(f"{path}: a damaged archive ({error or 'it is cut off'}); fetch it again") from error
