"""Augmented copies: time stretching and pitch shifting by a phase vocoder, and other speeds by resampling.

The formulas of the vocoder are those of ``librosa.effects``, whose results a test compares; librosa takes 10 times as
long. The running sum of phase differences is computed as a running product of unit complex numbers, which needs neither
arc tangent nor unwrapping (Flanagan & Golden, Bell System Technical Journal 45, 1966; Ellis, "A phase vocoder in
Matlab", 2002).
"""

from pathlib import Path

import ducc0.fft
import numpy as np

from serflow import storage
from serflow.audio.io import resample
from serflow.audio.read_recordings import Recordings
from serflow.audio.stft import hann
from serflow.corpus.copies import PLAN_SCHEMA

N_FFT = 2048
HOP_LENGTH = N_FFT // 4
_SILENCE = np.float32(1e-18)  # a bin below it has no phase
INDEX_SCHEMA = PLAN_SCHEMA | {"offset": "int64", "length": "int64"}


def time_stretch(samples: np.ndarray, rate: float) -> np.ndarray:
    """Change the tempo of a clip and keep its pitch.

    Parameters
    ----------
    samples
        float32 of shape (samples,).
    rate
        Greater than 1 is faster.

    Returns
    -------
    ndarray
        float32 of shape (round(samples / rate),).
    """
    padded = np.pad(samples, N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP_LENGTH]
    windowed = np.multiply(frames, hann(N_FFT), out=_rows(len(frames)))
    stretched = _phase_vocoder(ducc0.fft.r2c(windowed, axes=(1,)), rate)
    return _overlap_add(stretched, round(len(samples) / rate))


def _rows(count: int) -> np.ndarray:
    # Rows a power of two apart would share one place in the cache, and the FFT, which works on several rows at once,
    # would take three times as long.
    return np.empty((count, N_FFT + 16), dtype=np.float32)[:, :N_FFT]


def _phase_vocoder(spectrum: np.ndarray, rate: float) -> np.ndarray:
    """Resample a short-time spectrum, complex64 of shape (frames, bins), along time."""
    steps = np.arange(0, len(spectrum), rate, dtype=np.float64)
    before = steps.astype(int)
    share = (steps - before).astype(np.float32)[:, None]
    spectrum = np.concatenate([spectrum, np.zeros((2, spectrum.shape[1]), spectrum.dtype)])
    magnitude = np.abs(spectrum)
    direction = spectrum * (1 / np.maximum(magnitude, _SILENCE))
    direction[magnitude < _SILENCE] = 1
    turns = (direction[1:] * direction[:-1].conj())[before]
    # The first frame keeps its own phase; each later one has turned with every frame before it.
    phase = np.empty_like(turns)
    phase[0] = direction[0]
    for index in range(1, len(steps)):
        np.multiply(phase[index - 1], turns[index - 1], out=phase[index])
    between = magnitude[before]
    between += share * (magnitude[before + 1] - between)
    phase *= between
    return phase


def _overlap_add(spectrum: np.ndarray, samples: int) -> np.ndarray:
    """Invert a centred short-time Fourier transform to exactly ``samples`` samples."""
    frames = _rows(len(spectrum))
    ducc0.fft.c2r(spectrum, axes=(1,), lastsize=N_FFT, forward=False, inorm=2, out=frames)
    frames *= hann(N_FFT)
    overlap = N_FFT // HOP_LENGTH
    total = np.zeros((len(frames) + overlap - 1, HOP_LENGTH), dtype=np.float32)
    weight = np.zeros_like(total)
    squared = (hann(N_FFT) ** 2).reshape(overlap, HOP_LENGTH)
    for part in range(overlap):
        total[part : part + len(frames)] += frames[:, part * HOP_LENGTH : (part + 1) * HOP_LENGTH]
        weight[part : part + len(frames)] += squared[part]
    signal, weight = total.ravel()[N_FFT // 2 :], weight.ravel()[N_FFT // 2 :]
    signal = signal[:samples] / np.where(weight[:samples] > np.finfo(np.float32).tiny, weight[:samples], 1)
    return np.pad(signal, (0, samples - len(signal)))


def pitch_shift(samples: np.ndarray, semitones: float, sampling_rate: int) -> np.ndarray:
    """Change the pitch of a clip and keep its length.

    Parameters
    ----------
    samples
        float32 of shape (samples,).
    semitones
        Twelfths of an octave; may be a fraction and negative.
    sampling_rate
        In Hz.

    Returns
    -------
    ndarray
        float32 of the shape of ``samples``.
    """
    rate = 2.0 ** (-semitones / 12)
    shifted = resample(time_stretch(samples, rate), sampling_rate / rate, sampling_rate)[: len(samples)]
    return np.pad(shifted, (0, len(samples) - len(shifted)))


def change_speed(samples: np.ndarray, rate: float, sampling_rate: int) -> np.ndarray:
    """Change tempo and pitch of a clip together, as a tape that runs faster or slower does.

    Parameters
    ----------
    samples
        float32 of shape (samples,).
    rate
        Greater than 1 is faster and higher.
    sampling_rate
        In Hz.

    Returns
    -------
    ndarray
        float32 of shape (ceil(samples / rate),).
    """
    return resample(samples, sampling_rate * rate, sampling_rate)


def augment_audio(
    recordings: Path, index: Path, plan: Path, *, sampling_rate: int, output: Path, output_index: Path
) -> None:
    """Make the augmented copies of a shard and write them end to end.

    Parameters
    ----------
    recordings, index
        The shard's recordings.
    plan
        The shard's part of the plan of copies, ``plan/{shard}.parquet``.
    sampling_rate
        Of the recordings, in Hz.
    output, output_index
        float32 array of shape (samples,): the copies one after the other, and where each lies in it.
    """
    known = storage.read_table(index, ["clip", "problem"]).to_pylist()
    usable = {row["clip"] for row in known if row["problem"] is None}
    recorded, rows = Recordings([recordings], [index]), []
    with storage.ArrayWriter(output) as out:
        for row in storage.read_table(plan).to_pylist():
            if row["origin"] in usable:
                samples = recorded[row["origin"]]
                if row["kind"] == "time_stretch":
                    samples = time_stretch(samples, row["parameter"])
                elif row["kind"] == "speed":
                    samples = change_speed(samples, row["parameter"], sampling_rate)
                else:
                    samples = pitch_shift(samples, row["parameter"], sampling_rate)
                rows.append(row | {"offset": out.rows, "length": len(samples)})
                out.write(samples)
    storage.write_table(output_index, storage.table_of(rows, INDEX_SCHEMA))
