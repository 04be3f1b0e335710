"""Put the recordings of a corpus in place: out of an archive, or from the first mirror that has all of them, unchanged.

All work is done in ``.fetch`` below the folder of the corpus. At the end the recordings are renamed into place, and
``manifest.csv``, which later steps wait for, is written last.
"""

import contextlib
import hashlib
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from serflow import storage
from serflow.corpus.crema_d_names import parse_name
from serflow.corpus.crema_d_release import TABLES, UNPACKED_BYTES, Table, named_mirror, official_clips
from serflow.corpus.pending import folder_of
from serflow.fetch.archive import AUDIO, METADATA, Digests, FolderOf, archive_kind, list_archive, unpack_archive
from serflow.fetch.download import NoRoom, fetch, need_room, shown
from serflow.fetch.kaggle import fetch_from_kaggle
from serflow.runtime.errors import UserError
from serflow.runtime.locking import hold_lock
from serflow.runtime.progress import tell

MANIFEST = "manifest.csv"
SOURCE = "source.json"  # says where recordings came from, so that they may be replaced
_WORK = ".fetch"


def fetch_corpus(*, archive: Path | None, settings: Mapping, folder: Path) -> None:
    """Put the recordings and tables of a corpus in place.

    Parameters
    ----------
    archive
        Archive to unpack; None to download CREMA-D.
    settings
        The section ``fetch`` of the configuration: ``mirrors`` and ``pointers``.
    folder
        Folder to which ``AudioWAV/``, ``metadata/``, ``source.json`` and, at the end, ``manifest.csv`` (file, bytes,
        sha256) are written.

    Raises
    ------
    UserError
        If the recordings cannot be fetched, or ``folder`` holds recordings that were not fetched.
    """
    hold_lock(folder / f"{_WORK}.lock")
    with _workplace(folder) as unpacked:
        pointers = _read_pointers(settings["pointers"], unpacked)
        if archive:
            about, (recordings, found) = {"archive": str(archive)}, _unpack(archive, unpacked, folder_of)
            checked = _check_recordings(archive, recordings, found, pointers)
        else:
            about, recordings, checked = _fetch_recordings(settings["mirrors"], unpacked, pointers)
            for name, table in TABLES.items():
                _add_table(unpacked / METADATA / name, table)
        _put_in_place(unpacked, folder, recordings, about | {"checked": checked})


@contextlib.contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    """Yield the folder to unpack to. After an error only incomplete downloads stay."""
    if any((folder / AUDIO).glob("*")) and not (folder / SOURCE).is_file():
        raise UserError(
            f"{folder / AUDIO}: holds recordings that were not fetched; set audio to that folder to use them, or move "
            "them away"
        )
    work = folder / _WORK
    work.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(work / "replaced", ignore_errors=True)
    try:
        yield work / "unpacked"
        shutil.rmtree(work)
    finally:
        shutil.rmtree(work / "unpacked", ignore_errors=True)
        with contextlib.suppress(OSError):  # downloads are in it, or it is gone
            work.rmdir()


def _fetch_recordings(names: Sequence[str], folder: Path, pointers: Digests) -> tuple[dict, Digests, int]:
    """Unpack the first mirror that has all clips; return where they are from, and how many have a pointer."""
    clips = {name.clip for name in official_clips()}

    def wanted(file: str) -> str | None:
        return folder_of(file) if file in TABLES or Path(_canonical(file)).stem in clips else None

    for mirror in map(named_mirror, names):
        archive = _download_path(folder, mirror.address)
        try:
            if mirror.kaggle:
                need_room(folder.parent, 2 * UNPACKED_BYTES)
                fetch_from_kaggle(mirror.address, archive)
            else:
                fetch(mirror.address, archive, check=archive_kind, room=UNPACKED_BYTES)
            recordings, found = _unpack(archive, folder, wanted)
            pointers = pointers or found
            counts = Counter(Path(_canonical(file)).stem for file in [*recordings, *found])
            if missing := sorted(clips - counts.keys()):
                raise UserError(f"has {len(counts):,} of the {len(clips):,} clips; {missing[0]} is missing")
            if (most := counts.most_common(1)[0])[1] > 1:
                raise UserError(f"has the clip {most[0]} twice")
            checked = _check_recordings(archive, recordings, found, pointers)
            if not pointers:
                tell("the recordings were not compared with the published ones; fetch.pointers allows that")
            address = mirror.address if mirror.kaggle else shown(mirror.address)
            return {"mirror": mirror.name, "address": address}, recordings, checked
        except UserError as error:
            if not isinstance(error, NoRoom):
                archive.unlink(missing_ok=True)
            reason = str(error).removeprefix(f"{archive}: ").removeprefix(f"{mirror.name}: ")
            tell(f"mirror {mirror.name}: {reason}")
    raise UserError(
        f"fetch.mirrors: none of {', '.join(named_mirror(name).name for name in names)} has the recordings; their "
        "errors are printed above; name other mirrors, or set audio to a folder or an archive with the recordings"
    )


def _unpack(archive: Path, folder: Path, folder_of: FolderOf) -> tuple[Digests, Digests]:
    """Unpack an archive that was read to its end without error; return recordings, and pointers by current name."""
    shutil.rmtree(folder, ignore_errors=True)
    members = list_archive(archive, folder_of)
    if not any(member.folder == AUDIO for member in members):
        raise UserError(f"{archive}: holds no recordings")
    need_room(folder.parent, sum(member.size for member in members))
    print(f"unpacking {len(members):,} files", file=sys.stderr, flush=True)
    recordings, pointers = unpack_archive(archive, folder, folder_of)
    return recordings, {_canonical(file): digest for file, digest in pointers.items()}


def _read_pointers(place: str | None, folder: Path) -> Digests:
    """Return the Git LFS pointers in an archive, a path or an https address, by current file name."""
    if place is None:
        return {}
    path, name = Path(place).expanduser(), place
    if place.startswith("https:"):
        path, name = _download_path(folder, place), shown(place)
        fetch(place, path, check=archive_kind)
    elif not path.is_file():
        raise UserError(f"fetch.pointers: {place}: no such file; name an archive with Git LFS pointers")
    _, pointers = _unpack(path, folder, folder_of)
    if not pointers:
        raise UserError(f"fetch.pointers: {name}: has no Git LFS pointers of recordings")
    return pointers


def _check_recordings(archive: Path, recordings: Digests, found: Digests, pointers: Digests) -> int:
    """Refuse pointers in place of recordings, and recordings that differ from theirs; return how many have one."""
    if found:
        raise UserError(
            f"{archive}: holds Git LFS pointers in place of the recordings, as a plain archive of the repository does; "
            "clone it with git lfs, or take another mirror"
        )
    published = {file: pointers[_canonical(file)] for file in sorted(recordings) if _canonical(file) in pointers}
    wrong = [file for file, digest in published.items() if recordings[file] != digest]
    if wrong:
        file, more = wrong[0], f" (and {len(wrong) - 1} more)" if wrong[1:] else ""
        what = "size" if recordings[file][0] != published[file][0] else "sha256"
        raise UserError(
            f"{archive}: {file}{more} is not as published: its {what} differs from that in the Git LFS pointer"
        )
    if pointers:
        tell(f"{len(published):,} of {len(recordings):,} recordings have the published size and sha256")
    return len(published)


def _canonical(file: str) -> str:
    """Return the current name of a file of CREMA-D, and other names as they are."""
    path = Path(file)
    with contextlib.suppress(UserError):
        return parse_name(path.stem).clip + path.suffix.lower()
    return file


def _download_path(folder: Path, address: str) -> Path:
    return folder.with_name(hashlib.sha256(address.encode()).hexdigest()[:16])


def _add_table(path: Path, table: Table) -> None:
    """Download a table; write an empty one if that fails."""

    def check(head: bytes) -> None:
        if table.column.encode() not in head:
            raise UserError(f"not {path.name} of CREMA-D: it begins with {head[:16]!r}")

    for address in table.addresses:
        try:
            fetch(address, path, check=check)
        except UserError as error:
            tell(str(error))
    if not path.exists():
        tell(f"{path.name} cannot be downloaded; set metadata to a folder that has it")
        storage.write_text(path, table.header)


def _put_in_place(unpacked: Path, folder: Path, recordings: Digests, about: Mapping) -> None:
    (folder / MANIFEST).unlink(missing_ok=True)  # its recordings are about to change
    storage.write_json(folder / SOURCE, about)
    if (folder / AUDIO).exists():
        (folder / AUDIO).rename(unpacked.with_name("replaced"))
    (unpacked / AUDIO).rename(folder / AUDIO)
    (folder / METADATA).mkdir(exist_ok=True)
    for table in (unpacked / METADATA).glob("*.csv"):
        table.replace(folder / METADATA / table.name)
    os.sync()  # the recordings must be on the disk before the manifest, which is flushed
    rows = [(file, *digest) for file, digest in sorted(recordings.items())]
    storage.write_csv(folder / MANIFEST, ["file", "bytes", "sha256"], rows)
