import sys

import librosa
import numpy as np
import pytest

from serflow.audio import stft
from serflow.audio.io import read_clip
from serflow.audio.length import choose_length, fit
from serflow.features import frames, mel
from serflow.features.frame_features import FEATURES
from serflow.runtime.errors import UserError

RATE = 16_000
CHOSEN = {"features": ["zcr", "rms", "mfcc", "centroid"], "n_mfcc": 13}


def notebook_frames(clip, frame_size):
    """The notebook's own calls, section 8.2."""
    hop = int(frame_size / 2)
    rows = [
        librosa.feature.zero_crossing_rate(clip, frame_length=frame_size, hop_length=hop),
        librosa.feature.rms(y=clip, frame_length=frame_size, hop_length=hop),
        librosa.feature.mfcc(y=clip, sr=RATE, n_fft=frame_size, n_mfcc=13, hop_length=hop),
        librosa.feature.spectral_centroid(y=clip, sr=RATE, n_fft=frame_size, hop_length=hop),
    ]
    return np.concatenate([row.flatten() for row in rows])


def notebook_mel(clip, n_mels, n_fft, hop_length):
    """The notebook's own calls, section 8.3."""
    power = librosa.feature.melspectrogram(y=clip, sr=RATE, n_mels=n_mels, n_fft=n_fft, hop_length=hop_length)
    return librosa.power_to_db(power, ref=np.max)


def synthetic(samples):
    random = np.random.default_rng(0)
    time = np.arange(samples) / RATE
    clips = [
        0.3 * np.sin(2 * np.pi * 220 * time) + 0.001 * random.normal(size=samples),
        0.1 * random.normal(size=samples) * (time < 0.8),
        random.uniform(-1, 1, samples),
        np.zeros(samples),
        np.full(samples, 1e-12),
    ]
    return np.array(clips, dtype=np.float32)


def real(folder, samples):
    files = sorted((folder / "AudioWAV").glob("*.wav"))
    return fit([read_clip(file, RATE) for file in files[:: max(1, len(files) // 40)]], samples)


def computed_frames(clips, frame_size):
    return np.concatenate(
        list(frames.frame_features(clips, sampling_rate=RATE, frame_size=frame_size, **CHOSEN, threads=2))
    )


def computed_mel(clips, **settings):
    return np.concatenate(list(mel.log_mel(clips, sampling_rate=RATE, threads=2, **settings)))


def assert_frames_are_the_notebooks(clips, frame_size):
    ours = computed_frames(clips, frame_size)
    expected = np.array([notebook_frames(clip, frame_size) for clip in clips])
    names = frames.column_names(clips.shape[1], frame_size, **CHOSEN)
    assert ours.shape == expected.shape == (len(clips), len(names))
    features = np.array([name.split("_")[0] for name in names])
    assert list(dict.fromkeys(features)) == ["zcr", "rms", *(f"mfcc{index:02d}" for index in range(13)), "centroid"]
    for feature in dict.fromkeys(features):
        columns = features == feature
        error = np.abs(ours[:, columns] - expected[:, columns]).max()
        assert error < 1e-4 * np.ptp(expected[:, columns]), feature


def assert_mel_is_the_notebooks(clips, **settings):
    ours = computed_mel(clips, **settings)
    expected = np.array([notebook_mel(clip, **settings) for clip in clips])
    assert ours.shape == expected.shape
    assert np.abs(ours - expected).max() < 1e-4 * np.ptp(expected)


@pytest.mark.parametrize("samples", [40_775, 40_696, 27_400, 20_000])
def test_frames_of_synthetic_clips(samples):
    length, count = choose_length(samples)
    assert_frames_are_the_notebooks(synthetic(length), length // count)


@pytest.mark.parametrize(("n_mels", "n_fft", "hop_length"), [(128, 1569, 512), (64, 1024, 256), (40, 400, 160)])
def test_mel_of_synthetic_clips(n_mels, n_fft, hop_length):
    assert_mel_is_the_notebooks(synthetic(40_775), n_mels=n_mels, n_fft=n_fft, hop_length=hop_length)


def test_frames_of_real_clips(crema_d):
    assert_frames_are_the_notebooks(real(crema_d, 40_775), 1631)


def test_mel_of_real_clips(crema_d):
    assert_mel_is_the_notebooks(real(crema_d, 40_775), n_mels=128, n_fft=1569, hop_length=512)


def test_the_notebooks_shapes():
    assert len(frames.column_names(40_775, 1631, **CHOSEN)) == 816
    assert computed_mel(synthetic(40_775)[:1], n_mels=128, n_fft=1569, hop_length=512).shape == (1, 128, 80)
    assert mel.mel_frames(40_775, 1569, 512) == 80


def test_a_batch_does_not_change_a_clip():
    clips = np.random.default_rng(0).normal(size=(70, 8_000)).astype(np.float32)
    together, alone = computed_frames(clips, 400), computed_frames(clips[40:41], 400)
    np.testing.assert_array_equal(together[40:41], alone)
    settings = {"n_mels": 64, "n_fft": 512, "hop_length": 256}
    np.testing.assert_array_equal(computed_mel(clips, **settings)[40:41], computed_mel(clips[40:41], **settings))


@pytest.mark.parametrize(("n_fft", "n_mels"), [(1631, 128), (1569, 128), (512, 40)])
def test_filterbank_is_librosas(n_fft, n_mels):
    expected = librosa.filters.mel(sr=RATE, n_fft=n_fft, n_mels=n_mels)
    np.testing.assert_allclose(stft.mel_filterbank(RATE, n_fft, n_mels).T, expected, atol=1e-8)


def chosen(clips, *names):
    return np.concatenate(
        list(frames.frame_features(clips, sampling_rate=RATE, frame_size=400, features=names, n_mfcc=3))
    )


def test_features_stand_in_the_order_of_the_list_and_change_no_other():
    clips = synthetic(4_000)
    whole, count = chosen(clips, "zcr", "rms", "mfcc", "centroid"), 21
    np.testing.assert_array_equal(chosen(clips, "centroid", "zcr"), whole[:, np.r_[-count:0, :count]])
    np.testing.assert_array_equal(chosen(clips, "mfcc"), whole[:, 2 * count : -count])
    names = frames.column_names(4_000, 400, ["mfcc", "rms"], 3)
    assert names == [f"{name}_{index:03d}" for name in ("mfcc00", "mfcc01", "mfcc02", "rms") for index in range(count)]


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """Give a function that makes a feature of one's own."""

    def make(text):
        (tmp_path / "odd_feature.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "odd_feature", raising=False)
        monkeypatch.setitem(FEATURES, "odd", "odd_feature")

    return make


def test_a_feature_of_another_shape_is_refused(odd):
    odd("def compute(frames, settings):\n    return frames.power[:, 1:, 0]\n")
    with pytest.raises(UserError, match=r"'odd' gives shape \(5, 20\) for 5 clips of 21 frames, but must give"):
        chosen(synthetic(4_000), "odd")


def test_two_features_with_one_name_are_refused(odd):
    odd("def columns(settings):\n    return ['rms']\n")
    with pytest.raises(
        UserError, match=r"two columns 'rms'; rename one in serflow\.features\.frame_features\.rms, odd_f"
    ):
        frames.column_names(4_000, 400, ["rms", "odd"], 3)


def test_a_feature_that_is_unknown_where_a_bundle_is_used():
    with pytest.raises(UserError, match=r"frame feature 'rmss' is unknown here, but must be .*did you mean 'rms'\?"):
        chosen(synthetic(4_000), "rmss")
