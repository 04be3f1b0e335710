"""Permutation importance by name: a model that listens to one of three features, with an answer that is known."""

import json
import subprocess
import sys

import jsonschema
import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import balanced_accuracy_score

from made_up_runs import evaluate, write_catalog, write_run
from serflow.evaluation.importance import load_importances
from serflow.models.architectures import svm_functionals
from serflow.models.importance import DRAWS
from serflow.models.keras_run import save_model
from serflow.storage import read_json, write_json, write_table

CLASSES = ["ANG", "HAP"]
RUN = {"protocol": "speaker-independent", "model": "mine", "seed": 0}
NAMES = ["rms_mean", "frames", "zcr_sd"]


def measured(folder, fold, flipped):
    """Measure a model that hears ``frames`` alone: anger below 0, with some clips where that is wrong."""
    where = folder / f"fold{fold}"
    where.mkdir()
    rng = np.random.default_rng(fold)
    truth = np.arange(40) % 2
    values = rng.normal(size=(40, 3)).astype(np.float32)
    values[:, 1] = np.where(np.arange(40) < flipped, 1 - 2 * truth, 2 * truth - 1)
    clips = [f"1001_{number}" for number in range(40)]
    write_table(where / "x.parquet", pa.table({"clip": clips} | dict(zip(NAMES, values.T, strict=True))))
    parts = ["test"] * 30 + ["train"] * 10
    copies = {"clip": [*clips, "1001_0.pitch_shift"], "origin": [*clips, "1001_0"], "part": [*parts, "test"]}
    labels = [*(CLASSES[code] for code in truth), CLASSES[0]]
    write_table(where / "predictions.parquet", pa.table(copies | {"label": labels}))
    network = svm_functionals.build((3, 1), 2, {})
    network.get_layer("margins").set_weights([np.array([[0, 0], [-1, 1], [0, 0]], float), np.zeros(2)])
    save_model(where / "model.keras", network)
    write_json(where / "metrics.json", RUN | {"fold": fold, "classes": CLASSES})
    command = [sys.executable, "-m", "serflow", "measure_importance", "--architecture", "svm_functionals"]
    command += ["--settings", json.dumps({"standardize": "training"}), "--threads", "1", "--log", where / "log"]
    for option, name in {
        "model": "model.keras",
        "features": "x.parquet",
        "predictions": "predictions.parquet",
        "metrics": "metrics.json",
        "output": "importance.json",
    }.items():
        command += [f"--{option}", where / name]
    # In a process of its own, whose threads no other test has taken.
    subprocess.run(command, check=True)
    return where / "importance.json", truth[:30], (values[:30, 1] > 0).astype(int)


def test_only_the_feature_that_the_model_listens_to_is_important(tmp_path, project):
    folds = [measured(tmp_path, fold, flipped) for fold, flipped in ((0, 0), (1, 8))]
    paths, truths, answers = zip(*folds, strict=True)
    for path, truth, answer in folds:
        found = read_json(path)
        assert [row["name"] for row in found["features"]] == NAMES and found["fold"] in (0, 1)
        for row in found["features"]:
            assert np.sum(row["confusion"]) == DRAWS * 30 == DRAWS * np.sum(found["confusion"])
        assert np.trace(found["confusion"]) == (truth == answer).sum()
    (run,) = load_importances(paths)
    whole = balanced_accuracy_score(np.concatenate(truths), np.concatenate(answers))
    shuffled = [answer[np.random.default_rng(draw).permutation(30)] for answer in answers for draw in range(DRAWS)]
    lower = balanced_accuracy_score(np.repeat(truths, DRAWS, axis=0).ravel(), np.concatenate(shuffled))
    assert run["uar"] == pytest.approx(whole) and lower < whole - 0.2
    assert run["features"][0] == {"name": "frames", "importance": pytest.approx(whole - lower)}
    assert [row["importance"] for row in run["features"][1:]] == [0, 0]

    write_catalog(tmp_path)
    runs = [write_run(tmp_path, "speaker-independent", "mine", fold, 2.0) for fold in range(3)]
    evaluate(tmp_path, runs, project, importances=paths)
    evaluated = read_json(tmp_path / "evaluation.json")
    jsonschema.validate(evaluated, json.loads((project / "workflow/schemas/evaluation.schema.json").read_text()))
    assert evaluated["explanation"]["importance"] == [run]
