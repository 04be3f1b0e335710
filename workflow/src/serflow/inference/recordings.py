"""Recordings to label: files, folders, a CSV table that lists files, standard input."""

import csv
import hashlib
import math
import os
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from serflow.audio.containers import with_sizes
from serflow.corpus.folders import OTHER_SOUND, SOUND, list_files
from serflow.runtime.errors import UserError, did_you_mean
from serflow.storage import check_regular


class RecordingToLabel(NamedTuple):
    """A recording: its name in tables and messages, its bytes if it is not a file, its path if that is not the name.

    The name is text; bytes of a path that are not UTF-8 are escapes in it. ``speaker`` is who speaks, if that is known.
    ``start`` and ``end`` are in seconds, if it is a part of the file; None for the beginning and the end of the file.
    """

    name: str
    content: bytes | None = None
    path: str | None = None
    speaker: str | None = None
    start: float | None = None
    end: float | None = None

    @property
    def source(self) -> bytes | str:
        """Its bytes, or the path of the file."""
        return (self.path or self.name) if self.content is None else self.content


def list_recordings(
    inputs: Sequence[str], speaker: str | None = None, note: Callable[[str], object] = lambda text: None
) -> Iterator[RecordingToLabel]:
    """Yield the recordings that inputs stand for, in the order of the inputs; those of a folder by path.

    Parameters
    ----------
    inputs
        Each is a recording; a folder with recordings at any depth, recognised by suffix, as
        :func:`serflow.corpus.folders.list_files` finds them; a ``.csv`` table with a column
        ``file`` of paths relative to it, and optionally ``start`` and ``end`` in seconds for parts of files; or ``-``,
        a recording on standard input or a list of files, one per line.
    speaker
        Column of the CSV tables that says who speaks.
    note
        Called with a line about the files of a folder that are left out since libsndfile does not read their format.

    Raises
    ------
    UserError
        If a CSV table lacks a column or has a wrong start or end, or a folder does not exist, holds no recordings or
        cannot be read. A missing recording, which has a suffix, raises only when it is opened.
    """
    for name in inputs:
        if name == "-":
            yield from _from_stdin()
        elif os.path.isdir(name):  # noqa: PTH112 - False for a name that is too long
            yield from _from_folder(name, note)
        elif Path(name).suffix.lower() == ".csv":
            yield from _from_csv(Path(name), speaker)
        elif not Path(name).suffix and not os.path.exists(name):  # noqa: PTH110 - False for a name that is too long
            raise UserError(f"{name}: there is no such folder or file{_similar(Path(name))}; check the path")
        else:
            yield recording_of(name)


def _similar(path: Path) -> str:
    """Return the entry beside a path whose name is most like its own, as the end of a message."""
    try:
        return did_you_mean(path.name, [entry.name for entry in path.parent.iterdir()])
    except OSError:
        return ""


def _from_folder(folder: str, note: Callable[[str], object]) -> Iterator[RecordingToLabel]:
    try:
        files = sorted(file for file, _ in list_files(folder, (*SOUND, *OTHER_SOUND)))
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror}); give access there") from error
    unread = Counter(suffix for file in files if (suffix := Path(file).suffix.lower()) in OTHER_SOUND)
    if len(files) == unread.total():
        remedy = f"; convert the {_counted(unread)} files with ffmpeg" if unread else ""
        raise UserError(f"{folder}: holds no recordings ({', '.join(sorted(SOUND))}){remedy}")
    if unread:
        note(f"{folder}: left out {_counted(unread)} files, which cannot be read; convert them with ffmpeg")
    yield from (recording_of(str(Path(folder, file))) for file in files if Path(file).suffix.lower() not in OTHER_SOUND)


def _counted(suffixes: Counter) -> str:
    return ", ".join(f"{count} {suffix}" for suffix, count in sorted(suffixes.items()))


def recording_of(path: str, **known: str | float | None) -> RecordingToLabel:
    """Return the recording in a file; ``known`` is what is known of it."""
    name = os.fsencode(path).decode(errors="backslashreplace")
    return RecordingToLabel(name, path=None if name == path else path, **known)


def shard_of_recording(recording: RecordingToLabel, shards: int) -> int:
    """Return the shard of a recording, which depends on its name alone."""
    return zlib.crc32(os.fsencode(recording.name)) % shards


def recording_digests(folder: str | None, shards: int) -> list[str]:
    """Return a hash per shard of the names, sizes and dates of the recordings in it.

    ``folder`` is an input, or None; ``UserError`` is raised if it does not exist.
    """
    digests = [hashlib.sha256() for _ in range(shards)]
    if folder is not None and not os.path.exists(folder):  # noqa: PTH110 - False for a path that is too long
        raise UserError(f"config: input: {folder}: no such file or folder; check the path")
    for recording in list_recordings([folder] if folder else []):
        try:
            status = check_regular(recording.path or recording.name)
        except OSError:  # which labelling it reports
            status = None
        line = (
            f"{recording.name}\0{recording.start}\0{recording.end}\0{status and (status.st_size, status.st_mtime_ns)}\n"
        )
        digests[shard_of_recording(recording, shards)].update(os.fsencode(line))
    return [digest.hexdigest()[:16] for digest in digests]


def _from_csv(path: Path, speaker: str | None) -> Iterator[RecordingToLabel]:
    try:
        check_regular(path)
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            for column in filter(None, ("file", speaker)):
                if column not in (reader.fieldnames or ()):
                    raise UserError(f"{path}: has no column {column!r}; its first line names the columns")
            for row in reader:
                if row["file"]:
                    start, end = _times(row, f"{path}, line {reader.line_num}")
                    who = (row[speaker] or None) if speaker else None
                    yield recording_of(str(path.parent / row["file"]), speaker=who, start=start, end=end)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV table in UTF-8 ({error})") from error


def _times(row: Mapping, where: str) -> tuple[float | None, float | None]:
    """Return start and end that a row of a table names, in seconds."""
    times = []
    for column in ("start", "end"):
        text = row.get(column) or ""
        try:
            seconds = float(text) if text.strip() else None
        except ValueError:
            seconds = math.nan
        if seconds is not None and not 0 <= seconds < math.inf:
            raise UserError(f"{where}, column {column}: {text!r} is not a number of seconds, 0 or more")
        times.append(seconds)
    start, end = times
    if end is not None and end <= (start or 0):
        raise UserError(f"{where}, column end: {end:g} must be greater than the start, {start or 0:g}")
    return start, end


def _from_stdin() -> Iterator[RecordingToLabel]:
    content = sys.stdin.buffer.read()
    if not content:
        raise UserError("standard input is empty; pipe a recording into it, or the names of files")
    lines = [os.fsdecode(line) for line in content.splitlines() if line]
    # Names of files need not be UTF-8, and silence in a container may happen to be valid text.
    if b"\0" not in content and (_is_utf8(content) or os.path.exists(lines[0])):  # noqa: PTH110 - False for odd names
        yield from map(recording_of, lines)
    else:
        yield RecordingToLabel("standard input", with_sizes(content))


def _is_utf8(content: bytes) -> bool:
    try:
        return bool(content.decode())
    except UnicodeDecodeError:
        return False
