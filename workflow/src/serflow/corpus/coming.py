"""What a corpus will hold that is fetched or unpacked first, as the workflow must know it before any rule has run."""

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path

from serflow import storage
from serflow.corpus.archive import AUDIO, METADATA, Member, list_archive
from serflow.corpus.formats import CREMA_D
from serflow.corpus.items import archive_kind
from serflow.corpus.locations import default_format
from serflow.corpus.official import TABLES, official_clips
from serflow.corpus.source import FETCHED_FOLDER, Coming
from serflow.runtime.errors import UserError


def find_coming(config: Mapping) -> Coming | None:
    """Find what ``fetch_corpus`` will bring.

    Returns
    -------
    Coming or None
        None where nothing is to be fetched: the sample, a folder, or no recordings at all. It depends on the
        settings and on the archive that ``audio`` names, and not on what was fetched already.

    Raises
    ------
    UserError
        If ``audio`` is a file and no archive that can be used.
    """
    audio, chosen = config["audio"], config["format"] or default_format(config["corpus"])
    if isinstance(audio, Mapping) or chosen == "manifest":
        return None
    if audio is None:
        if config["corpus"] != CREMA_D or chosen != CREMA_D:
            return None
        files = [(f"{name.clip}.wav", 0, 0, 0) for name in official_clips()]
        return Coming(None, files, list(TABLES))
    path = Path(audio).expanduser()
    try:
        if not path.is_file():
            return None
        members = _list_once(path)
    except OSError as error:
        raise UserError(f"audio: {path}: {error.strerror}; check the path and its permissions") from error
    except UserError as error:
        raise UserError(f"audio: {error}") from error
    files = [(member.file, member.size, member.mark, 0) for member in members if member.folder == AUDIO]
    if not files:
        raise UserError(f"audio: {path} holds no .wav or .flac files; give the archive that holds the recordings")
    return Coming(path, files, [member.file for member in members if member.folder == METADATA])


def _list_once(path: Path) -> list[Member]:
    """List an archive, or read the list again: each job asks for it, and in a tar it is as long as the tar."""
    with path.open("rb") as file:
        kind = archive_kind(file.read(512))
    status = path.stat()
    if kind == "zip":
        return list_archive(path)
    identity = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
    kept = (
        FETCHED_FOLDER / ".listings" / f"{hashlib.sha256(identity.encode(errors='surrogateescape')).hexdigest()}.json"
    )
    if kept.is_file():
        return [Member(*member) for member in storage.read_json(kept)["members"]]
    members = list_archive(path)
    with contextlib.suppress(OSError):  # where it cannot be kept that costs time and nothing else
        storage.write_json(kept, {"members": members})
    return members
