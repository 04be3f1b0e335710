"""Random changes of a spectrogram while a model trains, other ones in each epoch."""

from collections.abc import Mapping

import numpy as np

_MASKS = 2  # of each kind


def augment(values: np.ndarray, settings: Mapping, random: np.random.Generator, *, own_length: bool) -> np.ndarray:
    """Return a changed copy of a spectrogram.

    Parameters
    ----------
    values
        float32 of shape (bands, frames).
    settings
        ``stretch``: the rate of time is drawn from 1 - stretch to 1 + stretch; ``shift_frames`` and ``shift_bands``:
        greatest shifts to either side, the values at the edge are repeated; ``gain``: greatest number that is added to
        or subtracted from all values; ``mask_frames`` and ``mask_bands``: greatest width of each of two masks, which
        have the mean of the clip. 0 switches a change off.
    random
        Source of the random numbers.
    own_length
        Whether stretching changes the number of frames; else it stays and the last frame is repeated.

    Returns
    -------
    ndarray
        float32 of shape (bands, frames).

    Notes
    -----
    Masks: Park et al., "SpecAugment", Proc. Interspeech 2019, section 2, without time warping.
    """
    draws = random.uniform(-1, 1, 4)  # always all of them, so that one setting does not change another's numbers
    rate = 1 + draws[0] * settings["stretch"]
    bands, frames = values.shape
    if settings["stretch"] or settings["shift_frames"]:
        count = max(1, round(frames / rate)) if own_length else frames
        values = _interpolated(values.T, np.arange(count) * rate + draws[1] * settings["shift_frames"]).T
        frames = count
    if settings["shift_bands"]:
        values = _interpolated(values, np.arange(bands) + draws[2] * settings["shift_bands"])
    values = values + np.float32(draws[3] * settings["gain"])
    mean = values.mean()
    for axis, size, widest in ((1, frames, settings["mask_frames"]), (0, bands, settings["mask_bands"])):
        for share, place in random.uniform(size=(_MASKS, 2)):
            width = min(int(share * (widest + 1)), size)
            start = int(place * (size - width + 1))
            masked = (slice(None), slice(start, start + width)) if axis else slice(start, start + width)
            values[masked] = mean
    return values


def _interpolated(rows: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return rows at positions between them, by linear interpolation; beyond the ends the last row is repeated."""
    positions = np.clip(positions, 0, len(rows) - 1)
    before = np.minimum(positions.astype(np.int64), max(len(rows) - 2, 0))
    weight = (positions - before).astype(np.float32)[:, None]
    return (1 - weight) * rows[before] + weight * rows[np.minimum(before + 1, len(rows) - 1)]


def mix(values: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    """Return ``share`` of the features of a clip and the rest of another's, repeated up to the length of the first.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.
    """
    if values.shape != other.shape:
        other = other[:, np.arange(values.shape[1]) % other.shape[1]]
    return np.float32(share) * values + np.float32(1 - share) * other
