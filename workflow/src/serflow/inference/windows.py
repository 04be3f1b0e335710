"""Cutting recordings into windows of the length that a model reads, with little memory for long recordings."""

import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile as sf
import soxr

from serflow.audio.containers import length_fault
from serflow.audio.io import check_samples, decode, mono
from serflow.audio.length import truncate_or_pad
from serflow.inference.recordings import RecordingToLabel
from serflow.runtime.errors import UserError

_AT_ONCE = 1 << 20  # samples of all channels


class Window(NamedTuple):
    """A window of a recording: start and end in seconds, and its samples, float32 of shape (length,)."""

    start: float
    end: float
    samples: np.ndarray


def cut(source: RecordingToLabel, preprocessing: Mapping, pad: bool = True) -> Iterator[Window]:
    """Yield the windows of a recording.

    Parameters
    ----------
    source
        The recording, of any rate and number of channels.
    preprocessing
        ``sampling_rate`` in Hz; ``target_length``, the samples of a window; ``longest``, the greatest number of samples
        of a recording that is one window, truncated or padded as in training.
    pad
        Whether all windows have one length; else a recording that is one window keeps its own.

    Yields
    ------
    Window
        A longer recording is split into windows that overlap by half; the last ends where the recording ends.

    Raises
    ------
    UserError
        If it cannot be read, has no samples, or has samples that are not finite.
    """
    rate, length = preprocessing["sampling_rate"], preprocessing["target_length"]
    if count_samples(source, rate) <= preprocessing["longest"]:
        samples = mono(decode(source.name, source.read(), clip=False), rate)
        yield Window(0.0, len(samples) / rate, truncate_or_pad([samples], length)[0] if pad else samples)
        return
    hop = length // 2
    held, dropped, start = np.empty(0, np.float32), np.empty(0, np.float32), 0
    for block in _resampled(source, rate):
        held = np.concatenate([held, block])
        while len(held) > length:
            yield Window(start / rate, (start + length) / rate, held[:length].copy())
            dropped, held, start = held[:hop], held[hop:], start + hop
    if not len(held):
        raise UserError(f"{source.name}: holds no samples; copy it again from its source")
    end, missing = start + len(held), length - len(held)
    if missing > 0:
        held = np.concatenate([dropped[max(0, len(dropped) - missing) :], held])
    yield Window((end - len(held)) / rate, end / rate, truncate_or_pad([held], length)[0])


def count_samples(source: RecordingToLabel, rate: int) -> float:
    """Return the number of samples after resampling; 0 if the file cannot be opened, which reading it reports."""
    try:
        with sf.SoundFile(source.open()) as file:
            return file.frames * rate / file.samplerate
    except (sf.LibsndfileError, RuntimeError, OSError):
        return 0


def _resampled(source: RecordingToLabel, rate: int) -> Iterator[np.ndarray]:
    """Yield a recording block by block, mixed down and resampled."""
    if source.content is not None:
        fault = length_fault(source.content)
    else:
        path = Path(source.path or source.name)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            fault = length_fault(content)
    if fault:
        raise UserError(f"{source.name}: {fault}")
    try:
        with sf.SoundFile(source.open()) as file:
            stream = None if file.samplerate == rate else soxr.ResampleStream(file.samplerate, rate, 1, "float32", "HQ")
            done = 0
            # ``SoundFile.blocks`` would repeat its last block up to the length that the header announces.
            while len(block := file.read(max(1, _AT_ONCE // file.channels), dtype="float32", always_2d=True)):
                check_samples(source.name, block, done)
                done += len(block)
                samples = np.ascontiguousarray(block[:, 0] if block.shape[1] == 1 else block.mean(axis=1))
                yield stream.resample_chunk(samples) if stream else samples
            if done < file.frames:
                raise UserError(
                    f"{source.name}: truncated: {file.frames} samples announced, {done} found; copy it again from its "
                    "source"
                )
            if stream:
                yield stream.resample_chunk(np.empty(0, np.float32), last=True)
    except (sf.LibsndfileError, RuntimeError) as error:
        reason = str(error).split(": ", 1)[-1].rstrip(".")
        raise UserError(f"{source.name}: not a readable audio file ({reason}); replace or remove it") from error
