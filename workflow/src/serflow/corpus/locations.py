"""Where the recordings of a corpus are: one folder or table, or several that together are one corpus."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from serflow.corpus.formats import CREMA_D, FORMATS
from serflow.corpus.listing import Entry
from serflow.runtime.errors import UserError, did_you_mean


class Location(NamedTuple):
    """A corpus, or one corpus of a union.

    Attributes
    ----------
    name : str
        Its name in the union; empty for a single corpus.
    format : str
    path : Path
        Folder of the recordings; for a manifest the table.
    """

    name: str
    format: str
    path: Path

    @property
    def root(self) -> Path:
        """The folder that file names are relative to."""
        return self.path.parent if self.format == "manifest" else self.path


def formats_of(locations: Sequence[Location]) -> dict[str, str]:
    """Return name → format."""
    return {location.name: location.format for location in locations}


def recording_path(locations: Sequence[Location], file: str) -> Path:
    """Return the path of a recording; in a union ``file`` begins with the name of the corpus."""
    location, below = _split(locations, file)
    return location.root / below


def manifest_row(locations: Sequence[Location], entry: Entry) -> str:
    """Return table and row of an entry as the beginning of a message; an empty text if it is in no manifest."""
    location, _ = _split(locations, entry.file)
    return f"{location.path}, row {entry.row}: " if entry.row else ""


def _split(locations: Sequence[Location], file: str) -> tuple[Location, str]:
    if not locations[0].name:
        return locations[0], file
    name, _, below = file.partition("/")
    return next(location for location in locations if location.name == name), below


def configured_locations(config: Mapping) -> list[Location]:
    """Read the settings ``corpus``, ``format`` and ``audio`` of a corpus that is not the sample.

    Raises
    ------
    UserError
        If a format is unknown, or the settings contradict each other.
    """
    audio, chosen = config["audio"], config["format"]
    if not isinstance(audio, Mapping):
        return [Location("", _known(chosen or default_format(config["corpus"]), "format"), Path(audio).expanduser())]
    if chosen:
        raise UserError("config: format is set, but audio names several corpora; give each of them its format")
    locations = []
    for name, at in sorted(audio.items()):
        at = {"path": at} if isinstance(at, str) else at
        wanted = at.get("format", name)
        if wanted not in FORMATS and "format" not in at:
            raise UserError(
                f"config: audio.{name}: the name is not a format ({', '.join(FORMATS)}); give the format: "
                f'{{"{name}": {{"format": "…", "path": "…"}}}}'
            )
        locations.append(Location(name, _known(wanted, f"audio.{name}.format"), Path(at["path"]).expanduser()))
    return locations


def default_format(corpus: str) -> str:
    """Return the format of a corpus without the setting ``format``: its own name if that is a format, else CREMA-D's."""
    return corpus if corpus in FORMATS else CREMA_D


def _known(name: str, key: str) -> str:
    if name not in FORMATS:
        known = f"{', '.join(FORMATS)}{did_you_mean(name, FORMATS)}"
        raise UserError(f"config: {key} is {json.dumps(name)}, but must be one of {known}")
    return name
