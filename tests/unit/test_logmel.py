"""Log-mel-spectrograms of clips at their own length, and the network that reads them."""

import keras
import librosa
import numpy as np
import pyarrow as pa
import pytest
import soundfile

from serflow.bundle.convert import to_onnx
from serflow.features import compute_features
from serflow.features.extract import extract_features
from serflow.features.logmel import check_settings
from serflow.features.padding import padded
from serflow.inference.label import Classifier, label_recordings
from serflow.inference.onnx_model import Network
from serflow.inference.recordings import list_recordings
from serflow.models.architectures import ARCHITECTURES
from serflow.models.fitting import _build
from serflow.models.keras_run import load_model
from serflow.models.moments import moments_of
from serflow.models.named import named_models
from serflow.models.standardize import GroupStandardized, mean_and_sd, plain_features, with_standardization
from serflow.runtime.errors import UserError
from serflow.storage import ArrayWriter, open_array, read_table, write_archive, write_table
from steps import AS_RECORDED

SETTINGS = {"sampling_rate": 16_000, "n_mels": 64, "window_ms": 25, "hop_ms": 20}


def noise(samples, seed=0):
    return np.random.default_rng(seed).normal(scale=0.1, size=samples).astype(np.float32)


def test_logmel_is_librosas_without_the_level():
    clip = noise(20_287)
    found = compute_features("logmel", [clip], SETTINGS)[0, :, :, 0]
    mel = librosa.feature.melspectrogram(
        y=clip, sr=16_000, n_fft=400, hop_length=320, n_mels=64, pad_mode="constant", center=True
    )
    wanted = librosa.power_to_db(mel, ref=np.max)
    np.testing.assert_allclose(found, wanted - wanted.mean(), atol=2e-3)
    assert found.shape == (64, 1 + 20_287 // 320)
    np.testing.assert_allclose(compute_features("logmel", [clip / 8], SETTINGS)[0, :, :, 0], found, atol=1e-3)
    assert compute_features("logmel", [clip], SETTINGS | {"hop_ms": 10}).shape == (1, 64, 1 + 20_287 // 160, 1)


def test_more_bands_than_frequencies():
    with pytest.raises(UserError, match=r"logmel.n_mels is 300, but a window of logmel.window_ms \(25\) has only 201"):
        check_settings({"sampling_rate": 16_000, "logmel": SETTINGS | {"n_mels": 300}})


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    """Features of three clips of two speakers, one of which cannot be used."""
    folder = tmp_path_factory.mktemp("shard")
    lengths = [16_000, 0, 24_000, 8_000]
    with ArrayWriter(folder / "audio.npy") as out:
        for seed, length in enumerate(lengths):
            out.write(noise(length, seed))
    index = {"clip": ["a_1", "a_2", "b_1", "b_2"], "offset": np.cumsum([0, *lengths[:-1]]), "length": lengths}
    write_table(folder / "audio.parquet", pa.table(index))
    files = {"output": folder / "s.npy", "output_index": folder / "s.parquet"}
    extract_features("logmel", folder / "audio.npy", index=folder / "audio.parquet", settings=SETTINGS, **files)
    return folder


def test_a_shard_has_its_clips_end_to_end(shard):
    index = read_table(shard / "s.parquet").to_pydict()
    assert index == {"clip": ["a_1", "b_1", "b_2"], "offset": [0, 51, 127], "length": [51, 76, 26]}
    values = open_array(shard / "s.npy")
    assert values.shape == (153, 64)
    np.testing.assert_array_equal(values[51:127].T, compute_features("logmel", [noise(24_000, 2)], SETTINGS)[0, ..., 0])
    features = plain_features("resnet_asp", [shard / "s.npy"], [shard / "s.parquet"], {})
    assert features.shape == (64, None, 1) and features.clips == index["clip"]


def test_a_shard_without_clips(tmp_path):
    with ArrayWriter(tmp_path / "audio.npy"):
        pass
    empty = {"clip": pa.array([], pa.string()), "offset": pa.array([], pa.int64()), "length": pa.array([], pa.int64())}
    write_table(tmp_path / "audio.parquet", pa.table(empty))
    files = {"output": tmp_path / "s.npy", "output_index": tmp_path / "s.parquet"}
    extract_features("logmel", tmp_path / "audio.npy", index=tmp_path / "audio.parquet", settings=SETTINGS, **files)
    assert open_array(tmp_path / "s.npy").shape == (0, 64)
    assert read_table(tmp_path / "s.parquet").column_names == ["clip", "offset", "length"]


def test_what_is_behind_the_end_does_not_count_in_mean_and_standard_deviation(shard):
    features = plain_features("resnet_asp", [shard / "s.npy"], [shard / "s.parquet"], {})
    frames = np.asarray(open_array(shard / "s.npy"))
    found = mean_and_sd(features, features.places(features.clips))
    np.testing.assert_allclose(found.mean, frames.mean(axis=0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.sd, frames.std(axis=0), rtol=1e-4)
    grouped = GroupStandardized(features, lambda clip: clip[0])
    taken = grouped.take(grouped.places(["b_1", "b_2"]))
    joined = np.concatenate([taken[0, :, :, 0], taken[1, :, :26, 0]], axis=1)
    np.testing.assert_allclose(joined.mean(axis=1), 0, atol=1e-4)
    np.testing.assert_allclose(joined.std(axis=1), 1, rtol=1e-3)
    assert np.isnan(taken[1, :, 26:]).all()
    plain = moments_of([frames.T[None]])
    np.testing.assert_array_equal(plain.mean, moments_of([padded([frames.T, frames.T[:, :0]])]).mean)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    settings = named_models({})["resnet_asp"].settings
    inner = _build(ARCHITECTURES["resnet_asp"], "resnet_asp", (64, None, 1), 6, settings)
    mean, sd = np.linspace(-5, 5, 64, dtype=np.float32), np.linspace(8, 12, 64, dtype=np.float32)
    found = with_standardization(inner, (64, None, 1), mean, sd)
    rng = np.random.default_rng(0)
    for layer in inner.layers:
        if isinstance(layer, keras.layers.BatchNormalization):  # as after training; at first it does nothing
            layer.set_weights([rng.uniform(0.5, 1.5, size=weight.shape) for weight in layer.get_weights()])
    return found


def test_resnet_asp_has_at_most_a_million_parameters(network):
    assert 100_000 < network.count_params() <= 1_000_000


@pytest.mark.parametrize("longer", [1, 2, 3, 8, 57])
def test_what_is_behind_the_end_does_not_change_probabilities(network, longer):
    clip = compute_features("logmel", [noise(20_287)], SETTINGS)
    behind = np.pad(clip, ((0, 0), (0, 0), (0, longer), (0, 0)), constant_values=np.nan)
    alone, among_others = (network.predict_on_batch(values) for values in (clip, behind))
    np.testing.assert_allclose(among_others, alone, atol=2e-6)
    assert not np.allclose(alone, network.predict_on_batch(clip[:, :, :30]), atol=1e-4)


def test_resnet_asp_runs_as_onnx_on_any_length(network, tmp_path):
    write_archive(tmp_path / "model.keras", network.save)
    loaded = load_model(tmp_path / "model.keras", "resnet_asp")
    converted = Network(to_onnx(loaded))
    for lengths in ([20_287, 30_000, 8_000], [400], [100], [80_000, 16_000]):
        values = compute_features("logmel", [noise(length, length) for length in lengths], SETTINGS)
        np.testing.assert_allclose(converted.probabilities(values), network.predict_on_batch(values), atol=1e-5)


def test_silence_has_probabilities(network):
    values = compute_features("logmel", [np.zeros(16_000, np.float32), noise(32_000)], SETTINGS)
    found = network.predict_on_batch(values)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


def test_recordings_are_labelled_at_their_own_length_and_long_ones_in_windows(network, tmp_path):
    lengths = {"short.wav": 12_000, "other.wav": 30_000, "long.wav": 150_000}
    for name, length in lengths.items():
        soundfile.write(tmp_path / name, noise(length, length), 16_000, subtype="FLOAT")
    preprocessing = SETTINGS | AS_RECORDED | {"target_length": 40_000, "longest": 80_000}
    classifier = Classifier(Network(to_onnx(network)), "logmel", preprocessing, 1)
    found = list(label_recordings(classifier, list_recordings([str(tmp_path / name) for name in lengths])))
    assert [len(prediction.windows) for prediction in found] == [1, 1, 7] and not any(row.problem for row in found)
    for prediction, (name, length) in zip(found[:2], list(lengths.items())[:2], strict=True):
        values = compute_features("logmel", [soundfile.read(tmp_path / name, dtype="float32")[0]], SETTINGS)
        assert prediction.seconds == length / 16_000
        np.testing.assert_allclose(prediction.probabilities, network.predict_on_batch(values)[0], atol=1e-5)
