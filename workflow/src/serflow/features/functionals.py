"""Functionals: statistics of the frame features of a clip over time, for models without time."""

from collections.abc import Iterator, Mapping

import numpy as np

from serflow.features.frame_features import ENERGY, track_names
from serflow.runtime.errors import UserError

READS = "frames"
WRITES = "parquet"
TIME = False
NAMED = True
SETTINGS = {}
STATISTICS = ("mean", "sd", "p05", "p50", "p95", "slope")


def delta(tracks: np.ndarray) -> np.ndarray:
    """Return the slope of each feature, shape (..., frames), at each frame, by least squares over five frames.

    The ends are repeated. Source: Young et al., "The HTK Book" (version 3.4), 2006, equation 5.16.
    """
    padded = np.pad(tracks, [(0, 0)] * (tracks.ndim - 1) + [(2, 2)], mode="edge")
    first, second, _, fourth, fifth = (padded[..., by : by + tracks.shape[-1]] for by in range(5))
    return ((fourth - second) + 2 * (fifth - first)) / 10


def statistics(tracks: np.ndarray) -> np.ndarray:
    """Return the :data:`STATISTICS` of each feature, shape (..., frames), over time, float64 of shape (..., 6).

    The slope is that of the straight line through the frames, from the clip's beginning (0) to its end (1).
    """
    frames = tracks.shape[-1]
    time = np.linspace(-0.5, 0.5, frames) if frames > 1 else np.zeros(1)
    slope = tracks @ time / max(time @ time, np.finfo(float).tiny)
    percentiles = np.percentile(tracks, (5, 50, 95), axis=-1)
    return np.stack([tracks.mean(-1), tracks.std(-1), *percentiles, slope], axis=-1)


def functionals(tracks: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Return the functionals of clips without the silence that they were padded with.

    Parameters
    ----------
    tracks
        Frame features, shape (clips, features, frames).
    energy
        RMS of each frame, shape (clips, frames). Frames after the last one with energy are padding.

    Returns
    -------
    ndarray
        float32 of shape (clips, 12 · features + 1): the statistics of each feature and of its deltas, and the
        number of frames that count.
    """
    clips, features, frames = tracks.shape
    sounding = energy > 0
    counts = np.where(sounding.any(axis=1), frames - sounding[:, ::-1].argmax(axis=1), frames)
    values = np.empty((clips, 2 * len(STATISTICS) * features + 1), dtype=np.float32)
    values[:, -1] = counts
    for count in np.unique(counts):
        chosen = counts == count
        kept = tracks[chosen, :, :count].astype(np.float64)
        described = np.concatenate([statistics(kept), statistics(delta(kept))], axis=1)
        values[chosen, :-1] = described.reshape(len(kept), -1)
    return values


def column_names(settings: Mapping) -> list[str]:
    """Return ``{feature}_{statistic}``, then ``{feature}_delta_{statistic}``, then ``frames``."""
    names = track_names(settings["features"], settings)
    return [*(f"{name}{kind}_{what}" for kind in ("", "_delta") for name in names for what in STATISTICS), "frames"]


def check_settings(config: Mapping) -> None:
    """Raise ``UserError`` if the frame features lack the energy, by which padding is recognised."""
    if ENERGY not in config["frames"]["features"]:
        raise UserError(
            f"config: frames.features lacks {ENERGY!r}, which functionals need to tell a clip from the silence after "
            f"it: add {ENERGY}, or leave out the models that read functionals"
        )


def compute(rows: np.ndarray, settings: Mapping, threads: int = 1) -> Iterator[np.ndarray]:
    """Compute the functionals of clips from the rows and with the settings of :mod:`serflow.features.frames`."""
    names = track_names(settings["features"], settings)
    tracks = rows.reshape(len(rows), len(names), rows.shape[1] // len(names))
    yield functionals(tracks, tracks[:, names.index(ENERGY)])
