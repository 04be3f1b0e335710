"""Zero-crossing rate: the share of a frame's samples at which the sign changes; ends are repeated, as librosa does."""

from collections.abc import Mapping

import numpy as np

from serflow.audio.framing import FramedClips

_ZERO = 1e-10


def compute(frames: FramedClips, settings: Mapping) -> np.ndarray:
    """Return float32 of shape (clips, frames)."""
    size, hop_length = frames.frame_size, frames.hop_length
    negative = np.pad(frames.clips < -_ZERO, ((0, 0), (size // 2, size // 2)), mode="edge")
    changes = np.zeros(negative.shape, dtype=np.int32)
    np.cumsum(negative[:, 1:] != negative[:, :-1], axis=1, out=changes[:, 1:])
    # The change into a frame's first sample is not within the frame, so size - 1 steps count.
    first = changes[:, : changes.shape[1] - size + 1 : hop_length]
    last = changes[:, size - 1 :: hop_length]
    return ((last - first) / size).astype(np.float32)
