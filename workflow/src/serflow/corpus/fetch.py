"""Bringing recordings: from mirrors in turn, or out of an archive, checked and put in place as a whole.

Everything happens in ``.fetch`` below the corpus' folder. The recordings are renamed into place at the end and
``manifest.csv``, which later steps wait for, is written last.
"""

import csv
import hashlib
import io
import os
import shutil
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from serflow import storage
from serflow.corpus.archive import (
    AUDIO,
    LIMITS,
    METADATA,
    Digest,
    Limits,
    check_is_archive,
    list_archive,
    unpack_archive,
)
from serflow.corpus.crema_d_names import parse_name
from serflow.corpus.download import Downloader, NoRoom, need_room
from serflow.corpus.kaggle import fetch_from_kaggle
from serflow.corpus.metadata import DEMOGRAPHICS, VOTES
from serflow.corpus.official import TABLES, UNPACKED_BYTES, Mirror, named_mirror, official_clips
from serflow.runtime.errors import UserError
from serflow.runtime.locking import hold_lock
from serflow.runtime.progress import tell

MANIFEST = "manifest.csv"
SOURCE = "source.json"  # says where recordings came from, and thereby that they may be replaced
_WORK = ".fetch"
_POINTERS = (
    "holds Git LFS pointers in place of the recordings, as a plain archive of the repository does; clone it with "
    "git lfs, or take another mirror"
)
# Of a table that could not be had.
_HEADERS = {
    DEMOGRAPHICS: '"ActorID","Age","Sex","Race","Ethnicity"\n',
    VOTES: '"","A","D","F","H","N","S","fileName"\n',
}
Digests = Mapping[str, Digest]


def fetch_corpus(*, archive: Path | None, settings: Mapping, folder: Path) -> None:
    """Bring a corpus.

    Parameters
    ----------
    archive
        The archive to unpack; without one CREMA-D is downloaded.
    settings
        The section ``fetch`` of the configuration: ``mirrors`` and ``pointers``.
    folder
        Where to put ``AudioWAV/``, ``metadata/``, ``source.json`` and, when all that is there, ``manifest.csv``
        (file, bytes, sha256).

    Raises
    ------
    UserError
        If the recordings cannot be had, or others lie there already.
    """
    hold_lock(folder / f"{_WORK}.lock")
    if archive is None:
        clips = {name.clip for name in official_clips()}
        download_corpus(folder, [named_mirror(name) for name in settings["mirrors"]], clips, settings["pointers"])
    else:
        unpack_corpus(folder, archive, settings["pointers"])


def unpack_corpus(folder: Path, archive: Path, pointers: str | None, *, limits: Limits = LIMITS) -> None:
    """Put the recordings of an archive in place; parameters are those of :func:`download_corpus`."""
    work = _begin(folder)
    try:
        known = _read_pointers(pointers, work, Downloader(), limits)
        digests = _unpack(archive, work, lambda file: True, limits)
        if any(digest.pointer for digest in digests.values()):
            raise UserError(f"{archive}: {_POINTERS}")
        checked = _check_digests(digests, known)
        _put_in_place(work, folder, digests, {"archive": str(archive), "checked": checked})
        shutil.rmtree(work)
    finally:
        _end(work)


def download_corpus(
    folder: Path,
    mirrors: Sequence[Mirror],
    clips: Collection[str],
    pointers: str | None,
    *,
    tables: Mapping[str, Sequence[str]] = TABLES,
    room: int = UNPACKED_BYTES,
    downloader: Downloader | None = None,
    limits: Limits = LIMITS,
) -> None:
    """Put a corpus in place from the first mirror that has it.

    Parameters
    ----------
    folder
        As in :func:`fetch_corpus`.
    mirrors
        Where from, in the order in which to try.
    clips
        Names of all clips; a mirror that has not all of them is passed over.
    pointers
        Path or https address of an archive with the Git LFS pointers that all recordings are checked against.
        None: those are used that a mirror had in place of recordings.
    tables
        For each metadata table, where it is looked for when it does not come with the recordings.
    room
        Bytes that the recordings take.
    downloader
        How to fetch.
    limits
        How large archives may be.

    Raises
    ------
    UserError
        If no mirror has the recordings. What each lacked is told before.
    """
    work, downloader = _begin(folder), downloader or Downloader()
    try:
        known = _read_pointers(pointers, work, downloader, limits)
        for mirror in mirrors:
            archive = _place(work, mirror.address)
            try:
                digests = _obtain(mirror, archive, work, clips, downloader, room, limits)
                if any(digest.pointer for digest in digests.values()):
                    known = known or _by_clip(digests)
                    raise UserError(_POINTERS)
                _check_complete(digests, clips)
                checked = _check_digests(digests, known)
            except UserError as error:
                if not isinstance(error, NoRoom):
                    archive.unlink(missing_ok=True)
                reason = str(error).removeprefix(f"{archive}: ").removeprefix(f"{mirror.name}: ")
                tell(f"fetch_corpus: {mirror.name}: {reason}")
                continue
            if not known:
                tell("fetch_corpus: no Git LFS pointers to check the recordings against; fetch.pointers can name some")
            _add_tables(work / "unpacked" / METADATA, work, tables, downloader)
            about = {"mirror": mirror.name, "address": mirror.address, "checked": checked}
            _put_in_place(work, folder, digests, about)
            shutil.rmtree(work)
            return
        raise UserError(
            f"fetch.mirrors: none of {', '.join(mirror.name for mirror in mirrors)} gave the recordings, for the "
            "reasons told above; name others, or set audio to a folder or an archive with the recordings"
        )
    finally:
        _end(work)


def _begin(folder: Path) -> Path:
    """Make room to work in, with what a broken download has left."""
    if any((folder / AUDIO).glob("*")) and not (folder / SOURCE).is_file():
        raise UserError(
            f"{folder / AUDIO}: holds recordings that were not fetched; set audio to that folder to use them, or move "
            "them away"
        )
    work = folder / _WORK
    work.mkdir(parents=True, exist_ok=True)
    _clear(work)
    return work


def _place(work: Path, address: str) -> Path:
    """Give where an archive is downloaded to: a place of its own for each address."""
    return work / hashlib.sha256(address.encode()).hexdigest()[:16]


def _clear(work: Path) -> None:
    for leftover in ("unpacked", "replaced", "tables"):
        shutil.rmtree(work / leftover, ignore_errors=True)


def _end(work: Path) -> None:
    """Leave nothing but downloads that can be gone on with."""
    _clear(work)
    if work.is_dir() and not any(work.iterdir()):
        work.rmdir()


def _obtain(
    mirror: Mirror, archive: Path, work: Path, clips, downloader: Downloader, room: int, limits: Limits
) -> dict[str, Digest]:
    if mirror.kaggle:
        need_room(work, 2 * room)
        fetch_from_kaggle(mirror.address, archive)
    else:
        downloader.fetch(mirror.address, archive, check=check_is_archive, room=room)
    return _unpack(archive, work, lambda file: _clip_of(file) in clips, limits)


def _unpack(archive: Path, work: Path, wanted: Callable[[str], bool], limits: Limits) -> dict[str, Digest]:
    """Unpack into ``unpacked``, once all of the archive was found harmless and there is room for it."""
    unpacked = work / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    members = list_archive(archive, wanted=wanted, limits=limits)
    if not any(member.folder == AUDIO for member in members):
        raise UserError(f"{archive}: holds no recordings")
    need_room(work, sum(member.size for member in members))
    print(f"fetch_corpus: unpacking {len(members):,} files", file=sys.stderr, flush=True)
    return unpack_archive(archive, unpacked, wanted=wanted, limits=limits)


def _clip_of(file: str) -> str | None:
    try:
        return parse_name(Path(file).stem).clip
    except UserError:
        return None


def _by_clip(digests: Digests) -> dict[str, Digest]:
    """Give the pointers of WAV files by clip: a name may have changed, and FLAC has bytes of its own."""
    found = {_clip_of(file): digest for file, digest in digests.items() if file.lower().endswith(".wav")}
    return {clip: digest for clip, digest in found.items() if clip and digest.pointer}


def _read_pointers(place: str | None, work: Path, downloader: Downloader, limits: Limits) -> dict[str, Digest]:
    if place is None:
        return {}
    path = Path(place).expanduser()
    if place.startswith("https:"):
        path = _place(work, place)
        downloader.fetch(place, path, check=check_is_archive)
    elif not path.is_file():
        raise UserError(f"fetch.pointers: {place}: no such file; give an archive with Git LFS pointers")
    known = _by_clip(_unpack(path, work, lambda file: True, limits))
    if not known:
        raise UserError(f"fetch.pointers: {place}: holds no Git LFS pointers of recordings")
    return known


def _check_complete(digests: Digests, clips: Collection[str]) -> None:
    found = [_clip_of(file) for file in sorted(digests)]
    missing = sorted(set(clips).difference(found))
    if missing:
        raise UserError(f"has {len(set(found)):,} of the {len(clips):,} clips; {missing[0]} is missing")
    if len(found) > len(clips):
        twice = next(clip for clip in found if found.count(clip) > 1)
        raise UserError(f"has the clip {twice} twice")


def _check_digests(digests: Digests, known: Digests) -> int:
    """Compare recordings with the repository's pointers; give how many could be."""
    comparable = {file: known.get(_clip_of(file)) for file in sorted(digests) if file.lower().endswith(".wav")}
    comparable = {file: pointer for file, pointer in comparable.items() if pointer}
    wrong = [file for file, pointer in comparable.items() if digests[file][:2] != pointer[:2]]
    if wrong:
        file, more = wrong[0], f" (and {len(wrong) - 1} more)" if wrong[1:] else ""
        what = "size" if digests[file].bytes != comparable[file].bytes else "sha256"
        raise UserError(f"{file}{more} is not as published: its {what} is not that of the Git LFS pointer")
    if known:
        tell(f"fetch_corpus: {len(comparable):,} of {len(digests):,} recordings have the published size and sha256")
    return len(comparable)


def _add_tables(folder: Path, work: Path, tables: Mapping[str, Sequence[str]], downloader: Downloader) -> None:
    """Fetch the tables that did not come with the recordings; one that cannot be had is empty."""
    for name, addresses in tables.items():
        for address in addresses if not (folder / name).exists() else []:
            try:
                downloader.fetch(
                    address, work / "tables" / name, check=lambda head, name=name: _check_is_table(head, name)
                )
            except UserError as error:
                tell(f"fetch_corpus: {error}")
                continue
            (work / "tables" / name).replace(folder / name)
            break
        if not (folder / name).exists():
            tell(f"fetch_corpus: {name} could not be had; set metadata to a folder that has it")
            storage.write_text(folder / name, _HEADERS[name])


def _check_is_table(head: bytes, name: str) -> None:
    column = {DEMOGRAPHICS: b"ActorID", VOTES: b"fileName"}[name]
    if column not in head:
        raise UserError(f"not {name} of CREMA-D: it begins with {head[:16]!r}")


def _put_in_place(work: Path, folder: Path, digests: Digests, about: Mapping) -> None:
    (folder / MANIFEST).unlink(missing_ok=True)  # it would vouch for recordings that are about to change
    storage.write_json(folder / SOURCE, dict(about))
    (work / "replaced").mkdir()
    if (folder / AUDIO).exists():
        (folder / AUDIO).rename(work / "replaced" / AUDIO)
    (work / "unpacked" / AUDIO).rename(folder / AUDIO)
    (folder / METADATA).mkdir(exist_ok=True)
    for table in (work / "unpacked" / METADATA).iterdir():
        table.replace(folder / METADATA / table.name)
    os.sync()  # the manifest is flushed, and so must be what it vouches for
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "bytes", "sha256"])
    writer.writerows([file, *digests[file][:2]] for file in sorted(digests))
    storage.write_text(folder / MANIFEST, text.getvalue())
