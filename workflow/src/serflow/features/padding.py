"""Clips of different lengths in one array."""

from collections.abc import Sequence

import numpy as np


def padded(clips: Sequence[np.ndarray]) -> np.ndarray:
    """Return clips of different lengths as one array.

    Parameters
    ----------
    clips
        Each of shape (bands, frames).

    Returns
    -------
    ndarray
        float32 of shape (clips, bands, frames of the longest), NaN behind the end of a clip. NaN is the mask: no
        standardisation changes it, and models read it where they need to know where a clip ends.
    """
    whole = np.full((len(clips), clips[0].shape[0], max(clip.shape[1] for clip in clips)), np.nan, np.float32)
    for row, clip in zip(whole, clips, strict=True):
        row[:, : clip.shape[1]] = clip
    return whole
