"""Kinds of features: what models read. One file each.

A kind has the function ``compute(rows, settings, threads)``, an iterator over batches of feature rows, which both the
workflow and inference use, and the constants

- ``READS``: what it is computed from: ``"fixed"`` (clips of the common length, float32 of shape (clips, samples)) or
  the name of another kind (its rows);
- ``WRITES``: ``"npy"`` for arrays, ``"parquet"`` for named columns, which ``column_names(settings)`` returns;
- ``SETTINGS``: the rules of its settings in JSON Schema, each with a ``default``. They are the section of the
  configuration with the name of the kind.

``settings`` is one dictionary: ``sampling_rate``, ``target_length`` and ``frame_size`` in samples, then the settings of
the kind and of the kind that it reads. The result does not depend on the number of ``threads``.
``check_settings(config)`` is optional and raises ``UserError`` for settings
that contradict each other.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from serflow.runtime.plugins import REQUIRED, Plugins

if TYPE_CHECKING:  # the command line lists the kinds and must start fast
    import numpy as np

KINDS = Plugins(
    __name__,
    what="feature kind",
    function="compute",
    constants={"READS": REQUIRED, "WRITES": REQUIRED, "SETTINGS": {}},
)


def kind_settings(kind: str, config: Mapping) -> dict:
    """Return the settings in a configuration that a kind depends on, apart from the length of the clips."""
    return {"sampling_rate": config["sampling_rate"]} | {
        key: value for name in lineage(kind) for key, value in config.get(name, {}).items()
    }


def lineage(kind: str) -> list[str]:
    """Return the kinds that a kind is computed from, the first of them first, and the kind itself."""
    reads = KINDS.find(kind, "features").reads
    return [*(lineage(reads) if reads in KINDS else []), kind]


def compute_features(kind: str, clips: "np.ndarray", settings: Mapping, threads: int = 1) -> "np.ndarray":
    """Compute the features of a few clips exactly as the workflow does.

    Parameters
    ----------
    kind
        Name of the kind.
    clips
        float32 of shape (clips, samples), of the common length.
    settings, threads
        As described in :mod:`serflow.features`.

    Returns
    -------
    ndarray
        float32 of shape (clips, …, 1).
    """
    import numpy as np

    rows = clips
    for name in lineage(kind):
        rows = np.concatenate(list(KINDS[name].load().compute(rows, settings, threads)))
    return rows[..., None]
