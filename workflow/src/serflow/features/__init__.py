"""Kinds of features: what models read. One file each.

A kind has the function ``compute(rows, settings, threads)``, an iterator over batches of feature rows, which both the
workflow and inference use, and the constants

- ``READS``: what it is computed from: ``"fixed"`` (clips of the common length, float32 of shape (clips, samples)),
  ``"audio"`` (recordings or copies at their own length, an iterable of float32 of shape (samples,)), ``"names"`` (the
  names of recordings, which it looks up in a file of the user's: copies have no such features, a model that reads them
  has no bundle, and they are named columns) or the name of another kind (its rows);
- ``WRITES``: ``"npy"`` for arrays, ``"parquet"`` for named columns, which ``column_names(settings)`` returns;
- ``ENCODER``: whether it needs a pretrained encoder, which ``compute`` then takes as the keyword ``encoder``; the
  file imports :func:`serflow.encoders.run.open_encoder`, so that only its kind depends on that code;
- ``OWN_LENGTH``: whether a clip has as many rows as it has frames, shape (frames, bands): ``compute`` then yields the
  rows of one clip at a time, and models read clips of any length, see :func:`serflow.features.padding.padded`;
- ``SPECTROGRAM``: whether models read (bands, frames), which can be augmented while they train;
- ``TIME``: whether the last axis of a row is time or frequency, over which models standardise; without it, models read
  a row as one vector, and those that read any vector can be trained on it;
- ``NAMED``: whether the report shows the importance of each column, which takes time for thousands of them;
- ``FILES``: those of its settings that name a file, or null; a change of the file recomputes the features;
- ``SETTINGS``: the rules of its settings in JSON Schema, each with a ``default``. They are the section of the
  configuration with the name of the kind.

``settings`` is one dictionary: ``sampling_rate``, ``target_length`` and ``frame_size`` in samples, then the settings of
the kind and of the kind that it reads. The result does not depend on the number of ``threads``.
``check_settings(config)`` is optional and raises ``UserError`` for settings
that contradict each other.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from serflow.runtime.plugins import REQUIRED, Plugins

if TYPE_CHECKING:  # the command line lists the kinds and must start fast
    import numpy as np

    from serflow.encoders.run import Encoder

KINDS = Plugins(
    __name__,
    what="feature kind",
    function="compute",
    constants={"READS": REQUIRED, "WRITES": REQUIRED, "ENCODER": False, "TIME": True, "FILES": (), "SETTINGS": {}}
    | {"OWN_LENGTH": False, "SPECTROGRAM": False, "NAMED": False},
)


def kind_settings(kind: str, config: Mapping) -> dict:
    """Return the settings in a configuration that a kind depends on, apart from the length of the clips."""
    return {"sampling_rate": config["sampling_rate"]} | {
        key: value for name in lineage(kind) for key, value in config.get(name, {}).items()
    }


def from_recordings(kind: str) -> bool:
    """Return whether a kind is computed from recordings, and not looked up by their names."""
    return KINDS[lineage(kind)[0]].reads != "names"


def pads(kind: str) -> bool:
    """Return whether a kind is computed from clips that are truncated or padded to one length."""
    return KINDS[lineage(kind)[0]].reads == "fixed"


def lineage(kind: str) -> list[str]:
    """Return the kinds that a kind is computed from, the first of them first, and the kind itself."""
    reads = KINDS.find(kind, "features").reads
    return [*(lineage(reads) if reads in KINDS else []), kind]


def column_names(kind: str, settings: Mapping) -> list[str] | None:
    """Return the names of the columns over time of a kind, None if it has none; ``settings`` as for ``compute``."""
    named = KINDS[kind].writes == "parquet" and KINDS[kind].time
    return KINDS[kind].load().column_names(settings) if named else None


def compute_features(
    kind: str, clips: "Sequence[np.ndarray]", settings: Mapping, threads: int = 1, encoder: "Encoder | None" = None
) -> "np.ndarray":
    """Compute the features of a few clips exactly as the workflow does, in the shape that a model reads.

    Parameters
    ----------
    kind
        Name of the kind.
    clips
        float32 of shape (clips, samples), of the common length, or a list of clips at their own length, as the kind
        needs.
    settings, threads
        As described in :mod:`serflow.features`.
    encoder
        The encoder, for kinds that need one.

    Returns
    -------
    ndarray
        float32 of shape (clips, …, 1). Where clips have lengths of their own, what is behind the end is NaN.
    """
    import numpy as np

    from serflow.features.padding import padded

    rows = clips
    for name in lineage(kind):
        plugin = KINDS[name]
        needed = {"encoder": encoder} if plugin.encoder else {}
        computed = list(plugin.load().compute(rows, settings, threads, **needed))
        rows = padded([clip.T for clip in computed]) if plugin.own_length else np.concatenate(computed)
    return rows[..., None] if KINDS[kind].time else rows.reshape(len(rows), -1, 1)
