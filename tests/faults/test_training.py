"""A training that is killed goes on after its last whole epoch and ends with the bytes of one that was not."""

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pytest

from serflow.models.backup import backup_path
from serflow.models.gradient_settings import AUGMENTATION_RULES, TRAINING_RULES
from serflow.storage import ArrayWriter, read_arrays, read_json, read_table, write_table

CLASSES = ["ANG", "DIS", "FEA"]
PARTS = ["train"] * 120 + ["valid"] * 30 + ["test"] * 10
# The features know nothing of the labels, so that early stopping soon has its say.
USUAL = {name: rule["default"] for name, rule in TRAINING_RULES.items()}
USUAL |= {"epochs": 20, "patience": 3, "min_delta": 0.001, "batch_size": 2, "learning_rate": 0.003}
USUAL |= {"standardize": "training", "copies": []}
MODELS = {
    "cnn1d": USUAL | {"dense": 8, "blocks": [{"filters": [8, 8], "kernel": 3, "pool": 2}]},
    "cnn2d": USUAL | {"filters": [4, 4, 4], "kernels": [3, 3, 1], "dropout": 0.3, "dense": [16, 8]},
    # The linear model takes the columns for functionals.
    "svm_functionals": {"standardize": "training", "copies": [], "C": 0.01, "max_iter": 1000, "class_weight": "none"},
    # All that a training may draw or keep, on clips of different lengths, and a refit.
    "resnet_asp": USUAL
    | dict.fromkeys(AUGMENTATION_RULES, 2)
    | {"filters": [4, 4], "dropout": 0.3, "stretch": 0.2, "monitor": "uar", "optimizer": "adamw", "weight_decay": 0.1}
    | {"schedule": "cosine", "warmup": 1, "clip_norm": 1, "label_smoothing": 0.1, "ema": 0.9, "mixup": 0.3}
    | {"class_weight": "balanced", "refit": True, "batch_size": 8},
}
NETWORKS = ["cnn1d", "cnn2d", "resnet_asp"]
FEATURES = {"cnn2d": "mel.npy", "resnet_asp": "logmel.npy"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Features of both kinds and a split of them."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    truth = np.arange(len(PARTS)) % 3
    clips = [f"c{number}" for number in range(len(truth))]
    mel = rng.normal(size=(len(truth), 16, 20))
    with ArrayWriter(folder / "mel.npy", (16, 20)) as out:
        out.write(mel)
    write_table(folder / "mel.parquet", pa.table({"clip": clips}))
    frames = {f"rms_{frame:03d}": mel[:, 0, frame].astype(np.float32) for frame in range(20)}
    write_table(folder / "frames.parquet", pa.table({"clip": clips} | frames))
    lengths = rng.integers(5, 20, len(clips))
    with ArrayWriter(folder / "logmel.npy", (16,)) as out:
        for values, length in zip(mel, lengths, strict=True):
            out.write(values[:, :length].T)
    index = {"clip": clips, "offset": np.cumsum(lengths) - lengths, "length": lengths}
    write_table(folder / "logmel.parquet", pa.table(index))
    labels = [CLASSES[code] for code in truth]
    columns = {"clip": clips, "origin": clips, "fold": [0] * len(clips), "part": PARTS, "label": labels}
    write_table(folder / "split.parquet", pa.table(columns))
    return folder


def training(data, model, out, environment=None, **changed):
    """Start a training as a rule does; ``changed`` are settings."""
    kind = FEATURES.get(model, "frames.parquet")
    index = [(data / kind).with_suffix(".parquet")] if kind.endswith(".npy") else []
    command = ["train_model", "--model", model, "--architecture", model, "--split", data / "split.parquet"]
    command += ["--features", data / kind, "--indices", *index]
    command += ["--fold", 0, "--seed", 1, "--threads", 1, "--log", out / "log"]
    command += ["--settings", json.dumps(MODELS[model] | changed), "--output", out / "model.keras"]
    command += ["--history", out / "history.csv", "--summary", out / "model.txt", "--training", out / "training.json"]
    command += ["--before-refit", out / "before_refit.parquet"]
    command = [sys.executable, "-m", "serflow", *map(str, command)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | (environment or {}))


def whole(data, model, out, environment=None, **changed):
    """Train to the end; give the bytes of the model, the history and what is known of the training."""
    with training(data, model, out, environment, **changed) as process:
        assert process.wait() == 0, process.stderr.read()
    weights = hashlib.sha256((out / "model.keras").read_bytes()).hexdigest()
    with (out / "history.csv").open(newline="") as file:
        rows = [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]
    known = {key: value for key, value in read_json(out / "training.json").items() if key != "seconds"}
    return weights, rows, known | {"before_refit": read_table(out / "before_refit.parquet").to_pydict()}


def epochs_kept(out, name="model.keras"):
    backup = backup_path(out / name)
    return len(json.loads(read_arrays(backup)["state"].tobytes())["rows"]) if backup.exists() else 0


def killed_after(data, model, out, epoch, sent=signal.SIGKILL, of="model.keras", **changed):
    """Start a training and kill it in the middle of what follows an epoch, of the refit where ``of`` is refit.keras."""
    out.mkdir(exist_ok=True)
    with training(data, model, out, **changed) as process:
        while epochs_kept(out, of) < epoch:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.005)
        process.send_signal(sent)
        assert process.wait() == -sent
    assert not (out / "model.keras").exists()


def test_a_killed_training_goes_on(data, tmp_path):
    goes_on(data, tmp_path, "cnn2d", {2: signal.SIGKILL})


@pytest.mark.parametrize("model", MODELS)
def test_equal_trainings_give_equal_bytes(data, tmp_path, model):
    """In two processes, at other times, in folders of other names; another setting gives others."""
    short = {"epochs": 2} if model in NETWORKS else {}
    first = whole(data, model, tmp_path / "first", {"PYTHONHASHSEED": "1"}, **short)
    second = whole(data, model, tmp_path / "the second", {"PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo"}, **short)
    assert first == second
    other = {"learning_rate": 0.002} if model in NETWORKS else {"C": 0.02}
    assert whole(data, model, tmp_path / "other", **short | other)[0] != first[0]


@pytest.mark.whole
@pytest.mark.parametrize("model", NETWORKS)
def test_a_training_goes_on_each_time_that_it_is_killed(data, tmp_path, model):
    goes_on(data, tmp_path, model, {1: signal.SIGTERM, 2: signal.SIGKILL, 3: signal.SIGKILL})


def goes_on(data, tmp_path, model, kills):
    reference = whole(data, model, tmp_path / "reference")
    epochs = len(reference[1])
    assert 3 < epochs < 20 and reference[2]["best_epoch"] <= epochs - 3
    out = tmp_path / "killed"
    for epoch, sent in kills.items():
        killed_after(data, model, out, epoch, sent)
    assert whole(data, model, out) == reference
    log = (out / "log").read_text()
    assert "resumes after epoch" in log and "fold 0: epoch 1/" not in log
    assert not [path for path in out.iterdir() if path.suffix == ".npz"]


@pytest.mark.whole
def test_a_training_with_a_refit_goes_on_in_both(data, tmp_path):
    reference = whole(data, "resnet_asp", tmp_path / "reference")
    assert reference[2]["refit"] and reference[2]["best_epoch"] > 1 and len(reference[2]["before_refit"]["clip"]) == 40
    out = tmp_path / "killed"
    killed_after(data, "resnet_asp", out, 2)
    killed_after(data, "resnet_asp", out, 1, of="refit.keras")
    assert whole(data, "resnet_asp", out) == reference
    assert "refit: resumes after epoch" in (out / "log").read_text()
    assert not [path for path in out.iterdir() if path.suffix == ".npz"]


@pytest.mark.whole
def test_a_training_that_lacked_only_its_files(data, tmp_path):
    """Early stopping had ended it when its model could not be written: it trains no epoch more."""
    reference = whole(data, "cnn2d", tmp_path / "reference")
    out = tmp_path / "stopped"
    (out / "model.keras").mkdir(parents=True)
    with training(data, "cnn2d", out) as process:
        assert process.wait() == 1
    assert epochs_kept(out) == len(reference[1])
    (out / "model.keras").rmdir()
    assert whole(data, "cnn2d", out) == reference
    assert f"resumes after epoch {len(reference[1])}" in (out / "log").read_text()


@pytest.mark.whole
@pytest.mark.parametrize("change", ["settings", "data", "damage"])
def test_a_backup_of_another_training_is_left_alone(data, tmp_path, change):
    other = {"learning_rate": 0.001} if change == "settings" else {}
    out = tmp_path / "killed"
    killed_after(data, "cnn1d", out, 2)
    if change == "data":
        table = read_table(data / "frames.parquet")
        moved = tmp_path / "data"
        moved.mkdir()
        (moved / "split.parquet").write_bytes((data / "split.parquet").read_bytes())
        write_table(moved / "frames.parquet", table.set_column(1, "rms_000", pa.array(np.ones(len(PARTS), np.float32))))
        data = moved
    if change == "damage":
        backup = backup_path(out / "model.keras")
        backup.write_bytes(backup.read_bytes()[:-100])
    assert whole(data, "cnn1d", out, **other) == whole(data, "cnn1d", tmp_path / "reference", **other)
    assert "training starts from its first epoch" in (out / "log").read_text()


def test_a_loss_of_nan_stops_with_a_reason(data, tmp_path):
    with training(data, "cnn1d", tmp_path, learning_rate=1e30) as process:
        said = process.stderr.read()
    assert process.returncode == 1
    assert len(said.splitlines()) == 1 and "the loss became NaN in epoch" in said and "1e+30" in said
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".keras", ".npz", ".json", ".csv")]
