"""Features of a few clips at once, in the shape that a model reads, exactly as the rules compute them."""

from collections.abc import Mapping

import numpy as np

from serflow.features import frames, mel
from serflow.features.frame_features import ENERGY, feature_names
from serflow.features.functionals import functionals


def compute_features(kind: str, clips: np.ndarray, settings: Mapping, threads: int = 1) -> np.ndarray:
    """Compute what a model reads.

    Parameters
    ----------
    kind
        ``"frames"``, ``"mel"`` or ``"functionals"``.
    clips
        float32 of shape (clips, samples), of the length that the model was trained on.
    settings
        ``sampling_rate`` and, for mel, ``n_mels``, ``n_fft`` and ``hop_length``; for the others ``frame_size``,
        ``features`` and ``n_mfcc``.
    threads
        The result does not depend on them.

    Returns
    -------
    ndarray
        float32 of shape (clips, …, 1).
    """
    if kind == "mel":
        names = ("sampling_rate", "n_mels", "n_fft", "hop_length")
        parts = list(mel.log_mel(clips, threads=threads, **{name: settings[name] for name in names}))
    else:
        names = ("sampling_rate", "frame_size", "features", "n_mfcc")
        parts = list(frames.frame_features(clips, threads=threads, **{name: settings[name] for name in names}))
    values = np.concatenate(parts)
    if kind == "functionals":
        names = feature_names(settings["features"], settings)
        tracks = values.reshape(len(values), len(names), values.shape[1] // len(names))
        values = functionals(tracks, tracks[:, names.index(ENERGY)])
    return values[..., None]
