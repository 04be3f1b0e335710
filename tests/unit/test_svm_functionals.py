"""The baseline is scikit-learn's, kept as a Keras model; standardisation is that of the training rows."""

import json
import subprocess
import sys

import keras
import numpy as np
import pyarrow as pa
import pytest
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from serflow.features import functionals
from serflow.features.extract import extract_features
from serflow.models.architectures import svm_functionals
from serflow.models.data import Features
from serflow.models.gradient_settings import BY_GRADIENT
from serflow.models.keras_run import load_model, save_model
from serflow.models.standardize import mean_and_sd, with_standardization
from serflow.storage import read_json, read_table, write_json, write_table

CLASSES = ["ANG", "DIS", "FEA"]


def test_delta_of_a_line_is_its_slope():
    track = np.stack([3.0 * np.arange(20), np.full(20, 7.0)])
    np.testing.assert_allclose(functionals.delta(track)[:, 2:-2], [[3.0] * 16, [0.0] * 16], atol=1e-12)


def test_statistics_by_hand():
    track = np.array([[0.0, 1.0, 2.0, 3.0, 4.0]])
    np.testing.assert_allclose(functionals.statistics(track), [[2, np.sqrt(2), 0.2, 2, 3.8, 4]])
    assert functionals.statistics(np.ones((2, 1))).shape == (2, 6)


def test_padding_does_not_count(tmp_path):
    rng = np.random.default_rng(0)
    track = rng.normal(size=(3, 12))
    energy = np.r_[np.ones(8), np.zeros(4)]
    # Clips of different lengths, the second one silent, which is taken as it is.
    whole = functionals.functionals(np.stack([track] * 3), np.stack([energy, np.zeros(12), np.ones(12)]))
    (cut,) = functionals.functionals(track[None, :, :8], energy[None, :8])
    np.testing.assert_array_equal(whole[0], cut)
    assert whole.shape == (3, len(functionals.column_names({"features": ["zcr", "rms", "centroid"]})))
    assert whole[:, -1].tolist() == [8, 12, 12]
    np.testing.assert_array_equal(whole[1], whole[2])


def extract(folder):
    """Extract the functionals of a table of ZCR and RMS."""
    write_json(folder / "target.json", {"target_length": 100, "frame_size": 10})
    names, out = ["zcr", "rms"], folder / "out.parquet"
    extract_features(
        "functionals",
        folder / "frames.parquet",
        length=folder / "target.json",
        settings={"features": names},
        output=out,
    )
    table = read_table(out)
    assert table.column_names == ["clip", *functionals.column_names({"features": names})]
    return table


def test_extract_functionals(tmp_path):
    values = np.random.default_rng(1).normal(size=(4, 2, 5)).astype(np.float32) ** 2
    names = [f"{name}_{frame:03d}" for name in ("zcr", "rms") for frame in range(5)]
    columns = dict(zip(names, values.reshape(4, -1).T, strict=True))
    write_table(tmp_path / "frames.parquet", pa.table({"clip": list("abcd")} | columns))
    table = extract(tmp_path)
    np.testing.assert_allclose(table["rms_mean"].to_numpy(), values[:, 1].mean(axis=1), rtol=1e-6)


def test_a_shard_without_clips(tmp_path):
    columns = {f"{name}_{frame}": pa.array([], pa.float32()) for name in ("zcr", "rms") for frame in range(3)}
    write_table(tmp_path / "frames.parquet", pa.table({"clip": pa.array([], pa.string())} | columns))
    assert len(extract(tmp_path)) == 0


def data(rows, rng):
    truth = np.arange(rows) % 3
    return rng.normal(size=(rows, 8)) + 1.2 * np.eye(3, 8)[truth], truth


def test_predictions_are_scikit_learns():
    rng = np.random.default_rng(0)
    train, valid, test = (data(rows, rng) for rows in (300, 90, 200))
    settings = {"C": 0.1, "max_iter": 5000, "class_weight": "none"}
    network = svm_functionals.build((8, 1), 3, settings)
    svm_functionals.fit(network, train, valid, settings, 0)
    machine = LinearSVC(C=0.1, random_state=0).fit(*train)
    probabilities = network.predict(test[0][..., None], verbose=0)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), machine.predict(test[0]))
    # The scale is the likeliest on validation: any other makes the labels less likely.
    layer = network.get_layer("margins")
    weights = layer.get_weights()

    def loss(factor):
        layer.set_weights([factor * part for part in weights])
        p = network.predict(valid[0][..., None], verbose=0)
        return -np.log(p[np.arange(90), valid[1]]).mean()

    assert loss(1) <= min(loss(0.9), loss(1.1))


def test_balanced_classes_are_scikit_learns():
    """Of a class with a tenth of the clips more are recognised."""
    rng = np.random.default_rng(1)
    many, valid, test = (data(rows, rng) for rows in (600, 90, 300))
    kept = np.flatnonzero((many[1] != 2) | (np.arange(600) < 60))
    train = many[0][kept], many[1][kept]
    answers = {}
    for weight in ("none", "balanced"):
        settings = {"C": 0.1, "max_iter": 5000, "class_weight": weight}
        network = svm_functionals.build((8, 1), 3, settings)
        svm_functionals.fit(network, train, valid, settings, 0)
        answers[weight] = network.predict(test[0][..., None], verbose=0).argmax(axis=1)
        machine = LinearSVC(C=0.1, random_state=0, class_weight=None if weight == "none" else weight).fit(*train)
        np.testing.assert_array_equal(answers[weight], machine.predict(test[0]))
    rare = test[1] == 2
    assert (answers["balanced"][rare] == 2).sum() > (answers["none"][rare] == 2).sum()


@pytest.fixture
def run(tmp_path):
    """A tiny table of functionals and a split of it."""
    rng = np.random.default_rng(3)
    values, truth = data(120, rng)
    values = 50 + 9 * values
    clips = [f"c{row}" for row in range(120)]
    columns = {f"f{index}": values[:, index].astype(np.float32) for index in range(8)}
    write_table(tmp_path / "functionals.parquet", pa.table({"clip": clips} | columns))
    parts = ["train"] * 80 + ["valid"] * 20 + ["test"] * 20
    split = {"clip": clips, "origin": clips, "fold": [0] * 120, "part": parts, "label": [CLASSES[c] for c in truth]}
    write_table(tmp_path / "split.parquet", pa.table(split))
    return tmp_path, values, truth


def train_and_predict(folder, model, settings, name):
    """Run the two commands of a run as its rules do; TensorFlow takes its threads once per process."""
    common = ["--split", folder / "split.parquet", "--features", folder / "functionals.parquet"]
    out = folder / name
    common += ["--indices", "--fold", 0, "--threads", 1, "--architecture", model, "--settings", json.dumps(settings)]
    common += ["--before-refit", out / "before_refit.parquet"]
    train = ["train_model", "--model", model, "--seed", 0, *common]
    train += ["--output", out / "model.keras", "--history", out / "history.csv"]
    train += ["--summary", out / "model.txt", "--training", out / "training.json"]
    predict = ["predict_test", "--model", out / "model.keras", *common, "--output", out / "predictions.parquet"]
    for command in (train, predict):
        subprocess.run(
            [sys.executable, "-m", "serflow", *map(str, command)], check=True, capture_output=True, text=True
        )
    return out


def test_it_is_a_model_like_any_other(run):
    folder, values, truth = run
    out = train_and_predict(
        folder,
        "svm_functionals",
        {"C": 0.1, "max_iter": 5000, "class_weight": "none", "standardize": "training", "copies": []},
        "svm",
    )
    table = read_table(out / "predictions.parquet").to_pandas().set_index("clip").loc[[f"c{row}" for row in range(120)]]
    scaler = StandardScaler().fit(values[:80].astype(np.float32))
    machine = LinearSVC(C=0.1, random_state=0).fit(scaler.transform(values[:80]), truth[:80])
    predicted = table[[f"p_{name}" for name in CLASSES]].to_numpy().argmax(axis=1)
    np.testing.assert_array_equal(predicted, machine.predict(scaler.transform(values)))
    training = read_json(out / "training.json")
    assert training["epochs"] == training["best_epoch"] == 1 and training["parameters"] == 8 * 3 + 3
    assert len((out / "history.csv").read_text().splitlines()) == 2


def test_the_same_seed_gives_the_same_predictions_to_the_byte(run):
    settings = {name: rule["default"] for name, rule in BY_GRADIENT.items()}
    settings |= {"epochs": 1, "batch_size": 16, "dense": 8, "standardize": "training", "copies": []}
    settings["blocks"] = [{"filters": [8], "kernel": 3, "pool": 2}]
    first, second = (train_and_predict(run[0], "cnn1d", settings, name) for name in ("a", "b"))
    assert (first / "predictions.parquet").read_bytes() == (second / "predictions.parquet").read_bytes()


def test_standardisation_is_of_the_given_rows_and_travels_with_the_model(tmp_path):
    rng = np.random.default_rng(0)
    names = [f"{name}_{frame:03d}" for name in ("zcr", "rms") for frame in range(4)]
    values = (rng.normal(size=(10, 8)) * 3 + 5).astype(np.float32)
    values[:, 7] = 0  # padding in every training row
    values[6:, :4] += 1000  # rows that are not of training
    write_table(
        tmp_path / "x.parquet",
        pa.table({"clip": [str(i) for i in range(10)]} | dict(zip(names, values.T, strict=True))),
    )
    features = Features([tmp_path / "x.parquet"])
    places = np.array([[0, row] for row in range(6)])
    mean, sd = mean_and_sd(features, places)
    np.testing.assert_allclose(mean, np.repeat([values[:6, :4].mean(), values[:6, 4:].mean()], 4), rtol=1e-5)
    np.testing.assert_allclose(sd, np.repeat([values[:6, :4].std(), values[:6, 4:].std()], 4), rtol=1e-4)
    plain = keras.Sequential([keras.Input((8, 1)), keras.layers.Flatten()])
    network = with_standardization(plain, (8, 1), mean, sd)
    save_model(tmp_path / "model.keras", network)
    standard = load_model(tmp_path / "model.keras").predict(values[..., None], verbose=0)
    np.testing.assert_allclose(standard, (values - mean) / sd, rtol=1e-4, atol=1e-4)


def test_a_constant_feature_is_left_at_its_size(tmp_path):
    columns = {"a": np.full(5, 1e6, np.float32), "b": np.arange(5, dtype=np.float32)}
    write_table(tmp_path / "x.parquet", pa.table({"clip": list("abcde")} | columns))
    mean, sd = mean_and_sd(Features([tmp_path / "x.parquet"]), np.array([[0, row] for row in range(5)]))
    assert mean[0] == 1e6 and sd[0] == 1
