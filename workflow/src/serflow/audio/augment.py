"""Augmented copies: time stretching and pitch shifting by a phase vocoder.

The arithmetic is that of ``librosa.effects``; a test compares the two. A phase vocoder turns each
frame's phase by the difference of two neighbouring frames of the original. As only its sine and
cosine are used, the running sum of angles is computed as a running product of unit numbers, which
needs neither arc tangent nor unwrapping (Flanagan & Golden, Bell System Technical Journal 45, 1966;
D. P. W. Ellis, "A phase vocoder in Matlab", 2002).
"""

import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import ducc0.fft
import numpy as np

from serflow.audio.io import decode, mono, resample
from serflow.audio.segments import decode_piece
from serflow.corpus.copies import Copy, plan_copies
from serflow.corpus.locations import Location, Place, places_of, recording_path
from serflow.corpus.sources import list_recordings
from serflow.runtime.errors import UserError
from serflow.storage import ArrayWriter, read_table, write_table

N_FFT = 2048
HOP_LENGTH = N_FFT // 4
_SILENCE = np.float32(1e-18)  # a bin below it has no phase
INDEX_SCHEMA = {
    "clip": "string",
    "origin": "string",
    "kind": "string",
    "parameter": "float64",
    "offset": "int64",
    "samples": "int64",
}


def time_stretch(samples: np.ndarray, rate: float) -> np.ndarray:
    """Change a clip's tempo and keep its pitch.

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

    Raises
    ------
    ValueError
        If the rate is not positive.
    """
    if rate <= 0:
        raise ValueError(f"rate must be positive, not {rate}")
    padded = np.pad(samples, N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP_LENGTH]
    windowed = np.multiply(frames, _window(), out=_rows(len(frames)))
    stretched = _phase_vocoder(ducc0.fft.r2c(windowed, axes=(1,)), rate)
    return _overlap_add(stretched, round(len(samples) / rate))


@functools.cache
def _window() -> np.ndarray:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)).astype(np.float32)


def _rows(count: int) -> np.ndarray:
    """Give room for frames of N_FFT samples, not a power of two apart.

    The FFT works on several rows at once, and those a power of two apart share one place in the cache: a third of
    the speed.
    """
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
    frames *= _window()
    overlap = N_FFT // HOP_LENGTH
    total = np.zeros((len(frames) + overlap - 1, HOP_LENGTH), dtype=np.float32)
    weight = np.zeros_like(total)
    squared = (_window() ** 2).reshape(overlap, HOP_LENGTH)
    for part in range(overlap):
        total[part : part + len(frames)] += frames[:, part * HOP_LENGTH : (part + 1) * HOP_LENGTH]
        weight[part : part + len(frames)] += squared[part]
    signal, weight = total.ravel()[N_FFT // 2 :], weight.ravel()[N_FFT // 2 :]
    signal = signal[:samples] / np.where(weight[:samples] > np.finfo(np.float32).tiny, weight[:samples], 1)
    return np.pad(signal, (0, samples - len(signal)))


def pitch_shift(samples: np.ndarray, semitones: float, sampling_rate: int) -> np.ndarray:
    """Change a clip's pitch and keep its length.

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


def make_copy(samples: np.ndarray, kind: str, parameter: float, sampling_rate: int) -> np.ndarray:
    """Make one copy: ``kind`` is ``"time_stretch"`` (a rate) or ``"pitch_shift"`` (semitones)."""
    if kind == "time_stretch":
        return time_stretch(samples, parameter)
    if kind == "pitch_shift":
        return pitch_shift(samples, parameter, sampling_rate)
    raise ValueError(f"unknown kind of copy: {kind}")


def augment_audio(
    scan: Path, augment: Mapping, source: Location, *, sampling_rate: int, output: Path, index: Path
) -> None:
    """Read a shard's recordings and write them and their copies, samples end to end.

    Parameters
    ----------
    scan
        The shard's table of recordings.
    augment
        The section ``augment`` of the configuration. Which clips are copied is planned over the names of the
        whole corpus, as everywhere; only the copies of this shard's clips are made.
    source
        What the table's file names are relative to: see :func:`serflow.corpus.locations.places_of`.
    sampling_rate
        Of the output, in Hz.
    output, index
        float32 samples of shape (total,), and where each clip lies in it.

    Raises
    ------
    UserError
        If a recording is not the one that was scanned.
    """
    from serflow.storage.arrow import pa

    table = read_table(scan)
    columns = [name for name in ("clip", "file", "sha256", "problem", "start", "end") if name in table.column_names]
    clips = [row for row in table.select(columns).to_pylist() if row["problem"] is None]
    planned: dict[str, list[Copy]] = {}
    for copy in plan_copies([entry.name.clip for entry in list_recordings(source) if entry.name], augment):
        planned.setdefault(copy.origin, []).append(copy)
    places, rows = places_of(source), []
    with ArrayWriter(output) as out:
        for row in clips:
            samples = _read_scanned(places, row, scan, sampling_rate)
            for clip, kind, parameter, piece in _versions(row["clip"], samples, planned, sampling_rate):
                place = {"offset": out.rows, "samples": len(piece)}
                rows.append({"clip": clip, "origin": row["clip"], "kind": kind, "parameter": parameter, **place})
                out.write(piece)
    schema = pa.schema([(name, getattr(pa, type)()) for name, type in INDEX_SCHEMA.items()])
    write_table(index, pa.Table.from_pylist(rows, schema=schema))


def _read_scanned(places: Sequence[Place], row: Mapping, scan: Path, sampling_rate: int) -> np.ndarray:
    """Read a recording, unless it was changed or removed since its scan, which splits are made of."""
    path, start, end = recording_path(places, row["file"]), row.get("start"), row.get("end")
    try:
        if start is None and end is None:
            content = path.read_bytes()
            digest, recording = hashlib.sha256(content).hexdigest(), None
        else:
            path.stat()
            recording = decode_piece(path, start, end)
            digest = hashlib.sha256(recording.samples).hexdigest()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}) any more; put it back, or run again without it"
        ) from error
    if digest != row["sha256"]:
        raise UserError(f"{path}: has changed since it was scanned; delete {scan} and run again")
    return mono(recording or decode(path, content), sampling_rate)


def _versions(
    clip: str, samples: np.ndarray, planned: Mapping[str, list[Copy]], sampling_rate: int
) -> Iterator[tuple[str, str, float | None, np.ndarray]]:
    yield clip, "original", None, samples
    for copy in planned.get(clip, ()):
        made = make_copy(samples, copy.kind, copy.parameter, sampling_rate)
        yield copy.clip, copy.kind, copy.parameter, made
