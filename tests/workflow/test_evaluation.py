"""The evaluation of the sample run, its provenance, and the targets of a single protocol."""

import hashlib
import json

import jsonschema
import numpy as np
import pytest
from sklearn import metrics as sk

from serflow.storage import read_table

ONE = {"train_model": 1, "predict_test": 1, "evaluate_model": 1, "draw_confusion": 1}
REPORTED = ("explain_mistakes", "evaluate_runs", "compare_runs", "record_provenance")
REPORTED += ("draw_evaluation", "draw_mistakes", "render_report")


@pytest.fixture(scope="module")
def evaluation(sample):
    return json.loads((sample.results() / "report/all/evaluation.json").read_text())


def test_schema(evaluation, project):
    schema = json.loads((project / "workflow/schemas/evaluation.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(evaluation)


def test_figures_are_scikit_learns(sample, evaluation):
    assert len(evaluation["runs"]) == 9
    for run in evaluation["runs"]:
        folder = sample.results() / "models" / run["protocol"] / run["model"] / f"seed{run['seed']}"
        tables = [read_table(path).to_pandas() for path in sorted(folder.glob("fold*/predictions.parquet"))]
        truth, predicted = [], []
        for table in tables:
            table = table[table["part"] == "test"]
            truth += table["label"].tolist()
            shares = table[[f"p_{name}" for name in evaluation["classes"]]].to_numpy()
            predicted += np.array(evaluation["classes"])[shares.argmax(axis=1)].tolist()
        assert run["pooled"]["uar"]["value"] == pytest.approx(sk.balanced_accuracy_score(truth, predicted))
        assert run["pooled"]["f1_macro"]["value"] == pytest.approx(sk.f1_score(truth, predicted, average="macro"))
        assert run["pooled"]["confusion"]["counts"] == sk.confusion_matrix(truth, predicted).tolist()
        assert len(run["folds"]) == (1 if run["protocol"] == "notebook" else 3)


def test_speaker_independent_runs_cover_every_clip_once(sample):
    folder = sample.results() / "models/speaker-independent/svm_functionals/seed0"
    tested = []
    for path in folder.glob("fold*/predictions.parquet"):
        rows = read_table(path).to_pylist()
        tested += [row["clip"] for row in rows if row["part"] == "test"]
        speakers = {
            part: {row["clip"][:4] for row in rows if row["part"] == part} for part in ("train", "valid", "test")
        }
        assert not speakers["train"] & speakers["test"] and not speakers["train"] & speakers["valid"]
        assert not [row for row in rows if row["part"] != "train" and row["clip"] != row["origin"]]
    assert sorted(tested) == read_table(sample.results() / "catalog/clips.parquet")["clip"].to_pylist()
    assert not list(sample.results().rglob("*.pkl")) and (folder / "fold0/model.keras").is_file()


def test_the_notebook_stays_raw_and_the_others_are_standardised(sample):
    for protocol, expected in (("notebook", False), ("speaker-independent", True)):
        for model in ("cnn1d", "cnn2d"):
            summary = sample.results() / f"models/{protocol}/{model}/seed0/fold0/model.txt"
            assert ("standardization" in summary.read_text()) == expected


def test_provenance(sample):
    found = json.loads((sample.results() / "report/all/provenance.json").read_text())
    assert found["corpus"]["clips"] == 288 and len(found["runs"]) == 19 and found["packages"]["keras"]
    for protocol, digest in found["splits"].items():
        split = sample.results() / f"splits/{protocol}.parquet"
        assert digest == hashlib.sha256(split.read_bytes()).hexdigest()
    assert set(found["splits"]) == {"notebook", "speaker-independent"}
    assert "train_model" in found["stages"]["models"] and "read_recordings" in found["stages"]["audio"]
    assert sorted(rule for rules in found["stages"].values() for rule in rules) == sorted(found["seconds"])
    assert found["seconds"]["train_model"] > 1 and found["settings"]["corpus"] == "sample"
    assert found["hardware"]["cores"] >= 1 and set(found["serflow"]) == {"version", "commit", "changed"}


def test_a_target_builds_its_protocol_only(sample):
    for target, protocol, runs in (("notebook", "notebook", 4), ("speaker_independent", "speaker-independent", 15)):
        assert sample.jobs(target) == dict.fromkeys(REPORTED, 1)
        jobs = sample.jobs(target, "--forceall")
        assert {rule: jobs[rule] for rule in ONE} == dict.fromkeys(ONE, runs)
        said = sample.run("--dry-run", "--forceall", target)
        other = {"notebook", "speaker-independent"} - {protocol}
        assert f"models/{protocol}/" in said and f"models/{other.pop()}/" not in said


@pytest.mark.extended
def test_the_notebook_target_writes_its_own_tables(copy_of_sample):
    before = (copy_of_sample.results() / "report/all/comparison.csv").read_bytes()
    copy_of_sample.run("notebook")
    folder = copy_of_sample.results() / "report/notebook"
    made = {"comparison.csv", "comparison.png", "evaluation.json", "mistakes.json", "reliability.png", "leakage.png"}
    assert {path.name for path in folder.iterdir()} >= made
    runs = json.loads((folder / "evaluation.json").read_text())["runs"]
    assert {run["protocol"] for run in runs} == {"notebook"} and len(runs) == 4
    assert (folder / "index.html").is_file() and (folder / "provenance.json").is_file()
    assert (copy_of_sample.results() / "report/all/comparison.csv").read_bytes() == before
    assert not copy_of_sample.jobs()


@pytest.mark.extended
def test_a_split_of_ones_own(copy_of_sample):
    clips = read_table(copy_of_sample.results() / "catalog/clips.parquet")["clip"].to_pylist()
    table = copy_of_sample.folder / "split.csv"
    table.write_text("clip,fold\n" + "".join(f"{clip},{int(clip[:4]) % 3}\n" for clip in clips))
    settings = {"split": {"table": "split.csv"}}
    settings["runs"] = [{"protocol": "custom", "models": ["svm_functionals"], "seeds": [0]}]
    copy_of_sample.run("report", **settings)
    (run,) = json.loads((copy_of_sample.results() / "report/all/evaluation.json").read_text())["runs"]
    assert len(run["folds"]) == 3 and run["pooled"]["n_clips"] == 288
    table.write_text("clip,part\n" + "".join(f"{clip},train\n" for clip in clips))
    done = copy_of_sample.snakemake("--cores", "2", "catalog", **settings)
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("serflow")]
    assert done.returncode != 0 and len(said) == 1 and "no clip has the part test" in said[0]
