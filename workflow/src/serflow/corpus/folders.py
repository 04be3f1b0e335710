"""Listing the files of a folder: the one lister of corpora and of what is labelled."""

import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

# Suffixes of libsndfile's formats that are used for speech, and of other audio that it does not read.
SOUND = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64", ".rf64", ".sph")
OTHER_SOUND = (".m4a", ".aac", ".mp4", ".wma", ".amr", ".3gp", ".webm", ".mka", ".mov", ".wv", ".ape", ".ac3")


class FileStatus(NamedTuple):
    """Size in bytes, time of the last change in nanoseconds, inode and mode of a file; zeros where it is not there."""

    size: int = 0
    modified: int = 0
    inode: int = 0
    mode: int = 0


def list_files(
    folder: str | Path, suffixes: Collection[str], *, nested: bool = True
) -> Iterator[tuple[str, FileStatus]]:
    """Yield the files of a folder by suffix, whatever its case, without opening them.

    Links to folders are followed once. Hidden names and ``__MACOSX`` are skipped. Pipes, devices and links that lead
    nowhere are listed like files, so that reading them reports what they are.

    Parameters
    ----------
    folder
        The folder.
    suffixes
        The suffixes of the files, lower case with the full stop.
    nested
        Whether folders below it are listed too.

    Yields
    ------
    (str, FileStatus)
        Path relative to the folder, with ``/`` between names, and status, in no particular order.

    Raises
    ------
    OSError
        If the folder, or one below it, cannot be read.
    """
    endings = tuple(suffixes)
    root = os.stat(folder)  # noqa: PTH116 - text or a path
    waiting, seen = [""], {(root.st_dev, root.st_ino)}
    while waiting:
        below = waiting.pop()
        with os.scandir(Path(folder, below)) as found:
            members = sorted(found, key=lambda member: member.name)  # decides which link to a folder is followed
        for member in members:
            if member.name.startswith(".") or member.name == "__MACOSX":
                continue
            try:
                status = member.stat()
            except OSError:  # a link that leads nowhere, which reading the file reports
                status = member.stat(follow_symlinks=False)
            if nested and stat.S_ISDIR(status.st_mode):
                if (place := (status.st_dev, status.st_ino)) not in seen:  # a loop of links ends here
                    seen.add(place)
                    waiting.append(f"{below}{member.name}/")
            elif member.name.lower().endswith(endings):
                yield (
                    f"{below}{member.name}",
                    FileStatus(status.st_size, status.st_mtime_ns, status.st_ino, status.st_mode),
                )
