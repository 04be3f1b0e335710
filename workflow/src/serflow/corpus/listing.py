"""Listing the recordings of a folder without opening them."""

import gc
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from serflow.corpus.folders import OTHER_SOUND, SOUND, FileStatus, list_files
from serflow.corpus.ids import of_corpus
from serflow.runtime.errors import UserError

SUFFIXES = (".wav", ".flac")
UNREAD = "are not read; convert them to WAV or FLAC"


class Utterance(NamedTuple):
    """What a file name says about a clip; ``sentence`` and ``level`` (of intensity) are None where it does not say."""

    clip: str
    speaker: str
    sentence: str | None
    emotion: str
    level: str | None


class Person(NamedTuple):
    """What a corpus documents about a speaker: age in years, and ``"Male"`` or ``"Female"``."""

    age: int | None
    sex: str | None


class Entry(NamedTuple):
    """A recording in a listing."""

    file: str  # relative to the folder of the corpus; files of a manifest may be absolute
    name: Utterance | None  # None if the file name does not follow the format
    status: FileStatus
    problem: str | None = None  # why there is no name
    excluded: str | None = None  # what it is, such as a song, and why, if it is left out
    start: float | None = None  # in seconds, of a part of the file
    end: float | None = None
    row: int = 0  # of the manifest; 0 for other formats
    about: dict | None = None  # sex, age and other groups that the row of a manifest names


def list_entries(format_: ModuleType, path: Path) -> list[Entry]:
    """List the recordings of a corpus in the order of their files.

    Parameters
    ----------
    format_
        Module of the format, from :data:`serflow.corpus.formats.FORMATS`.
    path
        Folder of the recordings; for a manifest the table.

    Raises
    ------
    UserError
        If the folder or table is missing or unusable, or names one clip twice.
    """
    collecting = gc.isenabled()
    gc.disable()  # collecting garbage among a million tuples takes five times as long as making them
    try:
        if hasattr(format_, "list_recordings"):
            return format_.list_recordings(path)
        return _list_folder(format_, path)
    finally:
        if collecting:
            gc.enable()


def _list_folder(format_: ModuleType, folder: Path) -> list[Entry]:
    """List the recordings of a folder, and of folders below it unless the format is flat."""
    try:
        found = list(list_files(folder, (*SOUND, *OTHER_SOUND), nested=getattr(format_, "NESTED", True)))
    except FileNotFoundError as error:
        raise UserError(f"audio: {error.filename}: no such file or folder; check the path") from error
    except OSError as error:
        table = isinstance(error, NotADirectoryError) and folder.suffix in (".csv", ".tsv", ".parquet")
        hint = "; for a table of recordings set format=manifest" if table else ""
        raise UserError(
            f"audio: {error.filename}: {error.strerror}; expected a readable folder or an archive{hint}"
        ) from error
    files = [(file, status) for file, status in found if file.lower().endswith(SUFFIXES)]
    others = [file for file, _ in found if not file.lower().endswith(SUFFIXES)]
    if not files:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(Counter(map(_suffix, others)).items()))
        remedy = f"it has {kinds}, which {UNREAD}" if kinds else "give the folder that holds the recordings"
        raise UserError(f"audio: {folder} holds no .wav or .flac files; {remedy}")
    return make_entries(format_, files, folder) + unread_entries(others)


def unread_entries(files: Iterable[str]) -> list[Entry]:
    """Return entries of sound files that are left out since their format is not read."""
    return [Entry(file, None, FileStatus(), excluded=f"{_suffix(file)} files, which {UNREAD}") for file in files]


def _suffix(file: str) -> str:
    return Path(file).suffix.lower()


def make_entries(format_: ModuleType, files: Iterable[tuple[str, FileStatus]], where: Path) -> list[Entry]:
    """Parse names of files below the folder ``where``; raise ``UserError`` if two are the same clip."""
    entries = [_entry(format_, file, status) for file, status in sorted(files)]
    by_clip: dict[str, str] = {}
    for entry in entries:
        if entry.name and (other := by_clip.setdefault(entry.name.clip, entry.file)) != entry.file:
            raise UserError(f"audio: {where}: {other} and {entry.file} are the same clip; remove one of them")
    return entries


def _entry(format_: ModuleType, file: str, status: FileStatus) -> Entry:
    path = file.rpartition(".")[0]
    if hasattr(format_, "describe_excluded") and (what := format_.describe_excluded(path)):
        return Entry(file, None, status, excluded=f"recordings of {what}; another format reads them")
    try:
        return Entry(file, format_.parse(path), status)
    except UserError as error:
        return Entry(file, None, status, problem=str(error))


def in_union(corpus: str, entry: Entry) -> Entry:
    """Put the name of a corpus before file, clip and speaker, so that those of several corpora never collide."""
    name = entry.name
    if name:
        name = name._replace(clip=of_corpus(corpus, name.clip), speaker=of_corpus(corpus, name.speaker))
    return entry._replace(file=f"{corpus}/{entry.file}", name=name)


def documented_people(formats: Mapping[str, ModuleType]) -> dict[str, Person]:
    """Return what formats, by the name of the corpus, document about their speakers."""
    return {
        of_corpus(corpus, speaker): person
        for corpus, format_ in formats.items()
        for speaker, person in getattr(format_, "PEOPLE", {}).items()
    }
