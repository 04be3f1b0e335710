"""Where the recordings of a corpus are: one folder or table, or several that together are one corpus."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from serflow.corpus.formats import CREMA_D, FORMATS, is_table
from serflow.runtime.errors import UserError


class Location(NamedTuple):
    """A corpus, or one corpus of a union."""

    name: str  # in the union; empty for a single corpus
    format: str
    path: Path  # folder of the recordings; for a manifest the table

    @property
    def root(self) -> Path:
        """The folder that file names are relative to."""
        return self.path.parent if is_table(self.format) else self.path


def find_location(locations: Sequence[Location], file: str) -> Location:
    """Return where a recording is; in a union ``file`` begins with the name of the corpus."""
    name = file.partition("/")[0]
    return next(location for location in locations if location.name in ("", name))


def recording_path(locations: Sequence[Location], file: str) -> Path:
    """Return the path of a recording."""
    location = find_location(locations, file)
    return location.root / file.removeprefix(f"{location.name}/" if location.name else "")


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
