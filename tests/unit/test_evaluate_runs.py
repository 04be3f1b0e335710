"""evaluation.json of made-up runs: its schema, and its figures against scikit-learn and by hand."""

import csv
import json

import jsonschema
import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as sk

from serflow.evaluation.compare import write_comparison
from serflow.evaluation.run_metrics import evaluate_model
from serflow.evaluation.runs import evaluate_runs
from serflow.runtime.errors import UserError
from serflow.storage import read_json, write_json, write_table

CLASSES = ["ANG", "DIS", "FEA", "HAP", "NEU", "SAD"]
SETTINGS = {"resamples": 300, "seed": 0, "bins": 15}
SPEAKERS = [str(speaker) for speaker in range(1001, 1013)]


def clips_of(speaker):
    return [f"{speaker}_{sentence}_{emotion}_XX" for sentence in ("DFA", "IEO", "TAI") for emotion in CLASSES]


def write_run(folder, protocol, model, fold, skill, extra=()):
    """Write predictions and training of a run: four speakers are tested on, four validated on."""
    rng = np.random.default_rng([len(model), fold, len(protocol)])
    tested = SPEAKERS[fold * 4 : fold * 4 + 4]
    following = SPEAKERS[(fold * 4 + 4) % 12 :][:4]
    rows = []
    for speaker in SPEAKERS:
        part = "test" if speaker in tested else "valid" if speaker in following else "train"
        rows += [(clip, part, clip.split("_")[2]) for clip in clips_of(speaker)]
    rows += extra
    rng.shuffle(rows := [list(row) for row in rows])
    truth = np.array([CLASSES.index(row[2]) for row in rows])
    logits = rng.normal(size=(len(rows), 6)) + skill * np.eye(6)[truth]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    columns = {key: [row[place] for row in rows] for place, key in enumerate(("clip", "part", "label"))}
    columns |= {f"p_{name}": p[:, code].astype(np.float32) for code, name in enumerate(CLASSES)}
    where = folder / protocol / model / f"fold{fold}"
    write_table(where / "predictions.parquet", pa.table(columns))
    trained = {"model": model, "classes": CLASSES, "parameters": 9, "epochs": 2, "best_epoch": 1, "seconds": 1.5}
    write_json(where / "training.json", trained)
    options = {"protocol": protocol, "seed": 0, "fold": fold, "output": where / "metrics.json"}
    evaluate_model(where / "predictions.parquet", where / "training.json", **options)
    return where / "metrics.json"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    rows = [
        {"clip": clip, "speaker": speaker, "sentence": clip.split("_")[1], "emotion": clip.split("_")[2], "level": "XX"}
        | {"sex": "Male" if int(speaker) % 2 else "Female", "age": 20 + int(speaker) % 1000 * 3, "race": "x"}
        | {"ethnicity": None}
        | {f"votes_{name}": int(name == clip.split("_")[2]) + 1 if int(speaker) > 1002 else None for name in CLASSES}
        for speaker in SPEAKERS
        for clip in clips_of(speaker)
    ]
    write_table(folder / "clips.parquet", pa.Table.from_pylist(rows))
    paths = [write_run(folder, "speaker-independent", "good", fold, 2.0) for fold in range(3)]
    paths += [write_run(folder, "speaker-independent", "chancy", fold, 0.0) for fold in range(3)]
    copies = [(f"{clip}.time_stretch", "test", clip.split("_")[2]) for clip in clips_of("1001")]
    paths += [write_run(folder, "notebook", "good", 0, 3.0, copies)]
    evaluate_runs(paths, clips=folder / "clips.parquet", settings=SETTINGS, output=folder / "evaluation.json")
    return folder, paths, json.loads((folder / "evaluation.json").read_text())


def answers(folder, protocol, model):
    """Read the test answers of all folds, by pandas."""
    import pandas as pd

    tables = [pd.read_parquet(path) for path in sorted((folder / protocol / model).glob("*/predictions.parquet"))]
    table = pd.concat(tables)
    table = table[table["part"] == "test"]
    return table["label"].to_numpy(), table[[f"p_{name}" for name in CLASSES]].to_numpy(np.float64)


def test_the_schema(evaluated, project):
    schema = json.loads((project / "workflow/schemas/evaluation.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(evaluated[2])


@pytest.mark.parametrize("number", [0, 1, 2])
def test_figures_are_scikit_learns(evaluated, number):
    folder, _, found = evaluated
    run = found["runs"][number]
    pooled = run["pooled"]
    truth, p = answers(folder, run["protocol"], run["model"])
    predicted = np.array(CLASSES)[p.argmax(1)]
    assert pooled["n_clips"] == len(truth) and pooled["n_speakers"] == (12 if number < 2 else 4)
    assert pooled["uar"]["value"] == pytest.approx(sk.balanced_accuracy_score(truth, predicted))
    assert pooled["accuracy"]["value"] == pytest.approx(sk.accuracy_score(truth, predicted))
    for average in ("weighted", "macro"):
        assert pooled[f"f1_{average}"]["value"] == pytest.approx(sk.f1_score(truth, predicted, average=average))
    assert pooled["confusion"]["counts"] == sk.confusion_matrix(truth, predicted).tolist()
    shares = sk.confusion_matrix(truth, predicted, normalize="true")
    np.testing.assert_allclose(pooled["confusion"]["row_shares"], shares)
    for average, key in ((sk.recall_score, "recall"), (sk.precision_score, "precision")):
        expected = average(truth, predicted, average=None, zero_division=0)
        np.testing.assert_allclose([row[key] for row in pooled["per_class"]], expected)
    brier = ((p - (truth[:, None] == np.array(CLASSES))) ** 2).sum(1).mean()
    assert pooled["calibration"]["before"]["brier"] == pytest.approx(brier)
    assert pooled["calibration"]["before"]["nll"] == pytest.approx(sk.log_loss(truth, p, labels=CLASSES), rel=1e-5)
    assert pooled["uar"]["low"] <= pooled["uar"]["value"] <= pooled["uar"]["high"]
    assert len(run["folds"]) == len(pooled["calibration"]["temperatures"]) == (3 if number < 2 else 1)
    assert sum(fold["n_clips"] for fold in run["folds"]) == pooled["n_clips"]


def test_groups_share_out_the_clips(evaluated):
    run = evaluated[2]["runs"][0]
    for name, groups in run["groups"].items():
        assert name in ("corpus", "ethnicity") or sum(group["n_clips"] for group in groups) == run["pooled"]["n_clips"]
    assert [group["group"] for group in run["groups"]["sex"]] == ["Female", "Male"]
    assert [group["group"] for group in run["groups"]["age"]] == ["20–29", "30–39", "40–49", "50–59"]
    assert run["groups"]["ethnicity"] == run["groups"]["corpus"] == []
    truth, p = answers(evaluated[0], "speaker-independent", "good")
    assert run["groups"]["race"][0]["uar"]["value"] == pytest.approx(
        sk.balanced_accuracy_score(truth, np.array(CLASSES)[p.argmax(1)])
    )


def test_references_are_of_the_same_clips(evaluated):
    strict, notebook = (evaluated[2]["references"][name] for name in ("speaker-independent", "notebook"))
    assert strict["chance"] == pytest.approx(1 / 6) and strict["majority_class"]["uar"]["value"] == pytest.approx(1 / 6)
    # Ten of twelve speakers have votes; each clip two for its emotion and one for each of the five others.
    assert (strict["human"]["n_clips"], strict["human"]["n_test"]) == (180, 216)
    assert strict["human"]["listener"]["uar"]["value"] == pytest.approx(2 / 7)
    assert strict["human"]["majority"]["accuracy"]["value"] == 1
    # Nobody listened to the 18 copies.
    assert (notebook["human"]["n_clips"], notebook["human"]["n_test"]) == (36, 90)


def test_pairs_and_verdicts(evaluated):
    (pair,) = evaluated[2]["pairs"]
    assert (pair["a"]["model"], pair["b"]["model"]) == ("good", "chancy") and pair["n_clips"] == 216
    runs = {run["model"]: run["pooled"] for run in evaluated[2]["runs"][:2]}
    difference = runs["good"]["uar"]["value"] - runs["chancy"]["uar"]["value"]
    assert pair["difference"]["uar"]["value"] == pytest.approx(difference)
    assert pair["difference"]["uar"]["evidence"] and pair["verdict"].startswith("good is better by")
    right = sum(np.trace(run["confusion"]["counts"]) * sign for run, sign in zip(runs.values(), (1, -1), strict=True))
    assert pair["mcnemar"]["b"] - pair["mcnemar"]["c"] == right and pair["mcnemar"]["p_value"] < 1e-6


def test_equal_models_are_no_evidence(evaluated, tmp_path):
    folder, paths, _ = evaluated
    for number, path in enumerate(paths[:3]):
        for name in ("a", "b"):
            where = tmp_path / name / str(number)
            where.mkdir(parents=True)
            (where / "predictions.parquet").write_bytes((path.parent / "predictions.parquet").read_bytes())
            write_json(where / "metrics.json", read_json(path) | {"model": name})
    runs = sorted(tmp_path.glob("*/*/metrics.json"))
    evaluate_runs(runs, clips=folder / "clips.parquet", settings=SETTINGS, output=tmp_path / "evaluation.json")
    (pair,) = json.loads((tmp_path / "evaluation.json").read_text())["pairs"]
    assert pair["verdict"] == "no evidence of a difference" and pair["mcnemar"] == {"b": 0, "c": 0, "p_value": 1}


def test_leakage_and_comparison(evaluated):
    folder, paths, found = evaluated
    leaks = {row["model"]: row["protocols"] for row in found["leakage"]}
    assert [row["protocol"] for row in leaks["good"]] == ["notebook", "speaker-independent"]
    assert leaks["good"][0]["leaky"] and not leaks["good"][1]["leaky"]
    write_comparison(paths, folder / "evaluation.json", folder / "comparison.csv")
    with (folder / "comparison.csv").open(newline="") as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    pooled = rows["good seed 0 (speaker-independent)"]
    assert pooled["fold"] == "all" and float(pooled["uar_low"]) < float(pooled["uar"]) < float(pooled["uar_high"])
    assert {"chance (notebook)", "majority class (notebook)", "one human listener (speaker-independent)"} <= set(rows)
    assert {"majority of human listeners (notebook)", "2D b (notebook, leaky)"} <= set(rows)


def test_no_runs(tmp_path):
    with pytest.raises(UserError, match="there are no runs to evaluate"):
        evaluate_runs([], clips=tmp_path, settings=SETTINGS, output=tmp_path / "x.json")
