"""Short-time Fourier transforms, the mel filterbank and decibels, for all features.

The formulas are those of librosa, computed for many clips at once in single precision. Tests compare every result with
librosa.
"""

import collections
import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import ducc0.fft
import numpy as np

# 8 clips of 2.5 s are about 3 MB of spectra: enough to keep the libraries busy, and small enough for caches.
CLIPS_AT_ONCE = 8
_SIMD_ROWS = 16  # single-precision numbers in the widest SIMD registers
_QUIET = np.float32(2.0**-60)  # quieter frames are not scaled further
_AMIN = 1e-10
_TOP_DB = 80.0


def in_batches(compute: Callable[[np.ndarray], np.ndarray], clips: np.ndarray, threads: int) -> Iterator[np.ndarray]:
    """Compute features of clips, shape (clips, samples), in batches, in order, on several threads."""
    pieces = (clips[start : start + CLIPS_AT_ONCE] for start in range(0, len(clips), CLIPS_AT_ONCE))
    if threads == 1:
        yield from map(compute, pieces)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting = collections.deque()
        for piece in pieces:
            waiting.append(pool.submit(compute, piece))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@functools.cache
def hann(length: int) -> np.ndarray:
    """Return the periodic Hann window of ``length`` samples, float32."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)


def frame(clips: np.ndarray, frame_length: int, hop_length: int) -> np.ndarray:
    """Return frames of clips, shape (clips, samples), as a view of shape (clips, frames, ``frame_length``).

    Frames are ``hop_length`` samples apart; none reaches beyond the end.
    """
    return np.lib.stride_tricks.sliding_window_view(clips, frame_length, axis=1)[:, ::hop_length]


def power_spectrum(clips: np.ndarray, n_fft: int, hop_length: int) -> np.ndarray:
    """Return the squared magnitude of the short-time Fourier transform: centred frames, zero padding, Hann window.

    Parameters
    ----------
    clips
        float32 of shape (clips, samples).
    n_fft
        Samples of a frame and of its window.
    hop_length
        Samples from one frame to the next.

    Returns
    -------
    ndarray
        float32 of shape (clips, frames, 1 + n_fft // 2), frames = 1 + samples // hop_length for even n_fft.
    """
    padded = np.pad(clips, ((0, 0), (n_fft // 2, n_fft // 2)))
    frames = frame(padded, n_fft, hop_length)
    (batch, count), pairs = frames.shape[:2], -(-frames.shape[1] // 2)
    # Two real frames share one complex transform, which takes half as long as two real ones for lengths such as
    # 7 · 233. Each is first scaled near full scale by a power of two, which is exact; otherwise a quiet frame would be
    # lost in the rounding errors of a loud one beside it.
    peaks = np.maximum(frames.max(axis=2), -frames.min(axis=2))
    scale = np.ldexp(np.float32(1), -np.frexp(np.maximum(peaks, _QUIET))[1])[:, :, None]
    # The FFT computes several transforms in one SIMD register and the remaining ones one by one, which rounds
    # differently. With spare rows at the end, the values of a clip do not depend on the clips beside it.
    spectrum = np.zeros((-(-batch * pairs // _SIMD_ROWS) * _SIMD_ROWS, n_fft), dtype=np.complex64)
    both = spectrum[: batch * pairs].reshape(batch, pairs, n_fft)
    for first, part in enumerate((both.real, both.imag)):
        half = part[:, : (count + 1 - first) // 2]
        np.multiply(frames[:, first::2], hann(n_fft), out=half)
        half *= scale[:, first::2]
    ducc0.fft.c2c(spectrum, axes=(1,), out=spectrum)
    bins = 1 + n_fft // 2
    power = np.empty((batch, 2 * pairs, bins), dtype=np.float32)
    mirrored = np.empty((batch, pairs, bins), dtype=np.complex64)
    np.conj(both[:, :, :1], out=mirrored[:, :, :1])
    np.conj(both[:, :, : n_fft - bins : -1], out=mirrored[:, :, 1:])
    combined = np.empty_like(mirrored)
    for first, combine in enumerate((np.add, np.subtract)):
        parts = combine(both[:, :, :bins], mirrored, out=combined).view(np.float32)
        parts *= parts
        np.add(parts[:, :, ::2], parts[:, :, 1::2], out=power[:, first::2])
    power = power[:, :count]
    power *= np.square(np.float32(0.5) / scale) * (peaks > 0)[:, :, None]
    return power


def hz_to_mel(frequency: np.ndarray) -> np.ndarray:
    """Convert Hz to mel on Slaney's scale: linear below 1 kHz, logarithmic above (Auditory Toolbox, 1998)."""
    frequency = np.asarray(frequency, dtype=float)
    step = np.log(6.4) / 27
    return np.where(frequency < 1000, frequency * 3 / 200, 15 + np.log(np.maximum(frequency, 1e-9) / 1000) / step)


def mel_to_hz(mel: np.ndarray) -> np.ndarray:
    """Invert :func:`hz_to_mel`."""
    mel = np.asarray(mel, dtype=float)
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(np.log(6.4) / 27 * (mel - 15)))


@functools.cache
def mel_filterbank(sampling_rate: int, n_fft: int, n_mels: int) -> np.ndarray:
    """Return triangular filters of equal area on Slaney's mel scale, from 0 Hz to half the sampling rate.

    Power spectra times this matrix, float32 of shape (1 + n_fft // 2, n_mels), are mel spectra.
    """
    bins = np.fft.rfftfreq(n_fft, 1 / sampling_rate)
    edges = mel_to_hz(np.linspace(0, hz_to_mel(sampling_rate / 2), n_mels + 2))
    distance = edges[None, :] - bins[:, None]
    width = np.diff(edges)
    rising = -distance[:, :-2] / width[:-1]
    falling = distance[:, 2:] / width[1:]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * 2 / (edges[2:] - edges[:-2])).astype(np.float32)


def mel_spectrum(power: np.ndarray, sampling_rate: int, n_fft: int, n_mels: int) -> np.ndarray:
    """Return the mel spectra, shape (clips, frames, n_mels), of power spectra, shape (clips, frames, bins)."""
    bands = np.empty((*power.shape[:2], n_mels), dtype=np.float32)
    for first, last, lowest, highest, weights in _mel_blocks(sampling_rate, n_fft, n_mels):
        np.matmul(power[:, :, lowest:highest], weights, out=bands[:, :, first:last])
    return bands


@functools.cache
def _mel_blocks(sampling_rate: int, n_fft: int, n_mels: int) -> list[tuple[int, int, int, int, np.ndarray]]:
    """Divide the filterbank into blocks of 16 bands with the bins that they cover: a fifth of the multiplications."""
    weights = mel_filterbank(sampling_rate, n_fft, n_mels)
    blocks = []
    for first in range(0, n_mels, 16):
        block = weights[:, first : first + 16]
        reached = np.flatnonzero(block.any(axis=1))
        lowest, highest = (reached[0], reached[-1] + 1) if reached.size else (0, 0)
        used = np.ascontiguousarray(block[lowest:highest])
        blocks.append((first, first + block.shape[1], lowest, highest, used))
    return blocks


def power_to_db(power: np.ndarray, *, relative: bool) -> np.ndarray:
    """Convert power to decibels, at most 80 dB below each clip's maximum.

    Parameters
    ----------
    power
        Shape (clips, frames, bands); changed in place.
    relative
        Whether 0 dB is the clip's maximum (``ref=np.max``), or a power of 1.

    Returns
    -------
    ndarray
        ``power``, now in dB.
    """
    np.maximum(power, _AMIN, out=power)
    np.log10(power, out=power)
    power *= 10
    peak = power.max(axis=(1, 2), keepdims=True)
    if relative:
        power -= peak
        peak = np.zeros_like(peak)
    return np.maximum(power, peak - _TOP_DB, out=power)
