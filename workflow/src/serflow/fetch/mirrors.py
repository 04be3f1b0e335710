"""Download recordings from the first mirror that has all of them, unchanged.

``canonical`` is a function of the caller that returns the current name of a file, as names have changed over time.
"""

import hashlib
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from serflow.fetch.archive import AUDIO, Digest, FolderOf, archive_kind, list_archive, unpack_archive
from serflow.fetch.download import NoRoom, fetch, need_room, shown
from serflow.fetch.kaggle import fetch_from_kaggle
from serflow.runtime.errors import UserError
from serflow.runtime.progress import tell

Digests = Mapping[str, Digest]  # of recordings by file name
Canonical = Callable[[str], str]


class Mirror(NamedTuple):
    """A place to download recordings from: its name, and an https address or, on Kaggle, owner/name of a data set."""

    name: str
    address: str
    kaggle: bool = False


def fetch_recordings(
    mirrors: Sequence[Mirror],
    folder: Path,
    *,
    clips: Collection[str],
    canonical: Canonical,
    folder_of: FolderOf,
    pointers: Digests,
    room: int,
) -> tuple[Mirror, Digests, int]:
    """Unpack the archive of the first mirror that has all clips, and print the errors of the mirrors before it.

    Parameters
    ----------
    mirrors
        In the order in which to try them.
    folder
        Folder to unpack to; downloads are stored beside it.
    clips
        Canonical names without suffix of all recordings.
    canonical
        See above.
    folder_of
        See :func:`serflow.fetch.archive.list_archive`.
    pointers
        See :func:`read_pointers`. If empty, pointers are used that a mirror has in place of recordings.
    room
        Bytes that the recordings take.

    Returns
    -------
    tuple
        The mirror, the digests of its recordings, and how many of them were compared with pointers.

    Raises
    ------
    UserError
        If no mirror has the recordings.
    """
    for mirror in mirrors:
        archive = _download_path(folder, mirror.address)
        try:
            if mirror.kaggle:
                need_room(folder.parent, 2 * room)
                fetch_from_kaggle(mirror.address, archive)
            else:
                fetch(mirror.address, archive, check=archive_kind, room=room)
            digests = unpack(archive, folder, folder_of)
            pointers = pointers or _only_pointers(digests, canonical)
            found = Counter(Path(canonical(file)).stem for file in digests)
            if missing := sorted(set(clips).difference(found)):
                raise UserError(f"has {len(found):,} of the {len(clips):,} clips; {missing[0]} is missing")
            if (most := found.most_common(1)[0])[1] > 1:
                raise UserError(f"has the clip {most[0]} twice")
            checked = check_recordings(digests, pointers, canonical)
            if not pointers:
                tell("the recordings were not compared with the published ones; fetch.pointers allows that")
            return mirror, digests, checked
        except UserError as error:
            if not isinstance(error, NoRoom):
                archive.unlink(missing_ok=True)
            reason = str(error).removeprefix(f"{archive}: ").removeprefix(f"{mirror.name}: ")
            tell(f"mirror {mirror.name}: {reason}")
    raise UserError(
        f"fetch.mirrors: none of {', '.join(mirror.name for mirror in mirrors)} has the recordings; their errors are "
        "printed above; name other mirrors, or set audio to a folder or an archive with the recordings"
    )


def unpack(archive: Path, folder: Path, folder_of: FolderOf) -> dict[str, Digest]:
    """Unpack recordings and tables, once the whole archive was read without error and the disk has room for them."""
    shutil.rmtree(folder, ignore_errors=True)
    members = list_archive(archive, folder_of)
    if not any(member.folder == AUDIO for member in members):
        raise UserError(f"{archive}: holds no recordings")
    need_room(folder.parent, sum(member.size for member in members))
    print(f"unpacking {len(members):,} files", file=sys.stderr, flush=True)
    return unpack_archive(archive, folder, folder_of)


def read_pointers(place: str | None, folder: Path, canonical: Canonical, folder_of: FolderOf) -> dict[str, Digest]:
    """Return the Git LFS pointers in an archive by canonical file name.

    Parameters
    ----------
    place
        Path or https address of the archive; None for no pointers.
    folder, canonical, folder_of
        As in :func:`fetch_recordings`.

    Raises
    ------
    UserError
        If the archive cannot be read or has no pointers.
    """
    if place is None:
        return {}
    path, name = Path(place).expanduser(), place
    if place.startswith("https:"):
        path, name = _download_path(folder, place), shown(place)
        fetch(place, path, check=archive_kind)
    elif not path.is_file():
        raise UserError(f"fetch.pointers: {place}: no such file; name an archive with Git LFS pointers")
    pointers = _only_pointers(unpack(path, folder, folder_of), canonical)
    if not pointers:
        raise UserError(f"fetch.pointers: {name}: has no Git LFS pointers of recordings")
    return pointers


def check_recordings(digests: Digests, pointers: Digests, canonical: Canonical) -> int:
    """Compare recordings with their pointers; return how many have one.

    Raises
    ------
    UserError
        If a recording differs from its pointer, or is a pointer itself.
    """
    if any(digest.pointer for digest in digests.values()):
        raise UserError(
            "holds Git LFS pointers in place of the recordings, as a plain archive of the repository does; clone it "
            "with git lfs, or take another mirror"
        )
    published = {file: pointers[canonical(file)] for file in sorted(digests) if canonical(file) in pointers}
    wrong = [file for file, pointer in published.items() if digests[file][:2] != pointer[:2]]
    if wrong:
        file, more = wrong[0], f" (and {len(wrong) - 1} more)" if wrong[1:] else ""
        what = "size" if digests[file].bytes != published[file].bytes else "sha256"
        raise UserError(f"{file}{more} is not as published: its {what} differs from that in the Git LFS pointer")
    if pointers:
        tell(f"{len(published):,} of {len(digests):,} recordings have the published size and sha256")
    return len(published)


def _only_pointers(digests: Digests, canonical: Canonical) -> dict[str, Digest]:
    return {canonical(file): digest for file, digest in digests.items() if digest.pointer}


def _download_path(folder: Path, address: str) -> Path:
    return folder.with_name(hashlib.sha256(address.encode()).hexdigest()[:16])
