"""Spectral centroid: the mean frequency weighted by magnitude, in Hz; 0 for a silent frame."""

from collections.abc import Mapping

import numpy as np

from serflow.audio.framing import FramedClips


def compute(frames: FramedClips, settings: Mapping) -> np.ndarray:
    """Return float32 of shape (clips, frames)."""
    total = frames.magnitude.sum(axis=2)
    weighted = frames.magnitude @ frames.frequencies
    silent = total < np.finfo(np.float32).tiny
    return np.where(silent, weighted, weighted / np.where(silent, 1, total))
