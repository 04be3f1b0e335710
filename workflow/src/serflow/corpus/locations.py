"""Where a corpus lies: one folder or table, or several under a name each, which together are one corpus."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from serflow.corpus.formats import CREMA_D, FORMATS
from serflow.corpus.formats.base import Entry
from serflow.runtime.errors import UserError, did_you_mean

ALONE = {"": CREMA_D}  # the formats of a plain folder


class Place(NamedTuple):
    """A corpus or a part of a union: its name there (empty where it stands alone), its format, and its path."""

    name: str
    format: str
    path: Path

    @property
    def root(self) -> Path:
        """The folder that its files are relative to."""
        return self.path.parent if self.format == "manifest" else self.path


Location = Path | Mapping[str, Mapping[str, str]]


def places_of(source: Location) -> list[Place]:
    """Give the places of a corpus, by name.

    Parameters
    ----------
    source
        A folder named as in CREMA-D, or name → ``format`` and ``path``, the name being empty for one corpus.
    """
    if not isinstance(source, Mapping):
        return [Place("", CREMA_D, Path(source))]
    return [Place(name, at["format"], Path(at["path"])) for name, at in sorted(source.items())]


def write_source(places: list[Place]) -> str:
    """Write places as the argument of a command."""
    place = places[0]
    plain = (place.name, place.format) == ("", CREMA_D) and not str(place.path).startswith("{")
    if plain:
        return str(place.path)
    return json.dumps({place.name: {"format": place.format, "path": str(place.path)} for place in places})


def read_source(text: str) -> Location:
    """Read the argument of a command: the path of a folder, or JSON."""
    return json.loads(text) if text.startswith("{") else Path(text)


def formats_of(places: list[Place]) -> dict[str, str]:
    """Give the format of each place, by name."""
    return {place.name: place.format for place in places}


def recording_path(places: Sequence[Place], file: str) -> Path:
    """Give the path of a recording that the tables call ``file``; of a union that begins with the corpus' name."""
    place, below = _of_file(places, file)
    return place.root / below


def row_of(places: Sequence[Place], entry: Entry) -> str:
    """Say in which row of a manifest an entry stands, to begin a message with; nothing for one that is in none."""
    place, _ = _of_file(places, entry.file)
    return f"{place.path}, row {entry.row}: " if entry.row else ""


def _of_file(places: Sequence[Place], file: str) -> tuple[Place, str]:
    if not places[0].name:
        return places[0], file
    name, _, below = file.partition("/")
    return next(place for place in places if place.name == name), below


def configured_places(config: Mapping) -> list[Place]:
    """Read the settings ``corpus``, ``format`` and ``audio`` of a corpus that is not the sample.

    Raises
    ------
    UserError
        If a format is unknown, or the settings contradict each other.
    """
    audio, chosen = config["audio"], config["format"]
    if not isinstance(audio, Mapping):
        return [Place("", _known(chosen or default_format(config["corpus"]), "format"), Path(audio).expanduser())]
    if chosen:
        raise UserError("config: format is set, but audio names several corpora; give each of them its format")
    places = []
    for name, at in sorted(audio.items()):
        at = {"path": at} if isinstance(at, str) else at
        wanted = at.get("format", name)
        if wanted not in FORMATS and "format" not in at:
            raise UserError(
                f"config: audio.{name}: the name is no format ({', '.join(FORMATS)}); give the format beside the path: "
                f'{{"{name}": {{"format": "…", "path": "…"}}}}'
            )
        places.append(Place(name, _known(wanted, f"audio.{name}.format"), Path(at["path"]).expanduser()))
    return places


def default_format(corpus: str) -> str:
    """Give the format of a corpus for which none is set: that of its name, else CREMA-D's."""
    return corpus if corpus in FORMATS else CREMA_D


def _known(name: str, key: str) -> str:
    if name not in FORMATS:
        known = f"{', '.join(FORMATS)}{did_you_mean(name, FORMATS)}"
        raise UserError(f"config: {key} is {json.dumps(name)}, but must be one of {known}")
    return name
