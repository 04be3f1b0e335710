"""Fundamental frequency in Hz, and whether a frame is voiced, by pYIN.

A frame without voice has no fundamental frequency. It holds what lies on the straight line between the voiced frames
around it, before the first and after the last of them the nearest value, so that statistics over time are those of the
voice and not of zeros. The column ``voiced`` says which frames are: 1, or 0. In a clip without any voiced frame both
are 0.

YIN alone would be 20 times as fast, but finds a fundamental frequency in every frame, silence included.

Source: Mauch and Dixon, "pYIN: A fundamental frequency estimator using probabilistic threshold distributions", 2014.
"""

from collections.abc import Mapping

import numpy as np

from serflow.audio.framing import FramedClips

LOWEST, HIGHEST = 60.0, 600.0  # Hz
WINDOW = 0.064  # seconds; nearly four periods of the lowest, whatever the length of the frames is
# In semitones. The cost grows with the square of the number of steps: with a hop of 10 ms a clip of CREMA-D takes 1.0 s
# at 0.1, the default of librosa, and 0.25 s at 0.2.
RESOLUTION = 0.2
# The widest prior of the article (thresholds have the mean 0.2). With the narrowest, the default of librosa, 18 of 82
# clips of CREMA-D have no voiced frame, with this one 2.
THRESHOLDS = (2, 8)
# Octaves per second, the default of librosa; and semitones from one frame to the next, which librosa does not limit to
# those that there are.
FASTEST, FARTHEST = 35.92, int(12 * np.log2(HIGHEST / LOWEST))


def columns(settings: Mapping) -> list[str]:
    """Return the names of the two columns."""
    return ["f0", "voiced"]


def compute(frames: FramedClips, settings: Mapping) -> np.ndarray:
    """Return float32 of shape (clips, 2, frames)."""
    import librosa

    rate, hop_length, count = frames.sampling_rate, frames.hop_length, frames.samples.shape[1]
    values = np.zeros((len(frames.clips), 2, count), np.float32)
    for row, clip in zip(values, frames.clips, strict=True):
        pitch, voiced, _ = librosa.pyin(
            clip,
            fmin=LOWEST,
            fmax=HIGHEST,
            sr=rate,
            frame_length=round(WINDOW * rate),
            hop_length=hop_length,
            resolution=RESOLUTION,
            beta_parameters=THRESHOLDS,
            max_transition_rate=min(FASTEST, FARTHEST * rate / (12 * hop_length)),
            fill_na=None,
        )
        # librosa centres its frames in the same places, and may have one more at the end.
        where = np.flatnonzero(voiced[:count])
        if len(where):
            row[0] = np.interp(np.arange(count), where, pitch[where])
            row[1, where] = 1
    return values
