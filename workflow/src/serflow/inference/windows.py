"""Cutting recordings into windows of the length that a model reads, with little memory for long recordings."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import soundfile as sf
import soxr

from serflow.audio.io import check_length, mix_down, open_recording, read_mixed, read_samples, resample
from serflow.audio.length import truncate_or_pad
from serflow.audio.level import adjust_level
from serflow.audio.meter import LevelMeter
from serflow.audio.pieces import find_piece
from serflow.audio.speech import SpeechDetector
from serflow.inference.recordings import RecordingToLabel
from serflow.runtime.errors import UserError

WINDOWS, SPEECH = "windows", "speech"


@dataclass
class Heard:
    """What cutting finds out about a recording; complete after its last window.

    ``seconds`` is its length, and ``segments`` are start and end of each segment of speech in seconds, if it was cut
    into them. ``warnings`` say why a label of it may mean little.
    """

    seconds: float = 0.0
    has_speech: bool = False
    segments: list[tuple[float, float]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Window(NamedTuple):
    """A window of a recording: start and end in seconds, and its samples, float32 of shape (length,)."""

    start: float
    end: float
    samples: np.ndarray


def cut(
    source: RecordingToLabel,
    preprocessing: Mapping,
    pad: bool = True,
    *,
    segments: str = WINDOWS,
    heard: Heard | None = None,
    listened: Callable[[float], object] = lambda seconds: None,
) -> Iterator[Window]:
    """Yield the windows of a recording, or of a part of one.

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
    segments
        ``windows`` for those of the recording, or ``speech`` for those of each segment of speech in it, which is cut
        like a recording of its own.
    heard
        Takes in what is found out about the recording.
    listened
        Called with the seconds in which segments of speech have been looked for.

    Yields
    ------
    Window
        A longer recording is split into windows that overlap by half; the last ends where the recording ends.

    Raises
    ------
    UserError
        If it cannot be read, has no samples, or has samples that are not finite.
    """
    heard, level, name = heard or Heard(), LevelMeter(), source.name
    with open_recording(name, source.source, clip=False, whole=False) as (file, warnings):
        rate, wanted = file.samplerate, preprocessing["sampling_rate"]
        detector = SpeechDetector(rate, first_only=segments == WINDOWS)

        def hear(read: np.ndarray, mixed: np.ndarray) -> None:
            level.add(read, mixed)
            detector.add(mixed)

        def as_in_training(window: Window) -> Window:
            samples = adjust_level(window.samples, wanted, preprocessing)
            if pad:
                samples = truncate_or_pad([samples], preprocessing["target_length"])[0]
            return window._replace(samples=samples)

        first, count = find_piece(name, file, source.start, source.end)
        heard.seconds = count / rate
        if first:  # some formats cannot be read but from the beginning
            file.seek(first)
        if segments == WINDOWS:
            yield from map(as_in_training, _cut(name, file, first, count, preprocessing, hear))
            heard.has_speech = detector.has_speech()
        else:
            done = 0
            for block in read_mixed(name, file, first, count, hear):
                done += len(block)
                listened(done / rate)
            for start, end in detector.segments():
                begin, stop = first + round(start * rate), first + round(end * rate)
                file.seek(begin)
                heard.segments.append((begin / rate, stop / rate))
                yield from map(as_in_training, _cut(name, file, begin, stop - begin, preprocessing))
            heard.has_speech = bool(heard.segments)
    if rate < wanted:
        warnings.append(f"{rate} Hz, below the {wanted} Hz of the model, which has learned from higher frequencies too")
    heard.warnings += warnings + level.warnings()


def _cut(
    name: str,
    file: sf.SoundFile,
    first: int,
    count: int,
    preprocessing: Mapping,
    hear: Callable[[np.ndarray, np.ndarray], object] = lambda read, mixed: None,
) -> Iterator[Window]:
    """Yield the windows of the next ``count`` samples of a file, which is at ``first``.

    ``hear`` is called with what is read, and the mix of its channels.
    """
    rate, length = preprocessing["sampling_rate"], preprocessing["target_length"]
    offset = first / file.samplerate
    if count * rate / file.samplerate <= preprocessing["longest"]:
        check_length(name, file, count, clip=False)
        read = read_samples(name, file, count, first)
        samples = mix_down(read)
        hear(read, samples)
        samples = resample(samples, file.samplerate, rate)
        yield Window(offset, offset + len(samples) / rate, samples)
        return
    hop = length // 2
    held, dropped, start = np.empty(0, np.float32), np.empty(0, np.float32), 0
    for block in _resampled(read_mixed(name, file, first, count, hear), file.samplerate, rate):
        held = np.concatenate([held, block])
        while len(held) > length:
            yield Window(offset + start / rate, offset + (start + length) / rate, held[:length].copy())
            dropped, held, start = held[:hop], held[hop:], start + hop
    end, missing = start + len(held), length - len(held)
    if missing > 0:
        held = np.concatenate([dropped[max(0, len(dropped) - missing) :], held])
    yield Window(offset + (end - len(held)) / rate, offset + end / rate, held)


def count_samples(source: RecordingToLabel, rate: int) -> float:
    """Return the number of samples after resampling; 0 if the file cannot be opened, which reading it reports."""
    with (
        contextlib.suppress(UserError),
        open_recording(source.name, source.source, clip=False, whole=False) as (file, _),
    ):
        return file.frames * rate / file.samplerate
    return 0


def _resampled(blocks: Iterator[np.ndarray], rate: int, wanted: int) -> Iterator[np.ndarray]:
    if rate == wanted:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate, wanted, 1, "float32", "HQ")
    yield from map(stream.resample_chunk, blocks)
    yield stream.resample_chunk(np.empty(0, np.float32), last=True)
