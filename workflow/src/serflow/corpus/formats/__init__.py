"""The corpora that serflow reads: one file each, named as the setting ``format``.

A format has the constant ``TITLE`` and the function ``parse(path)``, which reads the path of a recording, relative to
the folder of the corpus and without its suffix, and returns an :class:`~serflow.corpus.listing.Utterance`. It raises
``UserError`` for a name that does not follow the format. Optional are

- ``NESTED = False`` if recordings lie in one folder only;
- ``LANGUAGE``: code of the language that is spoken (ISO 639-1), if it is one, for model cards;
- ``PEOPLE``: speaker → :class:`~serflow.corpus.listing.Person`;
- ``describe_excluded(path)``: what a recording is that the format leaves out, or None;
- ``published_folds(speakers)``: the groups of speakers that are tested on in turn;
- ``list_recordings(path)`` for a corpus that is a table and not a folder, and ``describe_row(path, clip)``, the
  beginning of a message about a row of it.
"""

from collections.abc import Mapping
from types import ModuleType

from serflow.runtime.plugins import REQUIRED, Plugins

CREMA_D = "crema-d"
FORMATS = Plugins(
    __name__,
    what="corpus format",
    function="parse",
    constants={"TITLE": REQUIRED, "NESTED": True, "LANGUAGE": None},
    hyphens=True,
)


def is_table(format_: str) -> bool:
    """Return whether a corpus of a format is a table, and not a folder of recordings."""
    return "list_recordings" in FORMATS.find(format_, "config: format").functions


def load_formats(formats: Mapping[str, str]) -> dict[str, ModuleType]:
    """Import formats: corpus → name of its format gives corpus → module."""
    return {
        corpus: FORMATS.find(name, f"format of {corpus or 'the corpus'}").load() for corpus, name in formats.items()
    }
