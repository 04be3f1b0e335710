import sys
from types import SimpleNamespace

import keras
import numpy as np
import pyarrow as pa
import pytest
import yaml

from serflow.models.data import Features, read_split
from serflow.models.registry import MODELS, Architecture, known_model
from serflow.runtime.errors import UserError
from serflow.storage import ArrayWriter, write_table


@pytest.fixture(scope="module")
def settings(project):
    return yaml.safe_load((project / "config.yaml").read_text())["models"]


@pytest.mark.parametrize(
    ("model", "shape", "parameters"),
    [
        ("cnn1d", (816, 1), 2_105_094),
        ("cnn1d", (1392, 1), 2_694_918),
        ("cnn2d", (128, 80, 1), 3_105_990),
    ],
)
def test_the_notebooks_parameters(settings, model, shape, parameters):
    network = MODELS[model].build(shape, 6, settings[model])
    assert network.count_params() == parameters and network.output_shape == (None, 6)


def test_the_notebooks_layers(settings):
    network = MODELS["cnn1d"].build((816, 1), 6, settings["cnn1d"])
    shapes = [(type(layer).__name__, layer.output.shape[1:]) for layer in network.layers]
    assert shapes[-7:] == [
        ("Conv1D", (51, 512)),
        ("BatchNormalization", (51, 512)),
        ("MaxPooling1D", (26, 512)),
        ("Flatten", (13312,)),
        ("Dense", (64,)),
        ("BatchNormalization", (64,)),
        ("Dense", (6,)),
    ]
    network = MODELS["cnn2d"].build((128, 80, 1), 6, settings["cnn2d"])
    assert [(type(layer).__name__, layer.output.shape[1:]) for layer in network.layers] == [
        ("Conv2D", (122, 74, 32)),
        ("MaxPooling2D", (61, 37, 32)),
        ("BatchNormalization", (61, 37, 32)),
        ("Conv2D", (59, 35, 64)),
        ("MaxPooling2D", (29, 17, 64)),
        ("Dropout", (29, 17, 64)),
        ("Conv2D", (27, 15, 64)),
        ("MaxPooling2D", (13, 7, 64)),
        ("Flatten", (5824,)),
        ("Dense", (512,)),
        ("Dense", (128,)),
        ("Dense", (6,)),
    ]


def test_a_network_that_is_no_sequence_of_layers_is_refused(monkeypatch):
    """The standardisation could not be put in front of it."""

    def build(shape, classes, settings):
        inputs = keras.Input(shape)
        return keras.Model(inputs, keras.layers.Flatten()(inputs))

    monkeypatch.setitem(sys.modules, "serflow.models.architectures.mine", SimpleNamespace(build=build))
    with pytest.raises(UserError, match=r"models\.mine: build gives a Functional, but must give a keras.Sequential"):
        Architecture("mine", "mel", {}, True).build((3, 4, 1), 2, {})


def test_a_model_that_is_not_known():
    with pytest.raises(UserError, match="--model names 'cnn_1d', but models has: cnn1d, cnn2d, svm_functionals; did"):
        known_model("cnn_1d", "--model")


def test_features_say_what_is_missing(tmp_path):
    with ArrayWriter(tmp_path / "s00.npy", (3, 4)) as out:
        out.write(np.zeros((2, 3, 4)))
    write_table(tmp_path / "s00.parquet", pa.table({"clip": ["a", "b"]}))
    features = Features([tmp_path / "s00.npy"])
    assert features.shape == (3, 4, 1)
    with pytest.raises(UserError, match="1 clips of the split have no features, the first is c"):
        features.rows(["a", "c"], ["ANG", "ANG"], ["ANG"])
    write_table(tmp_path / "s00.parquet", pa.table({"clip": ["a"]}))
    with pytest.raises(UserError, match="2 rows, but 1 names"):
        Features([tmp_path / "s00.npy"])


def test_a_split_with_an_empty_part(tmp_path):
    columns = {"clip": ["a"], "origin": ["a"], "fold": [0], "part": ["train"], "label": ["ANG"]}
    write_table(tmp_path / "x.parquet", pa.table(columns))
    with pytest.raises(UserError, match="fold 0 has no clips to valid on"):
        read_split(tmp_path / "x.parquet", 0)
