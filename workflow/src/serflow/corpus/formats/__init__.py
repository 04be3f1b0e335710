"""The corpora that serflow reads: each is a file beside this, and a new file is a new corpus.

Such a file has a :class:`~serflow.corpus.formats.base.Format` called ``FORMAT``: how to read a file name, which labels
the corpus' codes stand for, and who its speakers are. Modules are imported when they are used, so that an edit of one
makes stale only what was read by it.
"""

import importlib
import pkgutil

from serflow.corpus.formats.base import Format
from serflow.runtime.errors import UserError, did_you_mean

CREMA_D = "crema-d"
# The name of a format is that of its file, with hyphens.
FORMATS = {
    name.replace("_", "-"): f"{__name__}.{name}" for _, name, _ in pkgutil.iter_modules(__path__) if name != "base"
}


def load_format(name: str) -> Format:
    """Give a format by its name.

    Raises
    ------
    UserError
        If there is no such format, or its file has no ``FORMAT``.
    """
    if name not in FORMATS:
        known = f"must be one of {', '.join(FORMATS)}{did_you_mean(name, FORMATS)}"
        raise UserError(f"config: format {name!r} is unknown, but {known}")
    module = importlib.import_module(FORMATS[name])
    if not isinstance(getattr(module, "FORMAT", None), Format):
        raise UserError(f"{module.__file__}: has no FORMAT = Format(...), which says how the corpus is read")
    return module.FORMAT
