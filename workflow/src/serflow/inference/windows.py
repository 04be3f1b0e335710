"""Cutting recordings into windows of the length that a model reads, with little memory for long recordings."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import soundfile as sf
import soxr

from serflow.audio.io import check_length, mix_down, open_recording, read_samples, resample
from serflow.audio.length import truncate_or_pad
from serflow.audio.level import adjust_level
from serflow.audio.meter import LevelMeter
from serflow.inference.recordings import RecordingToLabel
from serflow.runtime.errors import UserError

_AT_ONCE = 1 << 20  # samples of all channels


class Window(NamedTuple):
    """A window of a recording: start and end in seconds, and its samples, float32 of shape (length,)."""

    start: float
    end: float
    samples: np.ndarray


def cut(
    source: RecordingToLabel,
    preprocessing: Mapping,
    pad: bool = True,
    warn: Callable[[str], object] = lambda text: None,
) -> Iterator[Window]:
    """Yield the windows of a recording.

    Parameters
    ----------
    source
        The recording, of any rate and number of channels.
    preprocessing
        ``sampling_rate`` in Hz; ``target_length``, the samples of a window; ``longest``, the greatest number of samples
        of a recording that is one window, truncated or padded as in training; the settings of
        :func:`serflow.audio.level.adjust_level`, which treats each window as it treats a recording in training.
    pad
        Whether all windows have one length; else a recording that is one window keeps its own.
    warn
        Called, after the last window, with each reason why a label of the recording would mean little.

    Yields
    ------
    Window
        A longer recording is split into windows that overlap by half; the last ends where the recording ends.

    Raises
    ------
    UserError
        If it cannot be read, has no samples, or has samples that are not finite.
    """
    level = LevelMeter()
    with open_recording(source.name, source.source, clip=False, whole=False) as (file, warnings):
        rate, wanted = file.samplerate, preprocessing["sampling_rate"]
        for window in _cut(source.name, file, preprocessing, level):
            samples = adjust_level(window.samples, wanted, preprocessing)
            if pad:
                samples = truncate_or_pad([samples], preprocessing["target_length"])[0]
            yield window._replace(samples=samples)
    if rate < wanted:
        warnings.append(f"{rate} Hz, below the {wanted} Hz of the model, which has learned from higher frequencies too")
    for text in warnings + level.warnings():
        warn(text)


def _cut(name: str, file: sf.SoundFile, preprocessing: Mapping, level: LevelMeter) -> Iterator[Window]:
    rate, length = preprocessing["sampling_rate"], preprocessing["target_length"]
    if file.frames * rate / file.samplerate <= preprocessing["longest"]:
        check_length(name, file, file.frames, clip=False)
        read = read_samples(name, file, file.frames)
        samples = mix_down(read)
        level.add(read, samples)
        samples = resample(samples, file.samplerate, rate)
        yield Window(0.0, len(samples) / rate, samples)
        return
    hop = length // 2
    held, dropped, start = np.empty(0, np.float32), np.empty(0, np.float32), 0
    for block in _resampled(name, file, rate, level):
        held = np.concatenate([held, block])
        while len(held) > length:
            yield Window(start / rate, (start + length) / rate, held[:length].copy())
            dropped, held, start = held[:hop], held[hop:], start + hop
    end, missing = start + len(held), length - len(held)
    if missing > 0:
        held = np.concatenate([dropped[max(0, len(dropped) - missing) :], held])
    yield Window((end - len(held)) / rate, end / rate, held)


def count_samples(source: RecordingToLabel, rate: int) -> float:
    """Return the number of samples after resampling; 0 if the file cannot be opened, which reading it reports."""
    with (
        contextlib.suppress(UserError),
        open_recording(source.name, source.source, clip=False, whole=False) as (file, _),
    ):
        return file.frames * rate / file.samplerate
    return 0


def _resampled(name: str, file: sf.SoundFile, rate: int, level: LevelMeter) -> Iterator[np.ndarray]:
    """Yield a recording block by block, mixed down, measured and resampled."""
    stream = None if file.samplerate == rate else soxr.ResampleStream(file.samplerate, rate, 1, "float32", "HQ")
    done, missing = 0, file.frames
    while missing:
        block = read_samples(name, file, min(missing, max(1, _AT_ONCE // file.channels)), done)
        done, missing = done + len(block), missing - len(block)
        samples = mix_down(block)
        level.add(block, samples)
        yield stream.resample_chunk(samples, last=not missing) if stream else samples
