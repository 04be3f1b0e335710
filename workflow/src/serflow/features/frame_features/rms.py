"""Root mean square of each frame's samples, zeros beyond the clip's ends."""

from collections.abc import Mapping

import numpy as np

from serflow.audio.framing import FramedClips


def compute(frames: FramedClips, settings: Mapping) -> np.ndarray:
    """Return float32 of shape (clips, frames)."""
    return np.sqrt(np.einsum("cfs,cfs->cf", frames.samples, frames.samples) / frames.frame_size)
