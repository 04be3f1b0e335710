"""A bundle of a few kilobytes that works, made without any training."""

import json
import zipfile

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from serflow.bundle.reader import BUNDLE_FORMAT
from serflow.cli import main

CLASSES = ["ANG", "HAP", "NEU"]
ABOUT = {
    "bundle_format": BUNDLE_FORMAT,
    "serflow": "0.1.0",
    "corpus": "sample",
    "protocol": "speaker-independent",
    "leaky": False,
    "model": "tiny",
    "seed": 0,
    "fold": 0,
    "classes": CLASSES,
    "features": "mel",
    "standardize": "training",
    "preprocessing": {
        "sampling_rate": 16000,
        "n_mels": 8,
        "n_fft": 512,
        "hop_length": 200,
        "target_length": 4000,
        "frame_size": 250,
        "longest": 8000,
        "remove_dc": False,
        "loudness": None,
    },
    "temperature": 1.5,
    "accuracy_by_confidence": [],
}
CARD = "# tiny on sample\n\nA model that was never trained.\n"


def tiny_graph(nodes=(), output="probabilities", kind=TensorProto.FLOAT):
    """Return a graph that gives a probability for each class by the mean of the spectrogram, then runs `nodes`."""
    weights = {
        "axes": np.array([1, 2, 3]),
        "shape": np.array([-1, 1]),
        "weights": np.array([[0.1, -0.1, 0.0]], np.float32),
    }
    usual = [
        helper.make_node("ReduceMean", ["features", "axes"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "shape"], ["column"]),
        helper.make_node("MatMul", ["column", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    return helper.make_graph(
        [*usual, *nodes],
        "tiny",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, None, None, 1])],
        [helper.make_tensor_value_info(output, kind, None)],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )


def model_of(graph) -> onnx.ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def write_bundle(path, about=ABOUT, model=None, card=CARD, compression=zipfile.ZIP_STORED, **more):
    """Write a bundle; ``about`` may be text, ``model`` bytes; ``moments`` are the bytes of moments.npy."""
    about = about if isinstance(about, (str, bytes)) else json.dumps(about)
    model = model_of(tiny_graph()) if model is None else model
    content = {
        "bundle.json": about,
        "README.md": card,
        "model.onnx": model if isinstance(model, bytes) else model.SerializeToString(),
    }
    content |= {f"{name}.npy": data for name, data in more.items()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def refuse(path, capsys):
    """Expect the command to end with one line that names the bundle, and no output."""
    with pytest.raises(SystemExit) as end:
        main(["predict", str(path), "clip.wav"])
    out, err = capsys.readouterr()
    assert end.value.code == 1 and out == ""
    assert len(err.splitlines()) == 1 and str(path) in err and len(err) < 1000 and "Traceback" not in err
    return err
