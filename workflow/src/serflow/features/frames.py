"""Frame features for the 1D models: zero-crossing rate, RMS energy, MFCC and spectral centroid."""

import functools
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from serflow.features.stft import (
    CLIPS_AT_ONCE,
    fft_frequencies,
    frame,
    in_batches,
    mel_spectrum,
    power_spectrum,
    power_to_db,
)
from serflow.store import FileArray, read_json, read_table, write_tables

N_MELS = 128
ROWS_AT_ONCE = 256 * CLIPS_AT_ONCE  # of a table: some 7 MB
_ZERO = 1e-10


def frame_features(
    clips: np.ndarray, *, sampling_rate: int, frame_size: int, n_mfcc: int, threads: int = 1
) -> Iterator[np.ndarray]:
    """Compute the features of fixed-length clips, batch by batch.

    Parameters
    ----------
    clips
        float32 of shape (clips, samples).
    sampling_rate
        In Hz.
    frame_size
        Samples of a frame; frames are ``frame_size // 2`` apart and centred.
    n_mfcc
        Number of mel-frequency cepstral coefficients.
    threads
        Threads; the result does not depend on them.

    Returns
    -------
    iterator of ndarray
        float32 of shape (clips in the batch, columns), in the order of :func:`column_names`.
    """
    hop_length = frame_size // 2
    centres = fft_frequencies(sampling_rate, frame_size).astype(np.float32)

    def compute(batch: np.ndarray) -> np.ndarray:
        power = power_spectrum(batch, frame_size, hop_length)
        decibels = power_to_db(mel_spectrum(power, sampling_rate, frame_size, N_MELS), relative=False)
        mfcc = decibels @ dct_matrix(N_MELS, n_mfcc)
        parts = [
            zero_crossing_rate(batch, frame_size, hop_length),
            rms(batch, frame_size, hop_length),
            mfcc.transpose(0, 2, 1).reshape(len(batch), -1),
            spectral_centroid(np.sqrt(power, out=power), centres),
        ]
        return np.concatenate(parts, axis=1, dtype=np.float32)

    return in_batches(compute, clips, threads)


def feature_names(n_mfcc: int) -> list[str]:
    """Name the features of a frame, in their order."""
    return ["zcr", "rms", *(f"mfcc{index:02d}" for index in range(n_mfcc)), "centroid"]


def column_names(samples: int, frame_size: int, n_mfcc: int) -> list[str]:
    """Name the columns of :func:`frame_features`: 16 features by 51 frames are 816 at 40,775 samples."""
    frames = 1 + (samples + 2 * (frame_size // 2) - frame_size) // (frame_size // 2)
    return [f"{name}_{index:03d}" for name in feature_names(n_mfcc) for index in range(frames)]


def zero_crossing_rate(clips: np.ndarray, frame_size: int, hop_length: int) -> np.ndarray:
    """Share of a frame's samples at which the sign changes; ends are repeated, as librosa does.

    Returns
    -------
    ndarray
        float32 of shape (clips, frames).
    """
    half = frame_size // 2
    negative = np.pad(clips < -_ZERO, ((0, 0), (half, half)), mode="edge")
    changes = np.zeros(negative.shape, dtype=np.int32)
    np.cumsum(negative[:, 1:] != negative[:, :-1], axis=1, out=changes[:, 1:])
    # The change into a frame's first sample is not within the frame, so frame_size - 1 steps count.
    first = changes[:, : changes.shape[1] - frame_size + 1 : hop_length]
    last = changes[:, frame_size - 1 :: hop_length]
    return ((last - first) / frame_size).astype(np.float32)


def rms(clips: np.ndarray, frame_size: int, hop_length: int) -> np.ndarray:
    """Root mean square of each frame, zero padded; float32 of shape (clips, frames)."""
    half = frame_size // 2
    frames = frame(np.pad(clips, ((0, 0), (half, half))), frame_size, hop_length)
    return np.sqrt(np.einsum("cfs,cfs->cf", frames, frames) / frame_size)


def spectral_centroid(magnitude: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Mean frequency weighted by magnitude, in Hz; 0 for a silent frame.

    Parameters
    ----------
    magnitude
        Shape (clips, frames, bins).
    centres
        Frequencies of the bins in Hz, shape (bins,).
    """
    total = magnitude.sum(axis=2)
    weighted = magnitude @ centres
    silent = total < np.finfo(np.float32).tiny
    return np.where(silent, weighted, weighted / np.where(silent, 1, total))


@functools.cache
def dct_matrix(n_mels: int, n_mfcc: int) -> np.ndarray:
    """Give the first columns of the orthonormal DCT-II, float32 of shape (n_mels, n_mfcc)."""
    order = np.arange(n_mfcc)
    matrix = np.cos(np.pi * (2 * np.arange(n_mels)[:, None] + 1) * order / (2 * n_mels)) * np.sqrt(2 / n_mels)
    matrix[:, 0] /= np.sqrt(2)
    return matrix.astype(np.float32)


def extract_frames(
    fixed: Path, index: Path, length: Path, *, sampling_rate: int, n_mfcc: int, threads: int, output: Path
) -> None:
    """Write the frame features of a shard: the column ``clip`` and the named float32 columns.

    Parameters
    ----------
    fixed, index
        A shard of fixed-length clips.
    length
        ``target.json``, which holds the frame size.
    sampling_rate, n_mfcc, threads
        As in :func:`frame_features`.
    output
        The Parquet table.
    """
    import pyarrow as pa

    clips = FileArray(fixed)
    frame_size = read_json(length)["frame_size"]
    names = column_names(clips.shape[1], frame_size, n_mfcc)
    clip_names = read_table(index, ["clip"])
    computed = frame_features(clips, sampling_rate=sampling_rate, frame_size=frame_size, n_mfcc=n_mfcc, threads=threads)

    def tables() -> Iterator[pa.Table]:
        for start in range(0, max(1, len(clips)), ROWS_AT_ONCE):
            named = clip_names.slice(start, ROWS_AT_ONCE)
            batches = list(itertools.islice(computed, -(-len(named) // CLIPS_AT_ONCE)))
            rows = np.concatenate([np.empty((0, len(names)), np.float32), *batches])
            columns = dict(zip(names, np.ascontiguousarray(rows.T), strict=True))
            yield pa.table({"clip": named["clip"]} | columns)

    write_tables(output, tables())
