"""Mel-frequency cepstral coefficients: the cosine transform of a mel spectrum in dB, as librosa computes them."""

import functools
from collections.abc import Mapping

import numpy as np

from serflow.audio.framing import FramedClips
from serflow.audio.stft import mel_spectrum, power_to_db

N_MELS = 128


def columns(settings: Mapping) -> list[str]:
    """Return the names of the coefficients, ``n_mfcc`` of them."""
    return [f"mfcc{index:02d}" for index in range(settings["n_mfcc"])]


def compute(frames: FramedClips, settings: Mapping) -> np.ndarray:
    """Return float32 of shape (clips, n_mfcc, frames)."""
    mel = mel_spectrum(frames.power, frames.sampling_rate, frames.frame_size, N_MELS)
    return (power_to_db(mel, relative=False) @ dct_matrix(N_MELS, settings["n_mfcc"])).transpose(0, 2, 1)


@functools.cache
def dct_matrix(n_mels: int, n_mfcc: int) -> np.ndarray:
    """Return the first columns of the orthonormal DCT-II, float32 of shape (n_mels, n_mfcc)."""
    order = np.arange(n_mfcc)
    matrix = np.cos(np.pi * (2 * np.arange(n_mels)[:, None] + 1) * order / (2 * n_mels)) * np.sqrt(2 / n_mels)
    matrix[:, 0] /= np.sqrt(2)
    return matrix.astype(np.float32)
