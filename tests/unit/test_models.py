"""Architectures, named models, and the rows that they are trained on."""

import itertools
import json

import jsonschema
import numpy as np
import pyarrow as pa
import pytest
import yaml

from serflow.configuration import configure
from serflow.models.architectures import ARCHITECTURES
from serflow.models.data import Features, read_split
from serflow.models.fitting import _build
from serflow.models.gradient_settings import TRAINING_RULES
from serflow.models.keras_run import load_model, save_model
from serflow.models.named import ENSEMBLE, find_model, models_schema, named_models, training_settings
from serflow.models.train import _layers
from serflow.runtime.errors import UserError
from serflow.runtime.plugins import Plugin
from serflow.storage import ArrayWriter, write_table

NUMBERS = itertools.count()


def built(name, shape, classes=6):
    """Build a model with the default settings of its architecture."""
    return _build(ARCHITECTURES[name], name, shape, classes, named_models({})[name].settings)


@pytest.mark.parametrize(
    ("model", "shape", "parameters"),
    [
        ("cnn1d", (816, 1), 2_105_094),
        ("cnn1d", (1392, 1), 2_694_918),
        ("cnn2d", (128, 80, 1), 3_105_990),
    ],
)
def test_the_notebooks_parameters(model, shape, parameters):
    network = built(model, shape)
    assert network.count_params() == parameters and network.output_shape == (None, 6)


def test_the_notebooks_layers():
    network = built("cnn1d", (816, 1))
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
    network = built("cnn2d", (128, 80, 1))
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


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A function that makes a plug-in of the source of an architecture."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(source):
        name = f"mine{next(NUMBERS)}"  # a module of this name is imported once
        (tmp_path / f"{name}.py").write_text(source)
        return Plugin(name, name, frozenset(["build"]), {"FEATURES": "mel", "SETTINGS": {}, "DEFAULTS": {}})

    return make


SUBCLASS = """
import keras

class Mine(keras.Model):
    def __init__(self, classes, **options):
        super().__init__(**options)
        self.classes, self.flat, self.dense = classes, keras.layers.Flatten(), keras.layers.Dense(classes, "softmax")

    def call(self, inputs):
        return self.dense(self.flat(inputs))

    def get_config(self):
        return super().get_config() | {"classes": self.classes}

def build(shape, classes, settings):
    return Mine(classes)
"""


def test_a_subclass_of_model_is_found_again_when_it_is_loaded(plugin, tmp_path, monkeypatch):
    mine = plugin(SUBCLASS)
    network = _build(mine, "mine", (3, 4, 1), 2, {})
    assert (network.input_shape, network.output_shape) == ((None, 3, 4, 1), (None, 2))
    assert [layer["type"] for layer in _layers(network)] == ["Flatten", "Dense"]
    save_model(tmp_path / "model.keras", network)
    with pytest.raises(UserError, match="not a Keras model that can be loaded safely"):
        load_model(tmp_path / "model.keras")
    monkeypatch.setattr(ARCHITECTURES, "find", lambda name, where: mine)
    x = np.random.default_rng(0).normal(size=(5, 3, 4, 1))
    loaded = load_model(tmp_path / "model.keras", "mine")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), network.predict(x, verbose=0))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return keras.layers.Dense(2)", "returns a Dense, but must return a keras.Model"),
        ("return keras.Sequential([keras.Input(shape), keras.layers.Flatten()])", r"to \(None, 12\), but must return"),
        ("raise ValueError('too small')", r"models\.mine: does not fit features of shape \(3, 4, 1\): too small"),
    ],
)
def test_what_build_must_return(plugin, body, message):
    with pytest.raises(UserError, match=message):
        _build(plugin(f"import keras\ndef build(shape, classes, settings):\n    {body}\n"), "mine", (3, 4, 1), 2, {})


def test_config_yaml_shows_the_defaults_of_the_architectures(project):
    shown = yaml.safe_load((project / "config.yaml").read_text())["models"]
    variants = {name: section for name, section in shown.items() if "architecture" in section}
    assert set(shown) - set(variants) == {*ARCHITECTURES, ENSEMBLE.name}
    assert named_models(shown) == named_models(variants | {"ensemble": shown["ensemble"]})


def test_a_model_of_vectors_reads_those_that_it_names(project):
    named = {
        "mine": {"architecture": "svm_functionals", "features": "embedding"},
        "linear": {"architecture": "logreg_embedding", "features": "egemaps"},
    }
    models = named_models(named)
    assert [models[name].features for name in ("svm_functionals", "mine", "linear")] == [
        "functionals",
        "embedding",
        "egemaps",
    ]
    assert models["mine"].settings["encoder"] == "whisper-tiny.en"
    assert "encoder" in models["logreg_embedding"].settings and "encoder" not in models["linear"].settings
    same = configure({"models": {"logreg_embedding": {"features": "functionals"}}, "corpus": "mine"}, project)
    assert "encoder" not in same["models"]["logreg_embedding"]
    for section in ({"features": "mel"}, {"features": "gemaps"}, {"features": ["table"]}):
        with pytest.raises(UserError, match=r"models\.x\.features.* is not one of .*'functionals'"):
            configure({"models": {"x": {"architecture": "svm_functionals"} | section}}, project)
    with pytest.raises(UserError, match=r"models\.x\.features is not a setting"):
        configure({"models": {"x": {"architecture": "cnn1d", "features": "frames"}}}, project)


def test_named_models():
    models = named_models({"small": {"architecture": "cnn2d", "filters": [8, 8, 8]}, "cnn1d": {"epochs": 3}})
    small = models["small"]
    assert list(models) == [*ARCHITECTURES, "small"] and small.features == "mel" and small.by_gradient
    assert small.settings == models["cnn2d"].settings | {"filters": [8, 8, 8]}
    assert models["cnn1d"].settings["epochs"] == 3 and not models["svm_functionals"].by_gradient
    settings = {"C", "max_iter", "class_weight", "copies", "standardize", "features"}
    assert set(models["svm_functionals"].settings) == settings
    with pytest.raises(UserError, match=r"models\.small: unknown model architecture 'cnn2'; known: .*did you mean"):
        named_models({"small": {"architecture": "cnn2"}})
    with pytest.raises(
        UserError,
        match="--model names 'cnn_1d', but models has: cnn1d, cnn2d, logreg_embedding, mlp_embedding, resnet_asp, "
        "svm_functionals, small; d",
    ):
        find_model(models, "cnn_1d", "--model")


def test_an_architecture_changes_defaults_of_training(monkeypatch):
    models = named_models({})
    assert models["mlp_embedding"].settings["optimizer"] == "adamw" and models["mlp_embedding"].settings["copies"] == []
    assert models["cnn1d"].settings["optimizer"] == "adam"
    monkeypatch.setattr(ARCHITECTURES["cnn1d"], "defaults", {"optimiser": "adamw"})
    with pytest.raises(UserError, match=r"cnn1d\.py: DEFAULTS names 'optimiser', but the settings are standardize, "):
        named_models({})


def test_the_notebook_feeds_raw_features_to_networks():
    models = named_models({})
    assert training_settings(models["cnn1d"], "notebook")["standardize"] == "none"
    assert training_settings(models["cnn1d"], "random")["standardize"] == "training"
    assert training_settings(models["svm_functionals"], "notebook") == models["svm_functionals"].settings


@pytest.mark.parametrize(
    ("section", "valid"),
    [
        ({}, True),
        ({"small": {"architecture": "cnn2d", "filters": [1, 2, 3]}}, True),
        ({"cnn1d": {"standardize": "none"}}, True),
        ({"cnn1d": {"standardize": "speakers"}}, False),
        ({"small": {"architecture": "cnn2d", "blocks": []}}, False),
        ({"svm_functionals": {"epochs": 3}}, False),
        ({"a/b": {"architecture": "cnn2d"}}, False),
        ([], False),
    ],
)
def test_the_schema_of_models(section, valid):
    """It refers to nothing outside."""
    schema = models_schema(section)
    assert "$ref" not in json.dumps(schema)
    assert jsonschema.Draft202012Validator(schema).is_valid(section) == valid


def test_every_default_is_valid():
    schema = models_schema({})
    jsonschema.validate({name: dict(model.settings) for name, model in named_models({}).items()}, schema)
    assert all(
        "default" in rule for model in schema["properties"].values() for rule in list(model["properties"].values())[1:]
    )
    for name, model in named_models({}).items():
        assert (set(TRAINING_RULES) <= set(model.settings)) == model.by_gradient, name


def test_features_say_what_is_missing(tmp_path):
    with ArrayWriter(tmp_path / "s00.npy", (3, 4)) as out:
        out.write(np.zeros((2, 3, 4)))
    write_table(tmp_path / "s00.parquet", pa.table({"clip": ["a", "b"]}))
    features = Features([tmp_path / "s00.npy"], [tmp_path / "s00.parquet"])
    assert features.shape == (3, 4, 1)
    with pytest.raises(UserError, match="1 clips of the split have no features, the first is c"):
        features.rows(["a", "c"], ["ANG", "ANG"], ["ANG"])
    write_table(tmp_path / "s00.parquet", pa.table({"clip": ["a"]}))
    with pytest.raises(UserError, match="2 rows, but 1 names"):
        Features([tmp_path / "s00.npy"], [tmp_path / "s00.parquet"])


def test_a_split_with_an_empty_part(tmp_path):
    columns = {"clip": ["a"], "origin": ["a"], "fold": [0], "part": ["train"], "label": ["ANG"]}
    write_table(tmp_path / "x.parquet", pa.table(columns))
    with pytest.raises(UserError, match="fold 0 has no clips to valid on"):
        read_split(tmp_path / "x.parquet", 0)
