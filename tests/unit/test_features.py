"""Features are librosa's, in any batch, on any number of threads, in extraction and inference."""

import sys

import librosa
import numpy as np
import pytest

from serflow.audio import stft
from serflow.audio.io import read_clip
from serflow.audio.length import choose_length, truncate_or_pad
from serflow.features import KINDS, compute_features, frame_features, frames, functionals, kind_settings, lineage, mel
from serflow.features.extract import extract_features
from serflow.features.frame_features import FRAME_FEATURES
from serflow.runtime.errors import UserError
from serflow.storage import ArrayWriter, open_array, read_table, table_of, write_json, write_table

RATE = 16_000
CHOSEN = {
    "sampling_rate": RATE,
    "features": ["zcr", "rms", "mfcc", "centroid"],
    "n_mfcc": 13,
    "size": None,
    "hop": None,
}


def notebook_frames(clip, frame_size, hop=None):
    """The notebook's own calls, section 8.2."""
    hop = hop or int(frame_size / 2)
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
    return truncate_or_pad([read_clip(file, RATE) for file in files[:: max(1, len(files) // 40)]], samples)


def computed_frames(clips, frame_size):
    return np.concatenate(list(frames.compute(clips, CHOSEN | {"frame_size": frame_size}, threads=2)))


def computed_mel(clips, **settings):
    return np.concatenate(list(mel.compute(clips, {"sampling_rate": RATE, **settings}, threads=2)))


def frame_columns(samples, frame_size, **changes):
    return frames.column_names(CHOSEN | {"target_length": samples, "frame_size": frame_size} | changes)


def test_frames_of_a_length_and_hop_of_ones_own():
    clips, settings = synthetic(8_000), CHOSEN | {"frame_size": 400, "size": 25, "hop": 10}
    ours = np.concatenate(list(frames.compute(clips, settings)))
    expected = np.array([notebook_frames(clip, 400, 160) for clip in clips])
    names = frames.column_names(settings | {"target_length": 8_000})
    assert ours.shape == expected.shape == (len(clips), len(names))
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-2)
    assert frames.frame_lengths(settings | {"hop": None}) == (400, 200)
    assert frames.frame_lengths(settings | {"size": None}) == (400, 160)


def assert_frames_are_the_notebooks(clips, frame_size):
    ours = computed_frames(clips, frame_size)
    expected = np.array([notebook_frames(clip, frame_size) for clip in clips])
    names = frame_columns(clips.shape[1], frame_size)
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
    assert len(frame_columns(40_775, 1631)) == computed_frames(synthetic(40_775)[:1], 1631).shape[1] == 816
    assert computed_mel(synthetic(40_775)[:1], n_mels=128, n_fft=1569, hop_length=512).shape == (1, 128, 80)


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
    settings = CHOSEN | {"frame_size": 400, "features": names, "n_mfcc": 3}
    return np.concatenate(list(frames.compute(clips, settings)))


def test_features_are_in_the_order_of_the_list_and_change_no_other():
    clips = synthetic(4_000)
    whole, count = chosen(clips, "zcr", "rms", "mfcc", "centroid"), 21
    np.testing.assert_array_equal(chosen(clips, "centroid", "zcr"), whole[:, np.r_[-count:0, :count]])
    np.testing.assert_array_equal(chosen(clips, "mfcc"), whole[:, 2 * count : -count])
    names = frame_columns(4_000, 400, features=["mfcc", "rms"], n_mfcc=3)
    assert names == [f"{name}_{index:03d}" for name in ("mfcc00", "mfcc01", "mfcc02", "rms") for index in range(count)]


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """Return a function that adds the frame feature ``odd``."""

    def make(text):
        (tmp_path / "odd.py").write_text(text)
        monkeypatch.setattr(frame_features, "__path__", [*frame_features.__path__, str(tmp_path)])
        monkeypatch.setitem(FRAME_FEATURES._names, "odd", tmp_path / "odd.py")

    yield make
    FRAME_FEATURES._plugins.pop("odd", None)
    sys.modules.pop("serflow.features.frame_features.odd", None)


def test_a_feature_of_another_shape_is_refused(odd):
    odd("def compute(frames, settings):\n    return frames.power[:, 1:, 0]\n")
    with pytest.raises(UserError, match=r"'odd' returns shape \(5, 20\) for 5 clips of 21 frames, but must return"):
        chosen(synthetic(4_000), "odd")


def test_two_features_with_one_name_are_refused(odd):
    odd("def columns(settings):\n    return ['rms']\n")
    with pytest.raises(UserError, match=r"two columns 'rms'; rename one in serflow.*\.rms, serflow.*\.odd"):
        frame_columns(4_000, 400, features=["rms", "odd"])


def test_an_unknown_frame_feature():
    with pytest.raises(UserError, match=r"unknown frame feature 'rmss'; known: .*; did you mean 'rms'\?"):
        chosen(synthetic(4_000), "rmss")
    with pytest.raises(UserError, match="unknown frame feature 'rmss'"):
        frames.check_settings({"frames": CHOSEN | {"features": ["rms", "rmss"]}})
    with pytest.raises(UserError, match=r"frames.hop is 40 ms, above frames.size \(25 ms\)"):
        frames.check_settings({"frames": CHOSEN | {"size": 25, "hop": 40}})


def test_settings_that_contradict_each_other():
    mel.check_settings({"mel": {"n_mels": 785, "n_fft": 1569}})
    with pytest.raises(UserError, match=r"n_mels is 786, but mel\.n_fft \(1569\) has only 785 frequencies"):
        mel.check_settings({"mel": {"n_mels": 786, "n_fft": 1569}})
    with pytest.raises(UserError, match=r"frames\.features lacks 'rms'"):
        functionals.check_settings({"frames": {"features": ["zcr"]}})


def test_a_kind_has_the_settings_of_those_that_it_is_computed_from():
    config = {"sampling_rate": RATE, "frames": {"n_mfcc": 3}, "mel": {"n_mels": 9}}
    assert lineage("functionals") == ["frames", "functionals"] and lineage("mel") == ["mel"]
    assert kind_settings("functionals", config) == kind_settings("frames", config)
    assert kind_settings("frames", config) == {"sampling_rate": RATE, "n_mfcc": 3}
    with pytest.raises(UserError, match=r"unknown feature kind 'mels'; .*did you mean 'mel'\?"):
        lineage("mels")


SETTINGS = CHOSEN | {"features": ["zcr", "rms"], "n_mfcc": 3, "n_mels": 16, "n_fft": 256}
SETTINGS |= {"hop_length": 128}
SIZES = {"target_length": 4_000, "frame_size": 400}


def extract(folder, kind, clips, threads=1, settings=SETTINGS):
    """Extract the features of clips and of the kinds that they are computed from; return the output and its index."""
    index = folder / "fixed.parquet"
    with ArrayWriter(folder / "fixed.npy", (4_000,)) as out:
        out.write(clips)
    write_table(index, table_of([(f"clip{number}",) for number in range(len(clips))], {"clip": "string"}))
    write_json(folder / "target.json", SIZES)
    samples = folder / "fixed.npy"
    for name in lineage(kind):
        output, output_index = folder / f"{name}.{KINDS[name].writes}", folder / f"{name}_index.parquet"
        paths = {"index": index, "length": folder / "target.json", "output": output, "output_index": output_index}
        extract_features(name, samples, settings=settings, threads=threads, **paths)
        samples, index = output, output_index
    return samples, index


@pytest.mark.parametrize("kind", ["frames", "functionals", "mel"])
def test_extraction_and_inference_compute_the_same(tmp_path, kind):
    clips = np.random.default_rng(0).normal(size=(2_100, 4_000)).astype(np.float32)  # more than a table holds at once
    output, index = extract(tmp_path, kind, clips, threads=2)
    few = compute_features(kind, clips[2_070:], SETTINGS | SIZES)
    assert few.dtype == np.float32 and few.shape[-1] == 1
    if KINDS[kind].writes == "npy":
        names, values = read_table(index)["clip"], open_array(output)
    else:
        table = read_table(output)
        names, columns = table["clip"], table.column_names[1:]
        assert columns == KINDS[kind].load().column_names(SETTINGS | SIZES)
        values = np.column_stack([table[name].to_numpy() for name in columns])
    assert names.to_pylist() == [f"clip{number}" for number in range(len(clips))]
    np.testing.assert_array_equal(values[2_070:], few[..., 0])


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e300"])
def test_a_feature_that_is_not_finite_is_refused(odd, tmp_path, value):
    odd(
        "import numpy as np\n\n\ndef compute(frames, settings):\n    values = np.zeros(frames.power.shape[:2])\n"
        f"    values[-1, 2] = {value!r}\n    return values\n"
    )
    assert chosen(synthetic(4_000), "odd").shape == (5, 21)
    settings = SETTINGS | {"features": ["zcr", "odd"]}
    clips = np.random.default_rng(0).normal(size=(300, 4_000)).astype(np.float32)
    with pytest.raises(UserError, match=r"frames: the features of clip\d+ hold NaN or infinity; mend what computes"):
        extract(tmp_path, "frames", clips, settings=settings)
    assert not (tmp_path / "frames.parquet").exists()


def test_samples_that_are_not_finite_give_no_features(tmp_path):
    clips = np.random.default_rng(0).normal(size=(300, 4_000)).astype(np.float32)
    clips[297, 17] = np.inf
    with pytest.raises(UserError, match="mel: the features of clip297 hold NaN or infinity"):
        extract(tmp_path, "mel", clips)
    assert not (tmp_path / "mel.npy").exists()


@pytest.mark.parametrize("kind", ["frames", "functionals", "mel"])
def test_a_shard_without_clips_has_features_of_the_same_shape(tmp_path, kind):
    output, _ = extract(tmp_path, kind, np.zeros((0, 4_000), np.float32))
    shape = compute_features(kind, np.zeros((1, 4_000), np.float32), SETTINGS | SIZES).shape[1:-1]
    if KINDS[kind].writes == "npy":
        assert open_array(output).shape == (0, *shape)
    else:
        table = read_table(output)
        assert len(table) == 0 and (len(table.column_names) - 1,) == shape


def test_clips_of_another_length_are_refused(tmp_path):
    extract(tmp_path, "mel", np.zeros((2, 4_000), np.float32))
    write_json(tmp_path / "target.json", SIZES | {"target_length": 4_001})
    paths = {"index": tmp_path / "fixed.parquet", "length": tmp_path / "target.json"}
    with pytest.raises(UserError, match=r"fixed\.npy: not 2 clips of 4001 samples"):
        outputs = {"output": tmp_path / "x.npy", "output_index": tmp_path / "x.parquet"}
        extract_features("mel", tmp_path / "fixed.npy", settings=SETTINGS, **paths, **outputs)
    assert not (tmp_path / "x.npy").exists()
