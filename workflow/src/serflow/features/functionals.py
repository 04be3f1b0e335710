"""Functionals: what a clip's frame features are like as a whole, for models that know nothing of time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from serflow.errors import UserError
from serflow.store import read_table, write_table

STATISTICS = ("mean", "sd", "p05", "p50", "p95", "slope")
_DELTA_REACH = 2


def delta(track: np.ndarray) -> np.ndarray:
    """Give the slope of each feature around each frame, by least squares over two frames to either side.

    Parameters
    ----------
    track
        Shape (features, frames); the ends are repeated.

    Returns
    -------
    ndarray
        Of the same shape, per frame.

    References
    ----------
    Young et al., "The HTK Book" (version 3.4), 2006, equation 5.16.
    """
    frames, steps = track.shape[1], range(1, _DELTA_REACH + 1)
    padded = np.pad(track, ((0, 0), (_DELTA_REACH, _DELTA_REACH)), mode="edge")

    def shifted(by: int) -> np.ndarray:
        return padded[:, _DELTA_REACH + by : _DELTA_REACH + by + frames]

    return sum(step * (shifted(step) - shifted(-step)) for step in steps) / (2 * sum(step**2 for step in steps))


def statistics(track: np.ndarray) -> np.ndarray:
    """Describe each feature over time.

    Parameters
    ----------
    track
        Shape (features, frames).

    Returns
    -------
    ndarray
        float64 of shape (features, 6), in the order of :data:`STATISTICS`. The slope is that of the straight
        line through the frames, from the clip's beginning (0) to its end (1).
    """
    time = np.linspace(-0.5, 0.5, track.shape[1]) if track.shape[1] > 1 else np.zeros(1)
    slope = track @ time / max(time @ time, np.finfo(float).tiny)
    return np.column_stack([track.mean(1), track.std(1), *np.percentile(track, (5, 50, 95), axis=1), slope])


def functionals(track: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Describe one clip, without the silence that it was padded with.

    Parameters
    ----------
    track
        Frame features, shape (features, frames).
    energy
        RMS of each frame, shape (frames,). Frames after the last that has any are padding.

    Returns
    -------
    ndarray
        float32 of shape (12 · features + 1,): the statistics of each feature, those of its deltas, and the
        number of frames that count.
    """
    sounding = np.flatnonzero(energy > 0)
    frames = int(sounding[-1]) + 1 if sounding.size else track.shape[1]
    track = np.asarray(track[:, :frames], dtype=np.float64)
    values = [statistics(track).ravel(), statistics(delta(track)).ravel(), [frames]]
    return np.concatenate(values).astype(np.float32)


def column_names(features: Sequence[str]) -> list[str]:
    """Name the values of :func:`functionals`."""
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
    import pyarrow as pa

    table = read_table(frames)
    columns = table.column_names[1:]
    features = list(dict.fromkeys(name.rpartition("_")[0] for name in columns))
    if "rms" not in features or len(columns) % len(features):
        raise UserError(f"{frames}: not a table of frame features; delete it to have it made again")
    values = np.column_stack([table[name].to_numpy() for name in columns])
    tracks = values.reshape(len(values), len(features), -1)
    names = column_names(features)
    energy = features.index("rms")
    rows = np.array([functionals(track, track[energy]) for track in tracks], dtype=np.float32).reshape(-1, len(names))
    made = dict(zip(names, np.ascontiguousarray(rows.T), strict=True))
    write_table(output, pa.table({"clip": table["clip"]} | made))
