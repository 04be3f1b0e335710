"""Checkpoints of Hugging Face Transformers as encoders: their ONNX beside what PyTorch computes, layer by layer."""

import json
import os
import shutil
import subprocess

import numpy as np
import onnxruntime
import pytest
import safetensors.numpy

from hub import serving_models
from serflow import storage
from serflow.encoders.run import open_encoder

pytestmark = pytest.mark.extended

NORMALIZED = "zero-mean-unit-variance"
# What tests/write_checkpoints.py writes, and how its clips are normalised.
CHECKPOINTS = {
    "wav2vec2": NORMALIZED,
    "wav2vec2-large": NORMALIZED,
    "hubert": "none",
    "hubert-large": NORMALIZED,
    "wavlm": "none",
    "wavlm-large": NORMALIZED,
    "data2vec-audio": NORMALIZED,
}


@pytest.fixture(scope="session")
def exporting(project):
    """The variables of the environment that has PyTorch, for commands that run in it."""
    folder = project / ".venv-encoders"
    if not (folder / "bin/python").exists():
        pytest.skip("PyTorch is not installed for the tests: `make env-encoders` makes the environment")
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": str(project / "workflow/src"), "NO_PROXY": "127.0.0.1"}


@pytest.fixture(scope="module")
def checkpoints(exporting, project, tmp_path_factory):
    """The folder of all checkpoints."""
    folder = tmp_path_factory.mktemp("checkpoints")
    command = ["python", str(project / "tests/write_checkpoints.py"), str(folder)]
    subprocess.run(command, env=exporting, check=True, capture_output=True)
    return folder


@pytest.fixture
def export(exporting, tmp_path):
    """A function that runs the command, and returns what it says; the files are out.onnx and out.json."""

    def run(**settings):
        command = ["python", "-m", "serflow", "export_encoder", "--encoder", "own", "--settings", json.dumps(settings)]
        command += ["--output", str(tmp_path / "out.onnx"), "--description", str(tmp_path / "out.json")]
        return subprocess.run(command, env=exporting, check=False, capture_output=True, text=True)

    return run


def close(found, expected):
    """Whether each layer is within a hundred-thousandth of its range of the expected one."""
    allowed = 1e-5 * np.ptp(expected, axis=(1, 2), keepdims=True)
    return found.shape == expected.shape and (abs(found - expected) < allowed).all()


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_every_layer_is_that_of_the_checkpoint(checkpoints, export, tmp_path, name):
    done = export(transformers=str(checkpoints / name), licence="MIT")
    unsaid = "clips are not normalised; set encoders.own.normalize" in done.stderr
    assert (done.returncode, unsaid, done.stderr.count("\n")) == (0, name == "hubert", unsaid)
    described = storage.read_json(tmp_path / "out.json")
    assert (described["layers"], described["blocks"], described["width"]) == (4, [1, 2, 3], 32)
    assert (described["stride"], described["normalize"]) == (320, CHECKPOINTS[name])
    assert (described["input"], described["outputs"]) == ("waveform", ["hidden_states"])
    assert (described["source"], described["licence"]) == (str(checkpoints / name), "MIT")
    session = onnxruntime.InferenceSession(tmp_path / "out.onnx")
    assert session.get_inputs()[0].shape == ["batch", "samples"]
    assert session.get_outputs()[0].shape == ["batch", 4, "frames", 32]
    encoder = open_encoder(tmp_path / "out.onnx", tmp_path / "out.json")
    expected = np.load(checkpoints / name / "expected.npz")
    for number in range(2):
        clip, raw, prepared = (expected[f"{kind}{number}"] for kind in ("clip", "raw", "prepared"))
        for row in session.run(None, {"waveform": np.stack([clip, clip])})[0]:
            assert close(row, raw)
        assert close(encoder.states(clip), prepared)
        statistics = np.concatenate([prepared.mean(axis=1), prepared.std(axis=1)], axis=1)
        np.testing.assert_allclose(encoder.pooled(clip), statistics, rtol=1e-3, atol=1e-5)


def test_settings_go_before_what_the_checkpoint_says(checkpoints, export, tmp_path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(checkpoints / "wav2vec2", folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\n")
    assert export(transformers=str(folder)).returncode == 0
    first = storage.read_json(tmp_path / "out.json")
    assert (first["licence"], first["normalize"], first["batch"]) == ("apache-2.0", NORMALIZED, 1)
    given = {"licence": "MIT", "normalize": "none", "batch": 4, "sha256": first["source_sha256"]}
    assert export(transformers=str(folder), **given).returncode == 0
    second = storage.read_json(tmp_path / "out.json")
    assert (second["licence"], second["normalize"], second["batch"]) == ("MIT", "none", 4)
    assert second["sha256"] == first["sha256"]  # the same bytes
    done = export(transformers=str(folder), sha256="0" * 64)
    assert f"its model.safetensors is {first['source_sha256']}, not {'0' * 64} as encoders.own.sha256" in line(done)


def line(done):
    """Return the one line that a command that failed has said."""
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_weights_of_half_the_precision_are_computed_in_float32(checkpoints, export, tmp_path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(checkpoints / "hubert", folder)
    weights = safetensors.numpy.load_file(folder / "model.safetensors")
    half = {name: values.astype(np.float16) for name, values in weights.items()}
    safetensors.numpy.save_file(half, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text((folder / "config.json").read_text().replace("float32", "float16"))
    assert export(transformers=str(folder)).returncode == 0
    expected = np.load(folder / "expected.npz")
    found = open_encoder(tmp_path / "out.onnx", tmp_path / "out.json").states(expected["clip0"])
    np.testing.assert_allclose(found, expected["raw0"], atol=0.02)


def test_weights_that_do_not_belong_to_the_configuration_are_one_line(checkpoints, export, tmp_path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(checkpoints / "wavlm", folder)
    weights = safetensors.numpy.load_file(folder / "model.safetensors")
    lost = weights.pop("encoder.layers.1.final_layer_norm.weight")
    weights.pop("masked_spec_embed")  # which only training needs
    safetensors.numpy.save_file(weights, folder / "model.safetensors", {"format": "pt"})
    message = "lacks 1 weights of the encoder, such as encoder.layers.1.final_layer_norm.weight"
    assert message in line(export(transformers=str(folder)))
    weights["encoder.layers.1.final_layer_norm.weight"] = lost
    safetensors.numpy.save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert export(transformers=str(folder)).returncode == 0
    text = (folder / "config.json").read_text().replace('"intermediate_size": 48', '"intermediate_size": 40')
    (folder / "config.json").write_text(text)
    assert f"{folder}: cannot be loaded (" in line(export(transformers=str(folder)))


def test_the_command_that_converts_other_weights_works_as_it_is_shown(checkpoints, exporting, export, tmp_path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(checkpoints / "wavlm-large", folder)
    code = "import safetensors.torch as s, torch; torch.save(s.load_file('model.safetensors'), 'pytorch_model.bin')"
    subprocess.run(["python", "-c", code], cwd=folder, env=exporting, check=True)
    (folder / "model.safetensors").unlink()
    said = line(export(transformers=str(folder)))
    subprocess.run(said.split("`")[1], shell=True, cwd=tmp_path, env=exporting, check=True, capture_output=True)
    assert export(transformers=str(tmp_path / "converted")).returncode == 0
    assert storage.read_json(tmp_path / "out.json")["normalize"] == NORMALIZED
    expected = np.load(folder / "expected.npz")
    assert close(
        open_encoder(tmp_path / "out.onnx", tmp_path / "out.json").states(expected["clip0"]), expected["prepared0"]
    )


def test_the_rule_exports_a_model_of_hugging_face(checkpoints, exporting, empty):
    names = ("config.json", "model.safetensors", "preprocessor_config.json")
    files = {name: (checkpoints / "wavlm" / name).read_bytes() for name in names}
    encoders = {"wavlm": {"transformers": "owner/wavlm"}}
    command = empty.command("--cores", "1", "resources/encoders/wavlm.onnx", encoders=encoders)
    with serving_models() as hub:
        commit = hub.commit("owner/wavlm", files | {"README.md": b"---\nlicense: mit\n---\n"})
        variables = exporting | {"HF_ENDPOINT": hub.url, "HF_HOME": str(empty.folder / "cache")}
        subprocess.run(command, cwd=empty.folder, env=variables, check=True, capture_output=True)
    described = storage.read_json(empty.folder / "resources/encoders/wavlm.json")
    assert (described["source"], described["licence"]) == (f"owner/wavlm, commit {commit}", "mit")
    assert storage.read_json(empty.folder / "resources/encoders/wavlm.download.json")["commit"] == commit
    assert (empty.folder / "results/sample/logs/export_encoder/wavlm.log").exists()
