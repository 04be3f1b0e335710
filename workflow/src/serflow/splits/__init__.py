"""Protocols: which clips a run trains on, validates on and is tested on. One file each.

A protocol has the function ``split(labels, copies, settings)``, which returns the rows of its split table, and the
constants

- ``TITLE``: what it is, in a few words;
- ``ORDER``: its place from the leakiest to the strictest protocol;
- ``LEAKY``: why its results are too good, or None (default);
- ``COPIES``: the kinds of copies that it may use;
- ``APART``: what must not be in two parts of a fold, besides a recording and its copies: ``"speaker"``, ``"corpus"``;
- ``SETTINGS``: the settings of the section ``split`` that it uses;
- ``FORCES``: settings that it forces on every network.

Whether it tests on speakers that were not trained on, which a report puts first, is found from the predictions.

``split`` receives clip → label of the clips to use, name and origin of each copy, and ``settings``: those of the
section ``split``, and of the corpus ``speakers``, ``formats`` (name of each corpus of a union, empty for a single
corpus → its format), ``usable`` (all readable clips) and ``overlaps`` (as
:func:`serflow.splits.overlaps.find_overlaps` returns it). It raises ``UserError`` if the corpus does not suit it.
``count_folds(speakers, formats, settings)`` is optional; without it there is one fold. ``settings`` is the section
``split``.
"""

from collections.abc import Mapping, Sequence

from serflow.corpus.copies import KINDS
from serflow.runtime.plugins import REQUIRED, Plugins

PARTS = ("train", "valid", "test")
PROTOCOLS = Plugins(
    __name__,
    what="protocol",
    function="split",
    constants={
        "TITLE": REQUIRED,
        "ORDER": REQUIRED,
        "LEAKY": None,
        "COPIES": KINDS,
        "APART": (),
        "FORCES": {},
        "SETTINGS": ("test", "valid", "random_state"),
    },
    hyphens=True,
)
Row = tuple[str, str, int, str, str]  # clip, origin, fold, part, label


def count_folds(protocol: str, speakers: Sequence[str], formats: Mapping[str, str], settings: Mapping) -> int:
    """Count the folds of a protocol on a corpus; ``UserError`` if the corpus does not suit it.

    ``settings`` is the section ``split`` of the configuration.
    """
    module = PROTOCOLS.find(protocol, "runs").load()
    return module.count_folds(speakers, formats, settings) if hasattr(module, "count_folds") else 1
