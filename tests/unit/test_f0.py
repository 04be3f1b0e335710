"""F0 is that of tones, and its statistics are those of the voice alone."""

import librosa
import numpy as np
import pytest

from serflow.audio.length import choose_length
from serflow.features import compute_features, frames, functionals

RATE = 16_000
SETTINGS = {"sampling_rate": RATE, "features": ["f0", "rms"], "n_mfcc": 13, "size": 25, "hop": 10, "frame_size": 400}


def tone(pitch, samples=RATE):
    """A tone with overtones, like a voice."""
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(pitch, samples)) / RATE
    return sum(0.3 / number * np.sin(number * phase) for number in (1, 2, 3, 4)).astype(np.float32)


def f0_of(clip, **changes):
    """Return F0 and voicing of the frames of a clip."""
    settings = SETTINGS | changes | {"features": ["f0"]}
    return np.concatenate(list(frames.compute(clip[None], settings))).reshape(2, -1)


@pytest.mark.parametrize("pitch", [70, 110, 220, 350, 550])
@pytest.mark.parametrize("lengths", [{}, {"size": None, "hop": None, "frame_size": 1631}, {"size": 5, "hop": 3}])
def test_f0_of_a_tone(pitch, lengths):
    f0, voiced = f0_of(tone(pitch), **lengths)
    inside = slice(len(f0) // 4, -len(f0) // 4)
    assert voiced[inside].all()
    np.testing.assert_allclose(f0[inside], pitch, rtol=0.01)  # a step is 0.2 semitones, 1.2 %


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100])
def test_f0_at_other_sampling_rates(rate):
    clip = librosa.resample(tone(180), orig_sr=RATE, target_sr=rate)
    f0, voiced = f0_of(clip, sampling_rate=rate)
    assert voiced[10:-10].all() and np.abs(f0[10:-10] / 180 - 1).max() < 0.01


def test_f0_of_a_glide():
    pitch = np.linspace(120, 240, 2 * RATE)
    f0, voiced = f0_of(tone(pitch, 2 * RATE))
    assert voiced[5:-5].all()
    np.testing.assert_allclose(f0[5:-5], pitch[:: RATE // 100][5 : len(f0) - 5], rtol=0.02)


def test_frames_without_voice_hold_what_is_between_those_with_voice():
    noise = 0.01 * np.random.default_rng(0).normal(size=RATE // 2).astype(np.float32)
    clip = np.concatenate([noise, tone(150, RATE // 2), noise, tone(300, RATE // 2), noise])
    f0, voiced = f0_of(clip)
    assert set(voiced) == {0, 1} and not voiced[:40].any() and voiced[60:90].all() and not voiced[110:140].any()
    first, last = np.flatnonzero(voiced)[[0, -1]]
    assert (f0[:first] == f0[first]).all() and (f0[last:] == f0[last]).all()
    gap = f0[105:145]
    np.testing.assert_allclose(np.diff(gap), np.diff(gap).mean(), rtol=1e-3)
    assert f0.min() > 145 and f0.max() < 310


def test_a_clip_without_voice_is_zero():
    for clip in (np.zeros(RATE, np.float32), np.full(RATE, 1e-12, np.float32), np.zeros(50, np.float32)):
        assert not f0_of(clip).any()


@pytest.mark.parametrize("samples", [40_775, 27_400, 20_000])
@pytest.mark.parametrize("lengths", [{}, {"hop": 7}, {"size": None, "hop": None}, {"size": 500, "hop": 500}])
def test_there_are_as_many_frames_as_of_other_features(samples, lengths):
    length, count = choose_length(samples)
    settings = SETTINGS | lengths | {"frame_size": length // count, "target_length": length, "features": ["rms", "f0"]}
    values = np.concatenate(list(frames.compute(tone(200, length)[None], settings)))
    names = frames.column_names(settings)
    assert values.shape == (1, len(names))
    assert [name for name in names if name.endswith("_000")] == ["rms_000", "f0_000", "voiced_000"]


def test_the_longest_frames_of_the_notebook():
    f0, voiced = f0_of(tone(200, 60_000), size=186, hop=93)
    assert voiced[2:-2].all() and np.abs(f0[2:-2] / 200 - 1).max() < 0.01


def test_statistics_are_those_of_the_voice():
    clip = np.concatenate([tone(200, RATE), np.zeros(RATE // 2, np.float32), tone(200, RATE)])
    longer = np.pad(clip, (0, 12_000))  # to the common length
    found = compute_features("functionals", longer[None], SETTINGS)[0, :, 0]
    values = dict(zip(functionals.column_names(SETTINGS), found, strict=True))
    for name in ("f0_mean", "f0_p05", "f0_p50", "f0_p95"):
        assert values[name] == pytest.approx(200, rel=0.01)
    assert values["f0_sd"] < 2 and abs(values["f0_slope"]) < 2
    assert 0.75 < values["voiced_mean"] < 0.85


def test_a_batch_and_threads_do_not_change_a_clip():
    pitches = np.linspace(80, 400, 20)
    clips = np.stack([tone(pitch, 8_000) for pitch in pitches])
    together = np.concatenate(list(frames.compute(clips, SETTINGS, threads=2)))
    for number in (0, 13, 19):
        alone = np.concatenate(list(frames.compute(clips[number : number + 1], SETTINGS)))
        np.testing.assert_array_equal(together[number : number + 1], alone)
