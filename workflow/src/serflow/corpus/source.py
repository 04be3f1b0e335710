"""Opening the configured corpus: its recordings and the plan of copies, written down for the jobs shard by shard.

The controller lists the corpus when it reads the Snakefile and writes ``listing/{shard}.parquet``,
``listing/groups.parquet`` (what a manifest says about speakers and groups) and ``plan/{shard}.parquet``. A file is
written only if its content changes, so a new clip makes one shard stale. Jobs read the files of their own shard; a job
on a cluster, which reads the Snakefile again, does not list the corpus again.
"""

import hashlib
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from serflow import storage
from serflow.corpus.copies import PLAN_SCHEMA, plan_by_shard
from serflow.corpus.formats import CREMA_D, FORMATS, is_table
from serflow.corpus.ids import corpus_of
from serflow.corpus.labels import check_labels, used_label
from serflow.corpus.listing import Entry, FileStatus, Utterance, in_union, list_entries, make_entries, unread_entries
from serflow.corpus.locations import Location, configured_locations, default_format, find_location, recording_path
from serflow.corpus.metadata import TABLES, find_metadata
from serflow.corpus.pending import FETCHED_FOLDER, Pending, find_pending
from serflow.corpus.sample import sample_clips
from serflow.corpus.shards import shard_names, shard_of
from serflow.runtime.errors import UserError, did_you_mean, printable

SAMPLE = "sample"
SAMPLE_FOLDER = FETCHED_FOLDER / SAMPLE
LISTING_SCHEMA = {
    "clip": "string",
    "file": "string",
    "path": "binary",  # names of files may be any bytes
    "speaker": "string",
    "sentence": "string",
    "emotion": "string",
    "level": "string",
    "corpus": "string",
    "start": "float64",
    "end": "float64",
    "table": "binary",  # of a manifest
    "problem": "string",
    "version": "string",
}
_SEEN_SCHEMA = {"file": "binary", **dict.fromkeys(FileStatus._fields, "int64"), "version": "string"}


class Corpus(NamedTuple):
    """What is known about a corpus before any rule runs."""

    folder: Path  # where the recordings are or will be; the first folder of a union
    made: bool  # whether a rule puts them there: they are fetched, unpacked or synthesised
    archive: Path | None  # that they are unpacked from
    speakers: list[str]  # of the labels that are used, sorted
    metadata: dict[str, Path]  # the tables "demographics" and "votes", as far as there are any
    formats: dict[str, str]  # name of each corpus of a union (empty for a single corpus) → its format
    notes: list[str]  # what was left out and the user should know


def open_corpus(config: Mapping, results: Path, *, list_anew: bool = True) -> Corpus:
    """Open the configured corpus and write its listing and its plan of copies.

    Parameters
    ----------
    config
        The configuration.
    results
        Folder of the corpus' results.
    list_anew
        Whether to list the recordings. If not, the corpus is as the controller has written it down.

    Raises
    ------
    UserError
        If the settings contradict each other, or there are no recordings.
    """
    summary = results / "listing/corpus.json"
    if list_anew:
        corpus, entries, locations = _find(config)
        for path in (corpus.folder, corpus.archive, *corpus.metadata.values()):
            if re.search("[\ud800-\udfff]", str(path)):  # how Python shows bytes that are not UTF-8
                raise UserError(f"audio: {path}: the path is not UTF-8; rename the folder or file")
        _write_listing(results, entries, locations, config["shards"])
        _write_groups(results, entries)
        if config["segments"] == "recordings":  # a rule plans the copies of segments of speech
            _write_plan(results, [entry.name.clip for entry in entries if entry.name], config)
        texts = {"folder": str(corpus.folder), "archive": corpus.archive and str(corpus.archive)}
        texts["metadata"] = {key: str(path) for key, path in corpus.metadata.items()}
        known = json.loads(json.dumps(corpus._asdict() | texts))
        if not (summary.is_file() and storage.read_json(summary) == known):
            storage.write_json(summary, known)
        return corpus
    known = storage.read_json(summary)
    paths = {"folder": Path(known["folder"]), "archive": known["archive"] and Path(known["archive"])}
    paths["metadata"] = {key: Path(path) for key, path in known["metadata"].items()}
    return Corpus(**known | paths)


def _find(config: Mapping) -> tuple[Corpus, list[Entry], list[Location]]:
    name, archive = config["corpus"], None
    if name == SAMPLE:
        for key in ("audio", "metadata", "format"):
            if config[key]:
                raise UserError(f"config: {key} is set, but corpus is 'sample'; name your corpus, e.g. corpus=crema-d")
        locations, made = [Location("", CREMA_D, SAMPLE_FOLDER / "AudioWAV")], True
        entries = _list_made(locations[0], Pending(None, [(f"{clip.clip}.wav", 0) for clip in sample_clips()], []))
        metadata = {"demographics": SAMPLE_FOLDER / "metadata" / TABLES["demographics"]}
    elif pending := find_pending(config):
        locations = configured_locations({**config, "audio": str(FETCHED_FOLDER / name / "AudioWAV")})
        made, archive = True, pending.archive
        entries = _list_made(locations[0], pending) + unread_entries(pending.unread)
        metadata = _fetched_metadata(locations[0], pending.tables, config["metadata"])
    elif not config["audio"]:
        chosen = config["format"] or default_format(name)
        what = "table" if is_table(chosen) else "folder or archive"
        only = "" if chosen != CREMA_D else "; only corpus=crema-d can be fetched"
        raise UserError(
            f"config: corpus {name!r} ({FORMATS[chosen].title}) needs its recordings: set audio to their {what}, e.g. "
            f"--config corpus={name} audio=/data/AudioWAV{only}"
        )
    else:
        locations, made = configured_locations(config), False
        entries = [
            in_union(location.name, entry) if location.name else entry
            for location in locations
            for entry in list_entries(FORMATS[location.format].load(), location.path)
        ]
        metadata = _given_metadata(locations, config["metadata"])
    counts = Counter(entry.excluded for entry in entries if entry.excluded)
    notes = [f"audio: left out {count} {what}" for what, count in counts.items()]
    entries = [entry for entry in entries if not entry.excluded]
    if not entries:
        raise UserError("; ".join(notes))
    unknown = name not in (SAMPLE, *FORMATS) and not config["format"] and not locations[0].name
    if unknown and (hint := did_you_mean(name, FORMATS)):
        notes.append(f"corpus: {name!r} is not a format, so its files are read as named in CREMA-D{hint}")
    union = bool(locations[0].name)
    names = [entry.name for entry in entries if entry.name]
    labels = [(corpus_of(name.speaker) if union else None, name.emotion) for name in names]
    check_labels(labels, config["labels"])
    used = {label for label in set(labels) if used_label(label[1], label[0], config["labels"])}
    speakers = sorted({name.speaker for name, label in zip(names, labels, strict=True) if label in used})
    formats = {location.name: location.format for location in locations}
    return Corpus(locations[0].path, made, archive, speakers, metadata, formats, notes), entries, locations


def _list_made(location: Location, pending: Pending) -> list[Entry]:
    """List recordings that a rule puts in place: as they will be or, once they are there, as they are."""
    format_ = FORMATS[location.format].load()
    table = location.path.parent / "manifest.csv"
    if table.is_file():
        fetched = {row["file"]: int(row["bytes"]) for row in storage.read_csv(table)}
        if not pending.archive or fetched == dict(pending.files):
            entries = list_entries(format_, location.path) if location.path.is_dir() else []
            missing = sorted(fetched.keys() - {entry.file for entry in entries})
            if missing:
                more = f" (and {len(missing) - 1} more)" if missing[1:] else ""
                raise UserError(f"{location.path / missing[0]}: missing{more}; delete {table} to get it again")
            return entries
    return make_entries(format_, [(file, FileStatus()) for file, _ in pending.files], location.path)


def _fetched_metadata(location: Location, tables: Sequence[str], folder: str | None) -> dict[str, Path]:
    if folder or location.format != CREMA_D:
        return _given_metadata([location], folder) if folder else {}
    return {key: location.path.parent / "metadata" / table for key, table in TABLES.items() if table in tables}


def _given_metadata(locations: Sequence[Location], folder: str | None) -> dict[str, Path]:
    location = next((location for location in locations if location.format == CREMA_D), None)
    if location:
        return find_metadata(location.path, folder)
    if folder:
        raise UserError("config: metadata is set, but only corpora in CREMA-D's format have such tables")
    return {}


def _write_listing(results: Path, entries: Sequence[Entry], locations: Sequence[Location], shards: int) -> None:
    versions = _versions(results, entries, locations)
    by_shard: list[list[tuple]] = [[] for _ in range(shards)]
    for entry, version in zip(entries, versions, strict=True):
        location, path = find_location(locations, entry.file), recording_path(locations, entry.file)
        name, problem, shard = entry.name, entry.problem, 0
        if name is None:
            name = Utterance(printable(Path(entry.file).stem), None, None, None, None)
            problem = printable(f"{path}: {problem}; rename or remove it")
        else:
            shard = shard_of(name.speaker, shards)
        row = (printable(entry.file), os.fsencode(path), *name[1:], location.name or None, entry.start, entry.end)
        table = os.fsencode(location.path) if entry.row else None
        by_shard[shard].append((name.clip, *row, table, problem, version))
    for shard, rows in zip(shard_names(shards), by_shard, strict=True):
        _write_if_changed(results / f"listing/{shard}.parquet", sorted(rows), LISTING_SCHEMA)


def _write_groups(results: Path, entries: Sequence[Entry]) -> None:
    """Write what the rows of manifests say about speakers and groups; beside the listing, which it must not change."""
    about = {entry.name.clip: entry.about for entry in entries if entry.name and entry.about}
    names = sorted({name for known in about.values() for name in known})
    schema = {"clip": "string"} | {name: "int32" if name == "age" else "string" for name in names}
    rows = [(clip, *map(known.get, names)) for clip, known in sorted(about.items())]
    _write_if_changed(results / "listing/groups.parquet", rows, schema)


def _write_plan(results: Path, clips: Sequence[str], config: Mapping) -> None:
    plan = plan_by_shard(clips, config["augment"], config["shards"])
    for shard, rows in zip(shard_names(config["shards"]), plan, strict=True):
        _write_if_changed(results / f"plan/{shard}.parquet", rows, PLAN_SCHEMA)


def _write_if_changed(path: Path, rows: Sequence[tuple], schema: Mapping[str, str]) -> None:
    table = storage.table_of(rows, schema)
    if path.is_file() and storage.read_table(path).equals(table):
        return
    storage.write_table(path, table)


def _versions(results: Path, entries: Sequence[Entry], locations: Sequence[Location]) -> list[str]:
    """Return a text for each recording that changes with its content: the status of the file when it was first seen.

    If a later status differs, the version stays if the sha256 is the one that ``read_recordings`` has noted.
    """
    path = results / "listing/seen.parquet"
    seen = {}
    if path.is_file():
        columns = storage.read_table(path).to_pydict()
        for file, *status, version in zip(*columns.values(), strict=True):
            seen[os.fsdecode(file)] = FileStatus(*status), version
    digests: dict[str, str] | None = None
    statuses, versions = {entry.file: entry.status for entry in entries}, {}  # a file may have several pieces
    for file, now in statuses.items():
        status, versions[file] = seen.get(file, (None, None))
        if status != now:
            if status is not None and digests is None:
                digests = _noted_digests(results)
            if status is None or not _is_same(recording_path(locations, file), now, digests.get(printable(file))):
                versions[file] = "-".join(map(str, now))
    rows = [(os.fsencode(file), *statuses[file], version) for file, version in versions.items()]
    _write_if_changed(path, sorted(rows), _SEEN_SCHEMA)
    return [versions[entry.file] for entry in entries]


def _noted_digests(results: Path) -> dict[str, str]:
    digests = {}
    for path in (results / "recordings").glob("*.parquet"):
        columns = storage.read_table(path, ["file", "sha256"]).to_pydict()
        digests |= dict(zip(columns["file"], columns["sha256"], strict=True))
    return digests


def _is_same(path: Path, status: FileStatus, noted: str | None) -> bool:
    if noted is None or not stat.S_ISREG(status.mode):
        return False
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == noted
    except OSError:
        return False
