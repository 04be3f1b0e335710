"""Evaluation of made-up runs: the schema, scores against scikit-learn and by hand, and a metric added in one place."""

import csv
import json
import re

import jsonschema
import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as sk

from serflow.evaluation.run_metrics import evaluate_model
from serflow.evaluation.runs import evaluate_runs
from serflow.metrics import scores
from serflow.metrics.calibration import apply_temperature, fit_temperature
from serflow.report.evaluation_charts import compare_runs
from serflow.report.page import render_report
from serflow.runtime.errors import UserError
from serflow.storage import read_json, read_table, write_json, write_table

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
        rows += [(clip, clip, part, clip.split("_")[2]) for clip in clips_of(speaker)]
    rows += extra
    rng.shuffle(rows := [list(row) for row in rows])
    truth = np.array([CLASSES.index(row[3]) for row in rows])
    logits = rng.normal(size=(len(rows), 6)) + skill * np.eye(6)[truth]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    columns = {key: [row[place] for row in rows] for place, key in enumerate(("clip", "origin", "part", "label"))}
    columns |= {f"p_{name}": p[:, code].astype(np.float32) for code, name in enumerate(CLASSES)}
    where = folder / protocol / model / f"fold{fold}"
    write_table(where / "predictions.parquet", pa.table(columns))
    trained = {"model": model, "classes": CLASSES, "parameters": 9, "epochs": 2, "best_epoch": 1, "seconds": 1.5}
    trained |= {"standardize": "training", "refit": False}
    trained["layers"] = [{"name": "dense", "type": "Dense", "output_shape": [6], "parameters": 9}]
    write_json(where / "training.json", trained)
    options = {"protocol": protocol, "seed": 0, "fold": fold, "output": where / "metrics.json"}
    evaluate_model(where / "predictions.parquet", where / "training.json", **options)
    return where / "metrics.json"


def evaluate(folder, metrics, project):
    """Write evaluation.json of some runs, with the published results."""
    evaluate_runs(
        metrics,
        [path.parent / "predictions.parquet" for path in metrics],
        enrolments=[],
        clips=folder / "clips.parquet",
        published=json.loads((project / "resources/notebook_runs.json").read_text()),
        settings=SETTINGS,
        output=folder / "evaluation.json",
    )


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, project):
    folder = tmp_path_factory.mktemp("runs")
    rows = [
        {"clip": clip, "speaker": speaker, "sentence": clip.split("_")[1], "emotion": clip.split("_")[2], "level": "XX"}
        | {"sex": "Male" if int(speaker) % 2 else "Female", "age": 20 + int(speaker) % 1000 * 3, "race": "x"}
        | {"ethnicity": None, "group_room": "big" if int(speaker) < 1004 else "small"}
        | {f"votes_{name}": int(name == clip.split("_")[2]) + 1 if int(speaker) > 1002 else None for name in CLASSES}
        for speaker in SPEAKERS
        for clip in clips_of(speaker)
    ]
    write_table(folder / "clips.parquet", pa.Table.from_pylist(rows))
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
        row = rows[f"good seed 0 fold {fold['fold']} (speaker-independent)"]
        assert (row["fold"], row["uar"], row["n_test"]) == (fold["fold"], fold["uar"]["value"], 72)
        metrics = read_json(folder / f"speaker-independent/good/fold{fold['fold']}/metrics.json")
        assert row["train_accuracy"] == metrics["train_accuracy"]
    assert {"chance (notebook)", "majority class (notebook)", "one human listener (speaker-independent)"} <= set(rows)
    assert rows["good seed 0 (notebook, leaky)"]["leaky"] and "majority of human listeners (notebook)" in rows
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


def write_page(folder, paths, page, epochs=1, flagged=()):
    """Render the page of made-up runs: without clips and mistakes."""
    for name, content in {
        "audit": {"clips": 9, "speakers": 3, "hours": 0.1, "excluded": 0, "left_out": 0, "rates": {"16000": 9}}
        | {"identical_audio": [], "emotions": {"ANG": 9}, "rules": {}, "labels": []}
        | {"used": {"clips": 9, "speakers": 3, "hours": 0.1, "emotions": {"ANG": 9}}},
        "length": {"target_length": 9, "origin": "o", "rule": "r", "frames": 1, "frame_size": 9, "hop_length": 4},
        "clips": {"clips": []},
        "mistakes": {"run": {"protocol": "notebook", "model": "good", "seed": 0, "leaky": True}, "clips": []}
        | {"wrong": 0, "n_clips": 9, "n_copies": 0},
        "provenance": {
            "python": "3",
            "packages": {},
            "splits": {},
            "encoders": [],
            "seconds": {},
            "corpus": {"sha256": ""},
        }
        | {"serflow": {"version": "0", "commit": None}, "hardware": {"system": "s", "cores": 1, "processor": "p"}},
    }.items():
        if name == "mistakes":
            content["run"]["uar"] = {"value": 0.5, "low": None, "high": None}
        write_json(folder / f"{name}.json", content)
    (folder / "excluded.tsv").write_text("file\trule\treason\tleft_out_of\n")
    (folder / "flagged.tsv").write_text("\n".join(["file\trule\treason", *map("\t".join, flagged)]) + "\n")
    for path in paths:
        (path.parent / "history.csv").write_text(
            "epoch,loss,accuracy,val_loss,val_accuracy,seconds\n"
            + "".join(f"{epoch},1.5,0.2,1.4,0.3,2\n" for epoch in range(1, epochs + 1))
        )
    render_report(
        corpus="mine",
        excluded=folder / "excluded.tsv",
        flagged=folder / "flagged.tsv",
        config={
            "mel": {"n_mels": 4, "n_fft": 8, "hop_length": 2},
            "frames": {"size": None, "hop": None},
            "sampling_rate": 16000,
            "format": None,
            "chosen_on": {},
        },
        figures=[],
        recordings=[],
        searches=[],
        mistakes_folder=folder,
        metrics=paths,
        training=[path.parent / "training.json" for path in paths],
        history=[path.parent / "history.csv" for path in paths],
        output=page,
        **{
            name: folder / f"{name}.json"
            for name in ("audit", "length", "clips", "mistakes", "evaluation", "provenance")
        },
    )
    return page.read_text()


def test_a_metric_added_in_one_place_is_everywhere(evaluated, tmp_path, project, monkeypatch):
    def worst_recall(cm):
        return scores.recall(cm).min(-1)

    monkeypatch.setitem(scores.STATISTICS, "worst_recall", scores.Metric(worst_recall, "worst recall"))
    (tmp_path / "clips.parquet").write_bytes((evaluated[0] / "clips.parquet").read_bytes())
    paths = [write_run(tmp_path, "speaker-independent", model, fold, 2.0) for model in "ab" for fold in range(3)]
    evaluate(tmp_path, paths, project)
    found = json.loads((tmp_path / "evaluation.json").read_text())
    jsonschema.validate(found, json.loads((project / "workflow/schemas/evaluation.schema.json").read_text()))
    run = found["runs"][0]
    values = [read_json(path)["worst_recall"] for path in paths[:3]]
    assert values == [min(read_json(path)["recall"]) for path in paths[:3]]
    assert [fold["worst_recall"]["value"] for fold in run["folds"]] == values
    pooled = run["pooled"]["worst_recall"]
    assert pooled["value"] == min(row["recall"] for row in run["pooled"]["per_class"]) >= pooled["low"]
    assert "worst_recall" in found["models"][0]["mean"] and "worst_recall" in found["pairs"][0]["difference"]
    assert found["references"]["speaker-independent"]["majority_class"]["worst_recall"]["value"] == 0
    compare_runs(tmp_path / "evaluation.json", table=tmp_path / "comparison.csv", figure=tmp_path / "comparison.png")
    with (tmp_path / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["worst_recall"]) == pooled["value"]
    page = write_page(tmp_path, paths, tmp_path / "index.html")
    assert page.count('<th scope="col">worst recall</th>') == 2  # all runs, and pairs of models
    assert page.count(f"{100 * pooled['value']:.1f} % worst recall") >= 1


@pytest.mark.parametrize("known", [False, True])
def test_who_is_unknown_is_found_from_the_clips_and_not_from_the_protocol(evaluated, tmp_path, project, known):
    """A table of one's own is the headline if its speakers are apart, and is not if one clip of a tester validates."""
    (tmp_path / "clips.parquet").write_bytes((evaluated[0] / "clips.parquet").read_bytes())
    extra = [("1001_another", "1001_another", "valid", "ANG")] if known else []
    paths = [write_run(tmp_path, "custom", "a", fold, 2.0, extra) for fold in range(3)]
    evaluate(tmp_path, paths, project)
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert found["runs"][0]["unknown_speakers"] is found["models"][0]["unknown_speakers"] is not known
    page = write_page(tmp_path, paths, tmp_path / "index.html")
    assert ("Protocol custom, 3 folds" in page) is not known
    assert ("No run here tests on speakers that its model was not trained on" in page) is known


def test_the_page_of_one_run_has_no_empty_sections(evaluated, tmp_path, project):
    (tmp_path / "clips.parquet").write_bytes((evaluated[0] / "clips.parquet").read_bytes())
    one = [write_run(tmp_path, "custom", "svm_functionals", 0, 2.0)]
    evaluate(tmp_path, one, project)
    flagged = [("all 9 clips", "rate", "48000 Hz, not 16000"), ("a.wav", "silence", "quiet")]
    page = write_page(tmp_path, one, tmp_path / "index.html", flagged=flagged)
    assert "1 run of 1 model:" in page and "Protocol custom, 1 fold:" in page and not re.search(r"\b1 \w+s of", page)
    for section in ("pairs", "leakage", "clips"):
        assert f'id="{section}"' not in page and f'href="#{section}"' not in page
    # One epoch is no curve.
    assert "by epoch" not in page and "epoch 1" not in page.lower() and "1 epoch" not in page
    assert "2 findings, flagged and used" in page and "all 9 clips" in page and "left out</summary>" not in page
    two = [*one, write_run(tmp_path, "random", "cnn1d", 0, 2.0), write_run(tmp_path, "custom", "cnn1d", 0, 1.0)]
    evaluate(tmp_path, two, project)
    page = write_page(tmp_path, two, tmp_path / "index.html", epochs=2)
    assert "3 runs of 2 models:" in page and "Loss by epoch" in page and "findings" not in page
    for section in ("pairs", "leakage"):
        assert f'id="{section}"' in page and f'href="#{section}"' in page


def test_no_runs(tmp_path):
    with pytest.raises(UserError, match="there are no runs to evaluate"):
        evaluate_runs(
            [], [], clips=tmp_path, published={}, enrolments=[], settings=SETTINGS, output=tmp_path / "x.json"
        )
