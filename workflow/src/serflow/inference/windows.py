"""Cutting recordings into pieces of the length that a model knows, without ever holding a long one in memory."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile as sf
import soxr

from serflow.audio.containers import OnDisk, length_fault
from serflow.audio.io import check_samples, decode, mono
from serflow.audio.length import fit
from serflow.bundle.inputs import Source
from serflow.runtime.errors import UserError

_AT_ONCE = 1 << 20  # samples of all channels


class Window(NamedTuple):
    """A piece of a recording: where it begins and ends, in seconds, and its samples, float32 of shape (length,)."""

    start: float
    end: float
    samples: np.ndarray


def cut(source: Source, preprocessing: Mapping) -> Iterator[Window]:
    """Cut a recording.

    Parameters
    ----------
    source
        The recording, of any rate and number of channels.
    preprocessing
        ``sampling_rate`` in Hz; ``target_length``, the samples of a window; ``longest``: up to so many samples a
        recording is one window, cut or padded as in training.

    Yields
    ------
    Window
        Of a longer recording windows that overlap by half; the last ends where the recording ends.

    Raises
    ------
    UserError
        If it cannot be read, has no samples, or has some that are not finite.
    """
    rate, length = preprocessing["sampling_rate"], preprocessing["target_length"]
    if _samples(source, rate) <= preprocessing["longest"]:
        samples = mono(decode(source.name, source.read(), clip=False), rate)
        yield Window(0.0, len(samples) / rate, fit([samples], length)[0])
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
    yield Window((end - len(held)) / rate, end / rate, fit([held], length)[0])


def _samples(source: Source, rate: int) -> float:
    """Give how many samples a recording will have; what cannot be opened is left to be read, and refused then."""
    try:
        with sf.SoundFile(source.open()) as file:
            return file.frames * rate / file.samplerate
    except (sf.LibsndfileError, RuntimeError, OSError):
        return 0


def _resampled(source: Source, rate: int) -> Iterator[np.ndarray]:
    """Read a recording block by block, mixed down and resampled."""
    try:
        if fault := _length_fault(source):
            raise UserError(f"{source.name}: {fault}")
        with sf.SoundFile(source.open()) as file:
            stream = None if file.samplerate == rate else soxr.ResampleStream(file.samplerate, rate, 1, "float32", "HQ")
            for samples in _mixed(source, file):
                yield stream.resample_chunk(samples) if stream else samples
            if stream:
                yield stream.resample_chunk(np.empty(0, np.float32), last=True)
    except (sf.LibsndfileError, RuntimeError) as error:
        reason = str(error).split(": ", 1)[-1].rstrip(".")
        raise UserError(f"{source.name}: not a readable audio file ({reason}); replace or remove it") from error


def _length_fault(source: Source) -> str | None:
    if source.content is not None:
        return length_fault(source.content)
    with Path(source.path or source.name).open("rb") as file:
        return length_fault(OnDisk(file))


def _mixed(source: Source, file: sf.SoundFile) -> Iterator[np.ndarray]:
    """Read a recording block by block, mixed down.

    Not by ``SoundFile.blocks``, which goes on to the length that the header says with what it read last.
    """
    done = 0
    while len(block := file.read(max(1, _AT_ONCE // file.channels), dtype="float32", always_2d=True)):
        check_samples(source.name, block, done)
        done += len(block)
        yield np.ascontiguousarray(block[:, 0] if block.shape[1] == 1 else block.mean(axis=1))
    if done < file.frames:
        raise UserError(
            f"{source.name}: truncated: {file.frames} samples announced, {done} there; copy it again from its source"
        )
