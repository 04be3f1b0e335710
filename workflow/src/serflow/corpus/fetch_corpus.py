"""Put the recordings of a corpus in place, from a mirror or out of an archive.

All work is done in ``.fetch`` below the folder of the corpus. At the end the recordings are renamed into place, and
``manifest.csv``, which later steps wait for, is written last.
"""

import contextlib
import csv
import io
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from serflow import storage
from serflow.corpus.crema_d_names import parse_name
from serflow.corpus.crema_d_release import TABLES, UNPACKED_BYTES, Table, named_mirror, official_clips
from serflow.corpus.pending import folder_of
from serflow.fetch.archive import AUDIO, METADATA
from serflow.fetch.download import fetch, shown
from serflow.fetch.mirrors import Digests, check_recordings, fetch_recordings, read_pointers, unpack
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
        If the recordings cannot be had, or ``folder`` holds recordings that were not fetched.
    """
    hold_lock(folder / f"{_WORK}.lock")
    with _workplace(folder) as unpacked:
        pointers = read_pointers(settings["pointers"], unpacked, _canonical, folder_of)
        if archive:
            about, digests = {"archive": str(archive)}, unpack(archive, unpacked, folder_of)
            try:
                checked = check_recordings(digests, pointers, _canonical)
            except UserError as error:
                raise UserError(f"{archive}: {error}") from error
        else:
            clips = {name.clip for name in official_clips()}
            mirror, digests, checked = fetch_recordings(
                [named_mirror(name) for name in settings["mirrors"]],
                unpacked,
                clips=clips,
                canonical=_canonical,
                folder_of=lambda file: (
                    folder_of(file) if file in TABLES or Path(_canonical(file)).stem in clips else None
                ),
                pointers=pointers,
                room=UNPACKED_BYTES,
            )
            about = {"mirror": mirror.name, "address": mirror.address if mirror.kaggle else shown(mirror.address)}
            for name, table in TABLES.items():
                _add_table(unpacked / METADATA / name, table)
        _put_in_place(unpacked, folder, digests, about | {"checked": checked})


def _canonical(file: str) -> str:
    """Return the current name of a file of CREMA-D, and other names as they are."""
    path = Path(file)
    with contextlib.suppress(UserError):
        return parse_name(path.stem).clip + path.suffix.lower()
    return file


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


def _put_in_place(unpacked: Path, folder: Path, digests: Digests, about: Mapping) -> None:
    (folder / MANIFEST).unlink(missing_ok=True)  # its recordings are about to change
    storage.write_json(folder / SOURCE, about)
    if (folder / AUDIO).exists():
        (folder / AUDIO).rename(unpacked.with_name("replaced"))
    (unpacked / AUDIO).rename(folder / AUDIO)
    (folder / METADATA).mkdir(exist_ok=True)
    for table in (unpacked / METADATA).glob("*.csv"):
        table.replace(folder / METADATA / table.name)
    os.sync()  # the recordings must be on the disk before the manifest, which is flushed
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "bytes", "sha256"])
    writer.writerows([file, *digests[file][:2]] for file in sorted(digests))
    storage.write_text(folder / MANIFEST, text.getvalue())
