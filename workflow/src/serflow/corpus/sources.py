"""Where recordings come from: folders and tables given by the user, what is fetched, or the built-in sample."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from serflow.corpus.copies import plan_copies
from serflow.corpus.formats import CREMA_D, FORMATS, load_format
from serflow.corpus.formats.base import Entry, Utterance, make_entries
from serflow.corpus.grammar import shard_of
from serflow.corpus.ids import of_corpus, speaker_of
from serflow.corpus.metadata import DEMOGRAPHICS, VOTES, find_metadata
from serflow.corpus.places import (
    Location,
    Place,
    configured_places,
    default_format,
    formats_of,
    places_of,
    write_source,
)
from serflow.corpus.sample import sample_clips
from serflow.errors import UserError

SAMPLE = "sample"
FETCHED_FOLDER = Path("resources/corpora")
SAMPLE_FOLDER = FETCHED_FOLDER / SAMPLE


def list_recordings(source: Location) -> list[Entry]:
    """List a corpus' recordings, without opening them.

    Parameters
    ----------
    source
        See :func:`serflow.corpus.places.places_of`.

    Returns
    -------
    list of Entry
        Place by place, by file name; ``name`` is None where a file's is not of the grammar. What a format leaves
        out is not among them.

    Raises
    ------
    UserError
        If a folder or table is missing, is none, holds no recordings, or one clip twice.
    """
    return [entry for entry in _list_all(places_of(source)) if not entry.apart]


def _list_all(places: Sequence[Place]) -> list[Entry]:
    return [
        _in_union(place.name, entry) if place.name else entry
        for place in places
        for entry in load_format(place.format).entries(place.path)
    ]


def _in_union(corpus: str, entry: Entry) -> Entry:
    """Put a corpus' name before file, clip and speaker, so that those of several never meet."""
    name = entry.name
    if name:
        clip, actor = of_corpus(corpus, name.clip), of_corpus(corpus, name.actor)
        name = Utterance(clip, actor, name.sentence, name.emotion, name.level)
    return entry._replace(file=f"{corpus}/{entry.file}", name=name)


def entry_shard(entry: Entry, shards: int) -> int:
    """Give the shard of a file; one whose name is not of the grammar is reported by the first."""
    return shard_of(entry.name.actor, shards) if entry.name else 0


def listing_digests(entries: Sequence[Entry], shards: int) -> list[str]:
    """Hash what each shard's files are called, how large they are, when they were changed and who may read them."""
    digests = [hashlib.sha256() for _ in range(shards)]
    for entry in entries:
        line = f"{entry.file}\0{entry.size}\0{entry.modified}\0{entry.mode}\n"
        if entry.row:  # of a manifest, which says more than the file's name does; a row may move without a change
            line += f"{entry.name}\0{entry.start}\0{entry.end}\n"
        digests[entry_shard(entry, shards)].update(line.encode(errors="surrogateescape"))
    return [digest.hexdigest()[:16] for digest in digests]


def plan_digests(clips: Sequence[str], settings: Mapping, shards: int) -> list[str]:
    """Hash the augmented copies of each shard's clips."""
    digests = [hashlib.sha256() for _ in range(shards)]
    for copy in plan_copies(clips, settings):
        digests[shard_of(speaker_of(copy.origin), shards)].update(f"{copy}\n".encode())
    return [digest.hexdigest()[:16] for digest in digests]


class Pending(NamedTuple):
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
        Where the recordings are, or will be; of a union, where its first corpus is.
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
    text
        The argument ``--source`` of commands.
    formats
        The format of each place, by name, which is empty for one that stands alone.
    modules
        Of the formats.
    notes
        What was left out and is worth a line.
    pending
        What is fetched or unpacked, if that is where the recordings come from.
    """

    folder: Path
    made: bool
    actors: list[str]
    listings: list[str]
    plans: list[str]
    metadata: dict[str, Path]
    text: str
    formats: dict[str, str]
    modules: list[str]
    notes: list[str]
    pending: Pending | None


def open_source(config: Mapping, pending: Pending | None = None) -> Source:
    """Find the configured corpus.

    Parameters
    ----------
    config
        The configuration.
    pending
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
        if config["format"]:
            raise UserError("config: format is set, but corpus is 'sample'; name your corpus, e.g. corpus=ravdess")
        places, names, notes = [Place("", CREMA_D, SAMPLE_FOLDER / "AudioWAV")], sample_clips(), []
        listings = [f"sample seed {config['sample']['seed']}"] * shards
        metadata = {"demographics": SAMPLE_FOLDER / "metadata" / DEMOGRAPHICS}
    elif pending:
        place = configured_places(dict(config) | {"audio": str(FETCHED_FOLDER / name / "AudioWAV")})[0]
        places, listed = [place], make_entries(load_format(place.format), pending.files, pending.archive or place.path)
        names, listings, notes = _known(listed, shards)
        metadata = _brought(place, pending.tables, config["metadata"])
    elif not config["audio"] and (config["format"] or default_format(name)) != CREMA_D:
        format_ = load_format(config["format"] or default_format(name))
        raise UserError(
            f"config: corpus {name!r} needs its recordings: set audio to the folder (of a manifest, the table) "
            f"that has them; its format is that of {format_.title}"
        )
    elif not config["audio"]:
        raise UserError(
            f"config: corpus {name!r} needs its recordings: set audio to the folder or archive that holds them, e.g. "
            f"--config corpus={name} audio=/data/AudioWAV; without it only corpus=crema-d is fetched"
        )
    else:
        places = configured_places(config)
        names, listings, notes = _known(_list_all(places), shards)
        metadata = _metadata(places, config["metadata"])
    actors = sorted({name.actor for name in names})
    plans = plan_digests([name.clip for name in names], config["augment"], shards)
    formats = formats_of(places)
    modules = sorted({FORMATS[format_] for format_ in formats.values()})
    known = (actors, listings, plans, metadata, write_source(places), formats, modules, notes)
    return Source(places[0].path, name == SAMPLE or pending is not None, *known, pending)


def _known(listed: Sequence[Entry], shards: int) -> tuple[list[tuple], list[str], list[str]]:
    """Give the names of recordings, the digests of the listing, and notes on what is left out."""
    notes = _left_out(listed)
    entries = [entry for entry in listed if not entry.apart]
    if not entries:
        raise UserError("; ".join(notes))
    return [entry.name for entry in entries if entry.name], listing_digests(entries, shards), notes


def _brought(place: Place, tables: Sequence[str], folder: str | None) -> dict[str, Path]:
    """Find the tables that come with the recordings, or those that the user names."""
    if folder or place.format != CREMA_D:
        return _metadata([place], folder) if folder else {}
    found = {"demographics": DEMOGRAPHICS, "votes": VOTES}.items()
    return {key: place.path.parent / "metadata" / table for key, table in found if table in tables}


def _metadata(places: Sequence[Place], folder: str | None) -> dict[str, Path]:
    """Find the tables of CREMA-D, as no other format has any."""
    place = next((place for place in places if place.format == CREMA_D), None)
    if place:
        return find_metadata(place.path, folder)
    if folder:
        raise UserError("config: metadata is set, but only recordings in CREMA-D's format have such tables")
    return {}


def _left_out(entries: Sequence[Entry]) -> list[str]:
    counts = Counter(entry.apart for entry in entries if entry.apart)
    return [
        f"audio: recordings of {what} that are left out: {count}; another format reads them"
        for what, count in sorted(counts.items())
    ]
