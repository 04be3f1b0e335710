"""Recordings that are fetched or unpacked first, listed before any rule has run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from serflow.corpus.crema_d_release import TABLES, official_clips
from serflow.corpus.folders import OTHER_SOUND, SOUND
from serflow.corpus.formats import CREMA_D, is_table
from serflow.corpus.listing import SUFFIXES
from serflow.corpus.locations import default_format
from serflow.fetch.archive import AUDIO, METADATA, list_archive
from serflow.runtime.errors import UserError

FETCHED_FOLDER = Path("resources/corpora")
_TABLES = (*TABLES, "summaryTable.csv", "SentenceFilenames.csv")


class Pending(NamedTuple):
    """Recordings that will be fetched or unpacked."""

    archive: Path | None  # that they are unpacked from; None if they are downloaded
    files: list[tuple[str, int]]  # name and size in bytes of each recording; the size is 0 if it is not known
    tables: list[str]  # names of the metadata tables that come with them
    unread: Sequence[str] = ()  # names of sound files in the archive whose format is not read


def folder_of(file: str) -> str | None:
    """Return the folder that a file of an archive is unpacked to; None for a file that is not needed."""
    if file in _TABLES:
        return METADATA
    return AUDIO if file.lower().endswith(SUFFIXES) else None


def find_pending(config: Mapping) -> Pending | None:
    """Return what ``fetch_corpus`` will put in place, whether or not it is there already.

    Returns
    -------
    Pending or None
        None if nothing is fetched: for the sample, a folder, or no recordings at all.

    Raises
    ------
    UserError
        If ``audio`` is a file, but not an archive of recordings.
    """
    audio, format_ = config["audio"], config["format"] or default_format(config["corpus"])
    if isinstance(audio, Mapping) or is_table(format_):
        return None
    if audio is None:
        if config["corpus"] != CREMA_D or format_ != CREMA_D:
            return None
        return Pending(None, [(f"{name.clip}.wav", 0) for name in official_clips()], list(TABLES))
    path = Path(audio).expanduser()
    try:
        if not path.is_file():
            return None
        unread: list[str] = []

        def folder_or_note(file: str) -> str | None:
            folder = folder_of(file)
            if folder is None and file.lower().endswith((*SOUND, *OTHER_SOUND)):
                unread.append(file)
            return folder

        members = list_archive(path, folder_or_note)
    except OSError as error:
        raise UserError(f"audio: {path}: {error.strerror}; check the path and its permissions") from error
    except UserError as error:
        raise UserError(f"audio: {error}") from error
    files = [(member.file, member.size) for member in members if member.folder == AUDIO]
    if not files:
        raise UserError(f"audio: {path} has no .wav or .flac files; name the archive that holds the recordings")
    return Pending(path, files, [member.file for member in members if member.folder == METADATA], unread)
