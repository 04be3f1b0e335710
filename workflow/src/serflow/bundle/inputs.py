"""What a user may want labelled: files, folders, a CSV that lists files, standard input."""

import csv
import hashlib
import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from serflow.audio.io import Content, read_content
from serflow.runtime.errors import UserError

# Those of libsndfile's formats that speech is kept in.
SUFFIXES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64", ".rf64", ".sph"}
STDIN = "-"


class Source(NamedTuple):
    """A recording to label: its name for people; its bytes where it is no file; where it lies if not at its name."""

    name: str
    content: bytes | None = None
    path: str | None = None

    def open(self):
        """Give what libsndfile opens."""
        return self.path or self.name if self.content is None else Content(self.content)

    def read(self) -> bytes:
        """Give all its bytes; errors are those of :func:`serflow.audio.io.read_content`."""
        return read_content(self.path or self.name) if self.content is None else self.content


def list_sources(inputs: Sequence[str]) -> Iterator[Source]:
    """List what inputs stand for, in their order; what is in a folder by name.

    Parameters
    ----------
    inputs
        Each a recording; a folder, whose recordings at any depth are meant (by suffix); a ``.csv`` with a column
        ``file``, relative to it; or ``-``: a recording on standard input, or a list of files, one in a line.

    Raises
    ------
    UserError
        If a CSV has no such column, or a folder no recordings. A missing recording is not an error of the whole:
        it is noticed when it is opened.
    """
    for name in inputs:
        if name == STDIN:
            yield from _from_stdin()
        elif Path(name).is_dir():
            found = list(_below(name))
            if not found:
                raise UserError(f"{name}: holds no recordings ({', '.join(sorted(SUFFIXES))})")
            yield from found
        elif Path(name).suffix.lower() == ".csv":
            yield from _from_csv(Path(name))
        else:
            yield Source(name)


def shard_of_source(source: Source, shards: int) -> int:
    """Give the shard of a recording, which depends on its name alone."""
    return zlib.crc32(os.fsencode(source.name)) % shards


def source_digests(folder: str | None, shards: int) -> list[str]:
    """Hash what each shard's recordings are called, how large they are and when they were changed.

    Parameters
    ----------
    folder
        An input; None if there is none.
    shards
        How many parts the recordings are labelled in.

    Raises
    ------
    UserError
        If it does not exist.
    """
    digests = [hashlib.sha256() for _ in range(shards)]
    if folder is not None and not Path(folder).exists():
        raise UserError(f"config: input: {folder}: no such file or folder; check the path")
    for source in list_sources([folder] if folder else []):
        path = Path(source.name)
        status = path.stat() if path.exists() else None
        line = f"{source.name}\0{status and (status.st_size, status.st_mtime_ns)}\n"
        digests[shard_of_source(source, shards)].update(os.fsencode(line))
    return [digest.hexdigest()[:16] for digest in digests]


def _below(folder: str) -> Iterator[Source]:
    for place, folders, files in os.walk(folder):
        folders.sort()
        yield from (Source(str(Path(place, file))) for file in sorted(files) if Path(file).suffix.lower() in SUFFIXES)


def _from_csv(path: Path) -> Iterator[Source]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if "file" not in (reader.fieldnames or ()):
                raise UserError(f"{path}: has no column 'file'; its first line names the columns")
            yield from (Source(str(path.parent / row["file"])) for row in reader if row["file"])
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV table in UTF-8 ({error})") from error


def _from_stdin() -> Iterator[Source]:
    content = sys.stdin.buffer.read()
    if not content:
        raise UserError("standard input is empty; pipe a recording into it, or the names of files")
    try:
        lines = content.decode()
    except UnicodeDecodeError:
        yield Source("standard input", content)
        return
    if "\0" in lines:  # silence in a container may happen to be valid text
        yield Source("standard input", content)
    else:
        yield from (Source(line) for line in lines.splitlines() if line)
