"""Evaluation of made-up runs: the schema, and scores against scikit-learn and by hand."""

import csv
import json

import jsonschema
import numpy as np
import pytest
from sklearn import metrics as sk

from made_up_runs import CLASSES, SETTINGS, SPEAKERS, clips_of, evaluate, write_catalog, write_run
from serflow.evaluation.runs import evaluate_runs
from serflow.metrics.calibration import apply_temperature, fit_temperature
from serflow.report.evaluation_charts import compare_runs
from serflow.runtime.errors import UserError
from serflow.storage import read_json, read_table, write_json


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, project):
    folder = tmp_path_factory.mktemp("runs")
    write_catalog(folder)
    paths = [write_run(folder, "speaker-independent", "good", fold, 2.0) for fold in range(3)]
    paths += [write_run(folder, "speaker-independent", "chancy", fold, 0.0) for fold in range(3)]
    copies = [(f"copy {clip}", clip, "test", clip.split("_")[2]) for clip in clips_of("1001")]
    paths += [write_run(folder, "notebook", "good", 0, 3.0, copies)]
    evaluate(folder, paths, project)
    return folder, paths, json.loads((folder / "evaluation.json").read_text())


def read_test(folder, protocol, model):
    """Read the labels and probabilities of the test clips of all folds with pandas."""
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
    truth, p = read_test(folder, run["protocol"], run["model"])
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


def test_across_corpora_metrics_are_means_over_them(tmp_path, project):
    speakers = [f"{corpus}:{speaker}" for corpus in ("acted", "phone", "radio") for speaker in SPEAKERS[:4]]
    write_catalog(tmp_path, speakers)
    known = {"folder": tmp_path, "protocol": "cross-corpus", "speakers": speakers}
    # In the last corpus a speaker has three times as many clips.
    more = [(f"{speakers[8]}_more{n}_{name}_XX", name) for n in range(6) for name in CLASSES]
    extra = [(clip, f"{speakers[8]}_DFA_{label}_XX", "test", label) for clip, label in more]
    skills = {"good": (3, 2, 0.5), "chancy": (0, 0, 0)}
    paths = [
        write_run(model=model, fold=fold, skill=skill, extra=extra if fold == 2 else (), **known)
        for model, of_folds in skills.items()
        for fold, skill in enumerate(of_folds)
    ]
    evaluate(tmp_path, paths, project)
    found = read_json(tmp_path / "evaluation.json")
    run = found["runs"][0]
    assert [fold["name"] for fold in run["folds"]] == ["tested on acted", "tested on phone", "tested on radio"]
    for name in ("uar", "accuracy", "f1_macro"):
        values = [fold[name]["value"] for fold in run["folds"]]
        assert run["pooled"][name]["value"] == pytest.approx(np.mean(values)) and len(set(values)) == 3
        assert found["models"][0]["interval"][name]["value"] == found["models"][0]["mean"][name]
        assert found["models"][0]["mean"][name] == pytest.approx(np.mean(values))
    apart = [entry["pooled"]["uar"]["value"] for entry in found["runs"]]
    assert found["pairs"][0]["difference"]["uar"]["value"] == pytest.approx(apart[0] - apart[1])
    assert found["references"]["cross-corpus"]["human"]["majority"]["uar"]["value"] == 1
    names = [row["run"] for row in found["comparison"]]
    assert "good seed 0, tested on radio (cross-corpus)" in names
    truth, p = read_test(tmp_path, "cross-corpus", "good")
    pooled = sk.accuracy_score(truth, np.array(CLASSES)[p.argmax(1)])
    assert run["pooled"]["accuracy"]["value"] != pytest.approx(pooled, abs=0.01)


def test_groups_share_out_the_clips(evaluated):
    run = evaluated[2]["runs"][0]
    for name, groups in run["groups"].items():
        assert (
            name in ("corpus", "ethnicity", "language")
            or sum(group["n_clips"] for group in groups) == run["pooled"]["n_clips"]
        )
    assert [group["group"] for group in run["groups"]["sex"]] == ["Female", "Male"]
    assert [group["group"] for group in run["groups"]["age"]] == ["20–29", "30–39", "40–49", "50–59"]
    assert [(group["group"], group["n_speakers"]) for group in run["groups"]["group_room"]] == [
        ("big", 3),
        ("small", 9),
    ]
    assert run["groups"]["language"] == run["groups"]["ethnicity"] == run["groups"]["corpus"] == []
    truth, p = read_test(evaluated[0], "speaker-independent", "good")
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


def test_equal_models_are_no_evidence(evaluated, tmp_path, project):
    folder, paths, _ = evaluated
    for number, path in enumerate(paths[:3]):
        for name in ("a", "b"):
            where = tmp_path / name / str(number)
            where.mkdir(parents=True)
            (where / "predictions.parquet").write_bytes((path.parent / "predictions.parquet").read_bytes())
            write_json(where / "metrics.json", read_json(path) | {"model": name})
    (tmp_path / "clips.parquet").write_bytes((folder / "clips.parquet").read_bytes())
    evaluate(tmp_path, sorted(tmp_path.glob("*/*/metrics.json")), project)
    (pair,) = json.loads((tmp_path / "evaluation.json").read_text())["pairs"]
    assert pair["verdict"] == "no evidence of a difference" and pair["mcnemar"] == {"b": 0, "c": 0, "p_value": 1}


def test_a_model_under_several_protocols(evaluated):
    protocols = {row["model"]: row["protocols"] for row in evaluated[2]["leakage"]}
    assert [row["protocol"] for row in protocols["good"]] == ["notebook", "speaker-independent"]
    assert protocols["good"][0]["leaky"] and not protocols["good"][1]["leaky"]


def recordings_of(folder, protocol):
    """Return the labels and predictions of the test clips of speakers 1001 to 1004, by clip."""
    table = read_table(folder / f"{protocol}/good/fold0/predictions.parquet").to_pandas()
    table = table[(table["part"] == "test") & (table["clip"] == table["origin"])].sort_values("clip")
    return table["label"], np.array(CLASSES)[table[[f"p_{name}" for name in CLASSES]].to_numpy().argmax(1)]


def test_what_a_leak_is_worth_is_a_paired_difference_on_the_same_recordings(evaluated):
    folder, _, found = evaluated
    protocols = {
        row["protocol"]: row for model in found["leakage"] if model["model"] == "good" for row in model["protocols"]
    }
    worth = protocols["notebook"]["worth"]
    assert (worth["against"], worth["n_clips"], worth["reason"]) == ("speaker-independent", 72, None)
    leaky, honest = (
        sk.balanced_accuracy_score(*recordings_of(folder, name)) for name in ("notebook", "speaker-independent")
    )
    assert worth["difference"]["value"] == pytest.approx(leaky - honest) and worth["difference"]["speakers"] == 4
    assert worth["difference"]["low"] < worth["difference"]["value"] < worth["difference"]["high"]
    assert protocols["speaker-independent"]["worth"] is None


def test_what_a_leak_is_worth_is_unknown_of_a_model_that_learned_nothing(tmp_path, project):
    write_catalog(tmp_path)
    paths = [write_run(tmp_path, "speaker-independent", "good", fold, 2.0) for fold in range(3)]
    paths += [write_run(tmp_path, "notebook", "good", 0, 0.0, [("1001_x", "1001_x", "train", "ANG")])]
    evaluate(tmp_path, paths, project)
    worth = read_json(tmp_path / "evaluation.json")["leakage"][0]["protocols"][0]["worth"]
    assert worth["difference"] is None and worth["reason"].startswith("too little training")


def test_copies_are_counted_apart(evaluated):
    _, paths, found = evaluated
    metrics = read_json(paths[-1])
    assert (metrics["n_test"], metrics["n_test_copies"], metrics["n_train_copies"]) == (90, 18, 0)
    assert (found["runs"][2]["pooled"]["n_clips"], found["runs"][2]["pooled"]["n_copies"]) == (90, 18)
    rows = {row["run"]: row for row in found["comparison"]}
    assert rows["good seed 0 (notebook, leaky)"]["n_test_copies"] == 18
    assert rows["good seed 0 (speaker-independent)"]["n_test_copies"] == 0


def test_the_curve_of_risk_begins_at_five_per_cent_and_ties_count_with_their_mean(evaluated):
    folder, _, found = evaluated
    truth, p = read_test(folder, "speaker-independent", "good")
    wrong = np.array(CLASSES)[p.argmax(1)] != truth
    by_confidence = wrong[np.argsort(-p.max(1))]
    curve = found["runs"][0]["pooled"]["risk_coverage"]
    answered = np.array(curve["coverage"]) * 216
    assert answered[0] == pytest.approx(11) and answered[-1] == pytest.approx(216)
    np.testing.assert_allclose(
        curve["risk"], (by_confidence.cumsum() / np.arange(1, 217))[answered.round().astype(int) - 1]
    )


def test_the_comparison_has_runs_references_and_published_results(evaluated):
    folder, _, found = evaluated
    compare_runs(folder / "evaluation.json", table=folder / "comparison.csv", figure=folder / "comparison.png")
    with (folder / "comparison.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [
        {key: "" if value is None else str(value) for key, value in row.items()} for row in found["comparison"]
    ] == read
    rows = {row["run"]: row for row in found["comparison"]}
    pooled, folds = rows["good seed 0 (speaker-independent)"], found["runs"][0]["folds"]
    assert pooled["fold"] is pooled["n_train"] is None and pooled["uar_low"] < pooled["uar"] < pooled["uar_high"]
    assert pooled["n_test"] == 216 and pooled["seconds"] == 4.5
    for fold in folds:
        row = rows[f"good seed 0, fold {fold['fold']} (speaker-independent)"]
        assert (row["fold"], row["uar"], row["n_test"]) == (fold["fold"], fold["uar"]["value"], 72)
        metrics = read_json(folder / f"speaker-independent/good/fold{fold['fold']}/metrics.json")
        assert row["train_accuracy"] == metrics["train_accuracy"]
    assert {"chance (notebook)", "majority class (notebook)", "one listener (speaker-independent)"} <= set(rows)
    assert rows["good seed 0 (notebook, leaky)"]["leaky"] and "majority of listeners (notebook)" in rows
    recalls = [368 / 531, 241 / 529, 259 / 537, 159 / 533, 233 / 465, 375 / 538]  # from the printed matrix
    first, last = rows["1D a (notebook, published, leaky)"], rows["2D b (notebook, published, leaky)"]
    assert first["uar"] is None and last["uar"] == pytest.approx(np.mean(recalls))
    assert (last["accuracy"], last["f1_macro"] is None) == (pytest.approx(1635 / 3133, abs=1e-11), False)


def test_the_temperature_is_fitted_on_validation_clips(evaluated):
    folder, paths, found = evaluated
    table = read_table(folder / "speaker-independent/good/fold0/predictions.parquet").to_pandas()
    parts = {part: rows.sort_values("clip") for part, rows in table.groupby("part")}
    p = {part: rows[[f"p_{name}" for name in CLASSES]].to_numpy() for part, rows in parts.items()}
    truth = {part: np.searchsorted(CLASSES, rows["label"].astype(str)) for part, rows in parts.items()}
    temperature = fit_temperature(p["valid"], truth["valid"])
    assert read_json(paths[0])["temperature"] == pytest.approx(temperature)
    fold = found["runs"][0]["folds"][0]
    assert fold["calibration"]["temperatures"] == [read_json(paths[0])["temperature"]]
    scaled = apply_temperature(p["test"], temperature)
    brier = ((scaled - np.eye(6)[truth["test"]]) ** 2).sum(1).mean()
    assert fold["calibration"]["after"]["brier"] == pytest.approx(brier)


def test_no_runs(tmp_path):
    with pytest.raises(UserError, match="there are no runs to evaluate"):
        evaluate_runs(
            [],
            [],
            clips=tmp_path,
            published={},
            enrolments=[],
            robustness=[],
            importances=[],
            mistakes=tmp_path,
            settings=SETTINGS,
            output=tmp_path / "x",
        )
