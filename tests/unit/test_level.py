"""The level of recordings: adjusted as the settings ask, in the workflow and in inference alike."""

import math

import numpy as np
import pytest
import soundfile as sf

from serflow.audio.io import read_clip
from serflow.audio.level import adjust_level
from serflow.inference.recordings import RecordingToLabel
from serflow.inference.windows import cut
from serflow.storage import open_array
from steps import AS_RECORDED, list_corpus, read_shard

RATE = 16_000


def tone(frequency, seconds=3.0, amplitude=0.1, rate=RATE):
    time = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * math.pi * frequency * time)).astype(np.float32)


def rms(samples):
    return 10 * math.log10(np.square(samples, dtype=np.float64).mean())


def adjusted(samples, measure=None, target=-23, remove_dc=False, rate=RATE):
    loudness = {"measure": measure, "target": target} if measure else None
    return adjust_level(samples, rate, {"remove_dc": remove_dc, "loudness": loudness})


def test_as_recorded_changes_nothing():
    samples = tone(200) + np.float32(0.1)
    assert adjust_level(samples, RATE, AS_RECORDED) is samples


def test_the_mean_is_removed():
    np.testing.assert_allclose(adjusted(tone(200) + np.float32(0.1), remove_dc=True), tone(200), atol=1e-6)


@pytest.mark.parametrize("seconds", [0.02, 0.3, 3])
def test_root_mean_square(seconds):
    found = adjusted(tone(200, seconds), "rms", -30)
    assert found.dtype == np.float32 and rms(found) == pytest.approx(-30, abs=1e-3)


@pytest.mark.parametrize("seconds", [0.2, 0.5, 3])
def test_loudness_is_that_of_the_recommendation(seconds):
    # ITU-R BS.1770-4: a sine of 997 Hz at full scale in one channel has -3.01 LUFS; the weighting is 0 dB there.
    found = adjusted(tone(997, seconds, rate=48_000), "ebu-r128", -20, rate=48_000)
    assert 20 * math.log10(np.abs(found).max()) == pytest.approx(-20 + 3.01, abs=0.15)


def test_silence_around_speech_counts_for_its_power_and_not_for_its_loudness():
    speech = tone(500, 2)
    padded = np.concatenate([speech, np.zeros(4 * RATE, np.float32)])
    gain = {
        measure: np.abs(adjusted(padded, measure)).max() / np.abs(adjusted(speech, measure)).max()
        for measure in ("rms", "ebu-r128")
    }
    assert gain["rms"] == pytest.approx(math.sqrt(3), rel=1e-3) and gain["ebu-r128"] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("measure", ["rms", "ebu-r128"])
@pytest.mark.parametrize("amplitude", [0, 1e-5])
def test_silence_is_not_amplified(measure, amplitude):
    samples = tone(300, amplitude=amplitude)
    np.testing.assert_array_equal(adjusted(samples, measure), samples)


def test_recordings_of_a_corpus_and_of_inference_are_adjusted_alike(tmp_path):
    sf.write(tmp_path / "1001_DFA_ANG_XX.wav", tone(300, 1.0, rate=44_100) + 0.2, 44_100, subtype="FLOAT")
    reading = {"remove_dc": True, "loudness": {"measure": "rms", "target": -25}}
    list_corpus(tmp_path / "results", tmp_path)
    index = read_shard(tmp_path / "results", "s00", **reading)
    read = open_array(index.with_suffix(".npy"))[:]
    preprocessing = {"sampling_rate": RATE, "target_length": 4000, "longest": 32_000} | reading
    source = RecordingToLabel(str(tmp_path / "1001_DFA_ANG_XX.wav"))
    (window,) = cut(source, preprocessing, pad=False)
    np.testing.assert_array_equal(window.samples, read)
    assert rms(read) == pytest.approx(-25, abs=0.01) and abs(read.mean()) < 1e-6
    assert np.abs(read_clip(source.name, RATE).mean()) > 0.1


def test_each_window_of_a_long_recording_is_adjusted_as_a_clip_is(tmp_path):
    quiet_then_loud = np.concatenate([tone(300, 2, 0.01), tone(300, 2, 0.5)])
    sf.write(tmp_path / "x.wav", quiet_then_loud, RATE, subtype="FLOAT")
    preprocessing = {"sampling_rate": RATE, "target_length": RATE, "longest": RATE}
    preprocessing |= {"remove_dc": False, "loudness": {"measure": "rms", "target": -25}}
    windows = list(cut(RecordingToLabel(str(tmp_path / "x.wav")), preprocessing))
    assert len(windows) == 7 and all(rms(window.samples) == pytest.approx(-25, abs=0.01) for window in windows)
