"""The corpora that serflow reads: a new one is a file beside this and a line here.

Such a file has a :class:`~serflow.corpus.formats.base.Format` called ``FORMAT``: how to read a file name, which labels
the corpus' codes stand for, and who its speakers are. Modules are imported when they are used, so that an edit of one
makes stale only what was read by it.
"""

import importlib

from serflow.corpus.formats.base import Format
from serflow.errors import UserError

CREMA_D = "crema-d"
FORMATS = {
    CREMA_D: "serflow.corpus.formats.crema_d",
    "emo-db": "serflow.corpus.formats.emo_db",
    "manifest": "serflow.corpus.formats.manifest",
    "ravdess": "serflow.corpus.formats.ravdess",
    "ravdess-song": "serflow.corpus.formats.ravdess_song",
    "savee": "serflow.corpus.formats.savee",
    "tess": "serflow.corpus.formats.tess",
}


def load_format(name: str) -> Format:
    """Give a format by its name.

    Raises
    ------
    UserError
        If there is no such format.
    """
    if name not in FORMATS:
        raise UserError(f"config: format {name!r} is unknown, but must be one of {', '.join(FORMATS)}")
    return importlib.import_module(FORMATS[name]).FORMAT
