"""Where the recordings of a corpus are: one folder or table, or several that together are one corpus."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from serflow.corpus.formats import CREMA_D, FORMATS
from serflow.corpus.listing import Entry
from serflow.runtime.errors import UserError


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


def manifest_of(locations: Sequence[Location], entry: Entry) -> Path | None:
    """Return the table that lists an entry, or None if its corpus is a folder."""
    return _split(locations, entry.file)[0].path if entry.row else None


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
        format_ = FORMATS.find(chosen or default_format(config["corpus"]), "config: format").name
        return [Location("", format_, Path(audio).expanduser())]
    if chosen:
        raise UserError("config: format is set, but audio names several corpora; set the format of each of them there")
    locations = []
    for name, at in sorted(audio.items()):
        at = {"path": at} if isinstance(at, str) else at
        wanted = at.get("format", name)
        if wanted not in FORMATS and "format" not in at:
            raise UserError(
                f"config: audio.{name}: the name is not a format ({', '.join(FORMATS)}); set the format: "
                f'{{"{name}": {{"format": "…", "path": "…"}}}}'
            )
        format_ = FORMATS.find(wanted, f"config: audio.{name}.format").name
        locations.append(Location(name, format_, Path(at["path"]).expanduser()))
    return locations


def default_format(corpus: str) -> str:
    """Return the format of a corpus whose setting ``format`` is null: its name if that is a format, else CREMA-D's."""
    return corpus if corpus in FORMATS else CREMA_D
