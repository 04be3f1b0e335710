"""Where recordings come from: a folder given by the user, what is fetched, or the built-in sample."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from serflow.corpus.copies import plan_copies
from serflow.corpus.grammar import ClipName, parse_name, shard_of
from serflow.corpus.metadata import DEMOGRAPHICS, VOTES, find_metadata
from serflow.corpus.sample import sample_clips
from serflow.errors import UserError

SUFFIXES = (".wav", ".flac")
SAMPLE = "sample"
FETCHED_FOLDER = Path("resources/corpora")
SAMPLE_FOLDER = FETCHED_FOLDER / SAMPLE
# The blocks of actors of HiCMAE and EMO-SUPERB; speaker-independent folds are made of them.
BLOCKS = ((1001, 1018), (1019, 1036), (1037, 1054), (1055, 1072), (1073, 1091))


class Entry(NamedTuple):
    """A file of a corpus folder."""

    file: str
    name: ClipName | None
    size: int
    modified: int
    mode: int


def list_recordings(folder: Path) -> list[Entry]:
    """List a folder's recordings, without opening them.

    Parameters
    ----------
    folder
        Holds ``.wav`` or ``.flac`` files; other files and folders below it are left alone.

    Returns
    -------
    list of Entry
        By file name; ``name`` is None where it is not of the grammar.

    Raises
    ------
    UserError
        If the folder is missing, is none, holds no recordings, or one clip twice.
    """
    try:
        with os.scandir(folder) as found:
            recordings = [(file.name, _status(file)) for file in found if Path(file.name).suffix.lower() in SUFFIXES]
    except FileNotFoundError as error:
        raise UserError(f"audio: {error.filename}: no such file or folder; check the path") from error
    except OSError as error:
        raise UserError(
            f"audio: {error.filename}: {error.strerror}; expected a readable folder or an archive"
        ) from error
    if not recordings:
        raise UserError(f"audio: {folder} holds no .wav or .flac files; give the folder that holds the recordings")
    files = [(file, status.st_size, status.st_mtime_ns, status.st_mode) for file, status in recordings]
    return _entries(files, folder)


def _entries(files: Iterable[tuple[str, int, int, int]], folder: Path) -> list[Entry]:
    entries = []
    for file, *status in sorted(files):
        try:
            name = parse_name(Path(file).stem)
        except UserError:
            name = None
        entries.append(Entry(file, name, *status))
    by_clip: dict[str, str] = {}
    for entry in entries:
        if entry.name and (other := by_clip.setdefault(entry.name.clip, entry.file)) != entry.file:
            raise UserError(f"audio: {folder}: {other} and {entry.file} are the same clip; remove one of them")
    return entries


def _status(file: os.DirEntry) -> os.stat_result:
    """Ask for a file's status; for a link that leads nowhere, the link's own. Reading it will say what is wrong."""
    try:
        return file.stat()
    except OSError:
        return file.stat(follow_symlinks=False)


def entry_shard(entry: Entry, shards: int) -> int:
    """Give the shard of a file; one whose name is not of the grammar is reported by the first."""
    return shard_of(entry.name.actor, shards) if entry.name else 0


def listing_digests(entries: Sequence[Entry], shards: int) -> list[str]:
    """Hash what each shard's files are called, how large they are, when they were changed and who may read them."""
    digests = [hashlib.sha256() for _ in range(shards)]
    for entry in entries:
        line = f"{entry.file}\0{entry.size}\0{entry.modified}\0{entry.mode}\n"
        digests[entry_shard(entry, shards)].update(line.encode(errors="surrogateescape"))
    return [digest.hexdigest()[:16] for digest in digests]


def plan_digests(names: Sequence[ClipName], settings: Mapping, shards: int) -> list[str]:
    """Hash the augmented copies of each shard's clips."""
    digests = [hashlib.sha256() for _ in range(shards)]
    for copy in plan_copies([name.clip for name in names], settings):
        actor = copy.origin.split("_", 1)[0]
        digests[shard_of(actor, shards)].update(f"{copy}\n".encode())
    return [digest.hexdigest()[:16] for digest in digests]


def blocks_present(actors: Sequence[str]) -> list[tuple[int, int]]:
    """Give those of the five blocks that have actors.

    Raises
    ------
    UserError
        If there are fewer than two, so that no fold can be held out.
    """
    present = [block for block in BLOCKS if any(block[0] <= int(actor) <= block[1] for actor in actors)]
    if len(present) < 2:
        raise UserError(
            f"protocol speaker-independent: needs actors of at least two of the blocks {BLOCKS}, found {len(present)}; "
            "leave it out of runs"
        )
    return present


class Coming(NamedTuple):
    """What will be fetched or unpacked before anything else.

    Attributes
    ----------
    archive
        Where it is unpacked from; None where it is downloaded.
    files
        Name, size, mark and mode of each recording; the mark changes with its content, as far as that is known.
    tables
        Names of the metadata tables that come with them.
    """

    archive: Path | None
    files: list[tuple[str, int, int, int]]
    tables: list[str]


class Source(NamedTuple):
    """A corpus as far as it is known before any rule has run.

    Attributes
    ----------
    folder
        Where the recordings are, or will be.
    made
        Whether a rule of the workflow puts them there.
    actors
        Sorted.
    listings, plans
        For each shard, digests of its files and of its augmented copies. A rule that carries its
        shard's digest as a parameter reruns when a file of that shard is added, removed, replaced or
        renamed, and leaves the other shards alone.
    metadata
        The metadata tables: ``demographics`` and ``votes``, as far as there are such.
    coming
        What is fetched or unpacked, if that is where the recordings come from.
    """

    folder: Path
    made: bool
    actors: list[str]
    listings: list[str]
    plans: list[str]
    metadata: dict[str, Path]
    coming: Coming | None


def open_source(config: Mapping, coming: Coming | None = None) -> Source:
    """Find the configured corpus.

    Parameters
    ----------
    config
        The configuration.
    coming
        What is to be fetched or unpacked for it, if anything is.

    Raises
    ------
    UserError
        If the settings contradict each other, or there are no recordings.
    """
    name, shards = config["corpus"], config["shards"]
    if name == SAMPLE:
        if config["audio"]:
            raise UserError("config: audio is set, but corpus is 'sample'; name your corpus, e.g. corpus=crema-d")
        if config["metadata"]:
            raise UserError("config: metadata is set, but corpus is 'sample', which brings its own")
        folder, names = SAMPLE_FOLDER / "AudioWAV", sample_clips()
        listings = [f"sample seed {config['sample']['seed']}"] * shards
        metadata = {"demographics": SAMPLE_FOLDER / "metadata" / DEMOGRAPHICS}
    elif coming:
        folder = FETCHED_FOLDER / name / "AudioWAV"
        entries = _entries(coming.files, coming.archive or folder)
        names = [entry.name for entry in entries if entry.name]
        listings = listing_digests(entries, shards)
        brought = {"demographics": DEMOGRAPHICS, "votes": VOTES}.items()
        metadata = {key: folder.parent / "metadata" / table for key, table in brought if table in coming.tables}
        if config["metadata"]:
            metadata = find_metadata(folder, config["metadata"])
    elif not config["audio"]:
        raise UserError(
            f"config: corpus {name!r} needs its recordings: set audio to the folder or archive that holds them, e.g. "
            f"--config corpus={name} audio=/data/AudioWAV; without it only corpus=crema-d is fetched"
        )
    else:
        folder = Path(config["audio"]).expanduser()
        entries = list_recordings(folder)
        names = [entry.name for entry in entries if entry.name]
        listings = listing_digests(entries, shards)
        metadata = find_metadata(folder, config["metadata"])
    actors = sorted({name.actor for name in names})
    plans = plan_digests(names, config["augment"], shards)
    return Source(folder, name == SAMPLE or coming is not None, actors, listings, plans, metadata, coming)
