"""Functionals: what a clip's frame features are like as a whole, for models that know nothing of time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from serflow.features.frame_features import ENERGY
from serflow.runtime.errors import UserError
from serflow.storage import read_row_groups, write_tables

STATISTICS = ("mean", "sd", "p05", "p50", "p95", "slope")
_DELTA_REACH = 2


def delta(tracks: np.ndarray) -> np.ndarray:
    """Give the slope of each feature around each frame, by least squares over two frames to either side.

    Parameters
    ----------
    tracks
        Shape (..., frames); the ends are repeated.

    Returns
    -------
    ndarray
        Of the same shape, per frame.

    References
    ----------
    Young et al., "The HTK Book" (version 3.4), 2006, equation 5.16.
    """
    frames, steps = tracks.shape[-1], range(1, _DELTA_REACH + 1)
    ends = [(0, 0)] * (tracks.ndim - 1) + [(_DELTA_REACH, _DELTA_REACH)]
    padded = np.pad(tracks, ends, mode="edge")

    def shifted(by: int) -> np.ndarray:
        return padded[..., _DELTA_REACH + by : _DELTA_REACH + by + frames]

    return sum(step * (shifted(step) - shifted(-step)) for step in steps) / (2 * sum(step**2 for step in steps))


def statistics(tracks: np.ndarray) -> np.ndarray:
    """Describe each feature over time.

    Parameters
    ----------
    tracks
        Shape (..., frames).

    Returns
    -------
    ndarray
        float64 of shape (..., 6), in the order of :data:`STATISTICS`. The slope is that of the straight
        line through the frames, from the clip's beginning (0) to its end (1).
    """
    frames = tracks.shape[-1]
    time = np.linspace(-0.5, 0.5, frames) if frames > 1 else np.zeros(1)
    slope = tracks @ time / max(time @ time, np.finfo(float).tiny)
    percentiles = np.percentile(tracks, (5, 50, 95), axis=-1)
    return np.stack([tracks.mean(-1), tracks.std(-1), *percentiles, slope], axis=-1)


def functionals(tracks: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Describe clips, without the silence that they were padded with.

    Parameters
    ----------
    tracks
        Frame features, shape (clips, features, frames).
    energy
        RMS of each frame, shape (clips, frames). Frames after the last that has any are padding.

    Returns
    -------
    ndarray
        float32 of shape (clips, 12 · features + 1): the statistics of each feature, those of its deltas, and the
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


def column_names(features: Sequence[str]) -> list[str]:
    """Name the columns of :func:`functionals`."""
    kinds = ("", "_delta")
    return [*(f"{name}{kind}_{what}" for kind in kinds for name in features for what in STATISTICS), "frames"]


def extract_functionals(frames: Path, *, output: Path) -> None:
    """Write the functionals of a shard: the column ``clip`` and the named float32 columns.

    Parameters
    ----------
    frames
        The shard's frame features; a column is named ``{feature}_{frame}``.
    output
        The Parquet table.

    Raises
    ------
    UserError
        If the table is not one of frame features.
    """
    from serflow.storage.arrow import pa

    def described() -> Iterator[pa.Table]:
        for table in read_row_groups(frames):
            columns = table.column_names[1:]
            features = list(dict.fromkeys(name.rpartition("_")[0] for name in columns))
            if ENERGY not in features or len(columns) % len(features):
                raise UserError(f"{frames}: not a table of frame features; delete it to have it made again")
            values = np.column_stack([table[name].to_numpy() for name in columns])
            tracks = values.reshape(len(values), len(features), len(columns) // len(features))
            rows = functionals(tracks, tracks[:, features.index(ENERGY)])
            named = zip(column_names(features), np.ascontiguousarray(rows.T), strict=True)
            yield pa.table({"clip": table["clip"]} | dict(named))

    write_tables(output, described())
