"""What an adapter of a corpus is made of, and how a folder of recordings is listed by it."""

import contextlib
import gc
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from serflow.runtime.errors import UserError

SUFFIXES = (".wav", ".flac")
FOLDS = 5  # at most, where a corpus has no published ones


class Utterance(NamedTuple):
    """What is known of a clip by its name; ``sentence`` and ``level`` (of intensity) are None where nothing is."""

    clip: str
    speaker: str
    sentence: str | None
    emotion: str
    level: str | None


class Person(NamedTuple):
    """What a corpus' documentation says of a speaker, as in CREMA-D's table: years, ``"Male"`` or ``"Female"``."""

    age: int | None
    sex: str | None


class Entry(NamedTuple):
    """A recording that is listed and not opened yet.

    Attributes
    ----------
    file
        Relative to the corpus' folder; of a manifest it may be absolute.
    name
        A named tuple with the fields of :class:`Utterance`; None where the file's name is not of the grammar.
    size, modified, mode
        Of the file, as far as there is one.
    problem
        Why there is no name.
    apart
        What the recording is, where the corpus has such and the format leaves them out; None of all others.
    start, end
        The piece of the file that is the recording, in seconds; None for its beginning and its end.
    row
        In the manifest; 0 elsewhere.
    """

    file: str
    name: tuple | None
    size: int
    modified: int
    mode: int
    problem: str | None = None
    apart: str | None = None
    start: float | None = None
    end: float | None = None
    row: int = 0


@dataclass(frozen=True)
class Format:
    """An adapter: how one corpus is read.

    Attributes
    ----------
    title
        The corpus' name, for messages.
    parse
        Reads a file's path relative to the folder, with slashes and without its suffix; gives an :class:`Utterance`.
        It raises ``UserError``, with what is wrong and an example, for a name that is not of the corpus.
    people
        Speaker → :class:`Person`, as far as they are documented.
    nested
        Whether recordings lie in sub-folders too.
    apart
        Says of a path what the recording is, where the corpus has such and this format leaves them out, else None.
    listed
        Lists a path's recordings; None for those of a folder, by name.
    folds
        Divides speakers into groups that are tested on in turn; None for :func:`deal_speakers`.
    """

    title: str
    parse: Callable[[str], tuple]
    people: Mapping[str, Person] = field(default_factory=dict)
    nested: bool = True
    apart: Callable[[str], str | None] = lambda name: None
    listed: Callable[[Path], list[Entry]] | None = None
    folds: Callable[[Sequence[str]], list[list[str]]] | None = None

    def entries(self, path: Path) -> list[Entry]:
        """List recordings without opening them, by file; errors are those of :func:`list_folder`."""
        with _without_collecting():
            return self.listed(path) if self.listed else list_folder(self, path)

    def speaker_folds(self, speakers: Sequence[str]) -> list[list[str]]:
        """Divide speakers into folds; ``UserError`` where there are too few."""
        return self.folds(speakers) if self.folds else deal_speakers(speakers, self.people)


@contextlib.contextmanager
def _without_collecting() -> Iterator[None]:
    """Put off garbage collection: among a million tuples it takes five times as long as making them."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def list_folder(format_: Format, folder: Path) -> list[Entry]:
    """List a folder's recordings, without opening them.

    Parameters
    ----------
    format_
        How names are read.
    folder
        Holds ``.wav`` or ``.flac`` files, also in folders below it where the format is nested. Other files are left
        alone; in a nested format so are files and folders whose name begins with a full stop, and ``__MACOSX``.

    Returns
    -------
    list of Entry
        By file.

    Raises
    ------
    UserError
        If the folder is missing, is none, holds no recordings, or one clip twice.
    """
    try:
        files = sorted(_files(Path(folder), format_.nested))
    except FileNotFoundError as error:
        raise UserError(f"audio: {error.filename}: no such file or folder; check the path") from error
    except NotADirectoryError as error:
        hint = "; for a table of recordings set format=manifest" if folder.suffix in (".csv", ".parquet") else ""
        wanted = f"expected a readable folder or an archive{hint}"
        raise UserError(f"audio: {error.filename}: {error.strerror}; {wanted}") from error
    except OSError as error:
        wanted = "expected a readable folder or an archive"
        raise UserError(f"audio: {error.filename}: {error.strerror}; {wanted}") from error
    if not files:
        raise UserError(f"audio: {folder} holds no .wav or .flac files; give the folder that holds the recordings")
    return make_entries(format_, files, folder)


def make_entries(format_: Format, files: Iterable[tuple[str, int, int, int]], where: Path) -> list[Entry]:
    """Read the names of recordings.

    Parameters
    ----------
    format_
        How names are read.
    files
        Name, size, time of the last change, and mode of each.
    where
        What they lie in, for messages.

    Raises
    ------
    UserError
        If one clip is there twice.
    """
    entries = [_entry(format_, file, known) for file, *known in sorted(files)]
    by_clip: dict[str, str] = {}
    for entry in entries:
        if entry.name and (other := by_clip.setdefault(entry.name.clip, entry.file)) != entry.file:
            raise UserError(f"audio: {where}: {other} and {entry.file} are the same clip; remove one of them")
    return entries


def _entry(format_: Format, file: str, known: Sequence[int]) -> Entry:
    path = file.rpartition(".")[0]
    if what := format_.apart(path):
        return Entry(file, None, *known, apart=what)
    try:
        return Entry(file, format_.parse(path), *known)
    except UserError as error:
        return Entry(file, None, *known, problem=str(error))


def _files(folder: Path, nested: bool) -> Iterator[tuple[str, int, int, int]]:
    """Give the recordings below a folder; each folder once, so that a loop of links ends."""
    waiting, seen = [""], set()
    while waiting:
        below = waiting.pop()
        with os.scandir(folder / below) as found:
            members = sorted(found, key=lambda member: member.name)
        for member in members:
            hidden = member.name.startswith(".") or member.name == "__MACOSX"
            if nested and (hidden or stat.S_ISDIR(_status(member).st_mode)):
                status = _status(member)
                if not hidden and (place := (status.st_dev, status.st_ino)) not in seen:
                    seen.add(place)
                    waiting.append(f"{below}{member.name}/")
            elif (name := member.name.lower()).endswith(SUFFIXES) and name not in SUFFIXES:
                status = _status(member)
                yield f"{below}{member.name}", status.st_size, status.st_mtime_ns, status.st_mode


def _status(member: os.DirEntry) -> os.stat_result:
    """Ask for a file's status; for a link that leads nowhere, the link's own. Reading it will say what is wrong."""
    try:
        return member.stat()
    except OSError:
        return member.stat(follow_symlinks=False)


def deal_speakers(speakers: Sequence[str], people: Mapping[str, Person]) -> list[list[str]]:
    """Deal speakers to folds like cards, those of each sex one after the other.

    Parameters
    ----------
    speakers
        In any order.
    people
        What is known of them, for folds that are alike.

    Returns
    -------
    list of list of str
        As many folds as there are speakers, at most :data:`FOLDS`; their numbers of speakers differ by one at most.
        They depend on who speaks and not on how much, so that a lost clip does not change what a fold means.

    Raises
    ------
    UserError
        If there are fewer than two speakers.
    """
    if len(speakers) < 2:
        raise UserError(
            f"protocol speaker-independent: needs at least two speakers, found {len(speakers)}; leave it out of runs"
        )
    alike = sorted(speakers, key=lambda speaker: ((people[speaker].sex if speaker in people else None) or "", speaker))
    count = min(FOLDS, len(alike))
    return [sorted(alike[fold::count]) for fold in range(count)]
