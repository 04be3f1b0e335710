"""A model of two branches, from its file to labels: any ``keras.Model`` is trained, bundled and used."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile as sf

from serflow.bundle.reader import open_bundle
from serflow.evaluation.predictions import load_runs
from serflow.features import compute_features
from serflow.metrics.scores import STATISTICS
from serflow.models.gradient_settings import BY_GRADIENT
from serflow.storage import ArrayWriter, read_json, read_table, write_json, write_table
from steps import AS_RECORDED
from voice import voice

# Its logits are large, so that it is far too sure of itself.
ARCHITECTURE = """
import keras
from keras import layers

FEATURES = "mel"
SETTINGS = {"sharpness": {"type": "number", "default": 300.0}}


class Sharpened(layers.Layer):
    def __init__(self, factor, **options):
        super().__init__(**options)
        self.factor = factor

    def call(self, inputs):
        return inputs * self.factor

    def get_config(self):
        return super().get_config() | {"factor": self.factor}


def build(input_shape, classes, settings):
    inputs = keras.Input(input_shape)
    wide = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 5, activation="relu", padding="same")(inputs))
    narrow = layers.GlobalMaxPooling2D()(layers.Conv2D(4, 3, activation="relu")(inputs))
    logits = layers.Dense(classes, name="logits")(layers.Concatenate()([wide, narrow]))
    return keras.Model(inputs, layers.Softmax()(Sharpened(settings["sharpness"])(logits)))
"""
CLASSES = ["ANG", "HAP", "SAD"]
PREPROCESSING = {"sampling_rate": 8000, "n_mels": 20, "n_fft": 256, "hop_length": 200} | AS_RECORDED
LENGTH = {"target_length": 4000, "frame_size": 400}
SPEAKERS = (1001, 1002, 1003, 1004)


@pytest.fixture(scope="module")
def run(tmp_path_factory, project):
    """A bundled run of noise that says nothing of the labels, and its recordings."""
    folder = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(0)
    names = [f"{speaker}_{number:02d}" for speaker in SPEAKERS for number in range(15)]
    names[29] = "1001_00.pitch_shift"
    clips = voice(0.5, 8000) + rng.uniform(-0.02, 0.02, (len(names), 4000)).astype(np.float32)
    clips *= rng.uniform(0.1, 1, (len(names), 1))
    (folder / "audio").mkdir()
    for name, samples in zip(names, clips, strict=True):
        sf.write(folder / f"audio/{name}.wav", samples, 8000, subtype="FLOAT")
    features = compute_features("mel", clips, PREPROCESSING | LENGTH)[..., 0]
    for shard, rows in enumerate((slice(0, 25), slice(25, None))):
        with ArrayWriter(folder / f"s{shard}.npy", features.shape[1:]) as out:
            out.write(features[rows])
        write_table(folder / f"index{shard}.parquet", pa.table({"clip": names[rows]}))
    parts = ["train"] * 30 + ["valid"] * 15 + ["test"] * 15
    labels = [CLASSES[number % 3] for number in range(len(names))]
    origins = [names[0] if name == names[29] else name for name in names]
    split = {"clip": names, "origin": origins, "fold": [0] * len(names), "part": parts, "label": labels}
    write_table(folder / "split.parquet", pa.table(split))
    known = {"clip": origins, "duration": [0.5] * len(names), "sex": ["Male"] * 30 + ["Female"] * 30}
    known |= dict.fromkeys(("age", "race", "ethnicity", "sentence", "level"), pa.nulls(len(names)))
    write_table(folder / "clips.parquet", pa.table(known))
    write_json(folder / "length.json", LENGTH)

    package = shutil.copytree(project / "workflow/src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (package / "serflow/models/architectures/branches.py").write_text(ARCHITECTURE)
    environment = os.environ | {"PYTHONPATH": str(package)}

    def serflow(*words):
        command = [sys.executable, "-m", "serflow", *map(str, words)]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    shards = ["--features", "s0.npy", "s1.npy", "--indices", "index0.parquet", "index1.parquet"]
    common = ["--architecture", "branches", "--split", "split.parquet", *shards, "--fold", 0, "--threads", 1]
    settings = {name: rule["default"] for name, rule in BY_GRADIENT.items()}
    settings |= {"epochs": 3, "patience": 5, "min_delta": 0, "batch_size": 8, "learning_rate": 0.01}
    settings |= {"standardize": "training", "sharpness": 300, "copies": ["pitch_shift", "time_stretch"]}
    files = ["--output", "model.keras", "--history", "history.csv", "--summary", "model.txt"]
    files += ["--training", "training.json", "--before-refit", "before_refit.parquet"]
    more = ["--settings", json.dumps(settings), "--before-refit", "before_refit.parquet"]
    serflow("train_model", "--model", "two", "--seed", 0, "--settings", json.dumps(settings), *common, *files)
    serflow("predict_test", "--model", "model.keras", *common, *more, "--output", "predictions.parquet")
    serflow(
        *("evaluate_model", "--predictions", "predictions.parquet", "--training", "training.json"),
        *("--protocol", "speaker-independent", "--seed", 0, "--fold", 0, "--output", "metrics.json"),
    )
    serflow(
        *("bundle_model", "--model", "model.keras", "--architecture", "branches", *shards),
        *("--settings", json.dumps(settings), "--training", "training.json"),
        *("--predictions", "predictions.parquet", "--metrics", "metrics.json", "--length", "length.json"),
        *("--clips", "clips.parquet", "--corpus", "noise", "--preprocessing", json.dumps(PREPROCESSING)),
        *("--resampling", json.dumps({"resamples": 100, "seed": 0}), "--output", "bundle.zip"),
    )
    serflow("predict", "bundle.zip", "audio", "--output", "labels.csv")
    return folder


def test_its_layers_are_listed_without_the_models_around_them(run):
    training = read_json(run / "training.json")
    assert (training["model"], training["architecture"]) == ("two", "branches")
    types = [layer["type"] for layer in training["layers"]]
    assert types[0] == "Normalization" and types.count("Conv2D") == 2 and types[-1] == "Softmax"
    assert sum(layer["parameters"] for layer in training["layers"]) == training["parameters"]
    (logits,) = [layer for layer in training["layers"] if layer["name"] == "logits"]
    assert logits["output_shape"] == [3] and logits["parameters"] == 8 * 3 + 3
    summary = (run / "model.txt").read_text()
    assert "standardization" in summary and "logits" in summary
    assert len((run / "history.csv").read_text().splitlines()) == 1 + training["epochs"]


def test_predictions_say_what_is_a_copy(run):
    rows = read_table(run / "predictions.parquet").to_pylist()
    assert len(rows) == 60
    (copy,) = [row for row in rows if row["copy"] is not None]
    assert (copy["origin"], copy["copy"], copy["part"]) == ("1001_00", "pitch_shift", "train")
    assert all(row["origin"] == row["clip"] for row in rows if row is not copy)


def test_the_bundle_predicts_what_the_model_predicted(run):
    expected = {row["clip"]: row for row in read_table(run / "predictions.parquet").to_pylist()}
    bundle = open_bundle(run / "bundle.zip")
    assert bundle.about["onnx_difference"] < 1e-4 and bundle.about["architecture"] == "branches"
    with (run / "labels.csv").open(newline="") as file:
        found = {Path(row["file"]).stem: row for row in csv.DictReader(file)}
    assert found.keys() == expected.keys()
    for name, row in found.items():
        shares = {key: value for key, value in expected[name].items() if key.startswith("p_")}
        np.testing.assert_allclose([float(row[key]) for key in shares], list(shares.values()), atol=1e-4)


def test_confidence_is_that_of_the_report_in_a_saturated_model_with_a_high_temperature(run):
    measured = read_json(run / "metrics.json")
    (loaded,) = load_runs([run / "metrics.json"], [run / "predictions.parquet"])
    tested = loaded.pooled
    assert measured["temperature"] > 10 and (tested.probabilities == 0).any()
    with (run / "labels.csv").open(newline="") as file:
        found = {Path(row["file"]).stem: float(row["confidence"]) for row in csv.DictReader(file)}
    np.testing.assert_allclose([found[clip] for clip in tested.clips], tested.calibrated.max(axis=1), atol=1e-3)


def test_the_card_is_of_this_run_alone(run):
    measured, card = read_json(run / "metrics.json"), open_bundle(run / "bundle.zip").card
    for name, metric in STATISTICS.items():
        assert f"| {metric.title} | {100 * measured[name]:.1f} %" in card
    for name, recall in zip(CLASSES, measured["recall"], strict=True):
        assert f"| {name} | {100 * recall:.1f} % |" in card
    assert "| sex | Female | 15 | 1 |" in card and "| age |" not in card
    assert "Trained on 29 recordings and 1 augmented copy of recordings (pitch_shift: 1), validated on 15" in card
    assert "15 recordings of 1 speaker:" in card and "No listeners' votes are known" in card
