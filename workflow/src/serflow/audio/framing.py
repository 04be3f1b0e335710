"""Clips divided into frames, with the spectra that several features use computed once."""

from functools import cached_property

import numpy as np

from serflow.audio.stft import frame, power_spectrum


class FramedClips:
    """A few clips of one length, divided into centred frames.

    Features share these arrays, so do not change them in place.

    Parameters
    ----------
    clips
        float32 of shape (clips, samples).
    sampling_rate
        In Hz.
    frame_size, hop_length
        In samples.
    """

    def __init__(self, clips: np.ndarray, sampling_rate: int, frame_size: int, hop_length: int):
        self.clips, self.sampling_rate, self.frame_size = clips, sampling_rate, frame_size
        self.hop_length = hop_length

    @cached_property
    def samples(self) -> np.ndarray:
        """Samples of each frame, zeros beyond the ends of the clip: a view of shape (clips, frames, frame_size)."""
        half = self.frame_size // 2
        return frame(np.pad(self.clips, ((0, 0), (half, half))), self.frame_size, self.hop_length)

    @cached_property
    def power(self) -> np.ndarray:
        """Squared magnitude of the short-time Fourier transform, float32 of shape (clips, frames, bins)."""
        return power_spectrum(self.clips, self.frame_size, self.hop_length)

    @cached_property
    def magnitude(self) -> np.ndarray:
        """Magnitude of the short-time Fourier transform, float32 of shape (clips, frames, bins)."""
        return np.sqrt(self.power)

    @property
    def frequencies(self) -> np.ndarray:
        """Centre frequencies of the bins in Hz, float32 of shape (bins,)."""
        return np.fft.rfftfreq(self.frame_size, 1 / self.sampling_rate).astype(np.float32)
