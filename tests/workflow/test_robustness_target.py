"""The target robustness: what it plans, that nothing else plans it, and a whole run on four speakers."""

import shutil

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from serflow.storage import read_json, read_table
from small_corpus import SETTINGS, make_recordings
from workspace import Workspace

PROTOCOL = "speaker-independent"
RULES = ("choose_headline", "change_clips", "label_changed", "test_robustness")
LINEAR, ADAPTED, SVM = "logreg_embedding", "logreg_embedding_speaker", "svm_functionals"
THREE = [{"protocol": PROTOCOL, "models": [LINEAR, ADAPTED, SVM], "seeds": [0]}]
FEW = ["gain", "room"]


@pytest.fixture(scope="module")
def small(tmp_path_factory, project):
    """A folder with recordings of four speakers in three blocks, for dry runs."""
    folder = tmp_path_factory.mktemp("small")
    make_recordings(folder / "ok")
    return Workspace(folder, project, SETTINGS | {"runs": THREE})


def of_rules(jobs):
    return tuple(jobs[rule] for rule in RULES)


def named(*models, conditions=FEW, **more):
    runs = [{"protocol": PROTOCOL, "models": list(models), "seeds": [0]}]
    return {"robustness": {"runs": runs, "conditions": conditions, **more}}


def robustness_file(model):
    return f"results/mine/robustness/{PROTOCOL}/{model}/seed0/robustness.json"


@pytest.mark.parametrize("target", ["all", "quick", "report", "models", "speaker_independent"])
def test_no_other_target_contains_it(small, target):
    jobs = small.jobs(target)
    assert jobs["train_model"] == 9 and of_rules(jobs) == (0, 0, 0, 0)


def test_what_is_planned(small):
    """Three folds; the clips as they are and two conditions; features once for all runs that read them."""
    jobs = small.jobs("robustness", **named(LINEAR))
    assert of_rules(jobs) == (0, 9, 9, 1) and jobs["train_model"] == 3 and jobs["evaluate_runs"] == 0
    assert of_rules(small.jobs("robustness", **named(LINEAR, ADAPTED))) == (0, 9, 18, 2)
    assert of_rules(small.jobs("robustness", **named(LINEAR, SVM))) == (0, 18, 18, 2)
    alone = [{"protocol": PROTOCOL, "models": [SVM], "seeds": [0]}]
    assert of_rules(small.jobs("robustness", runs=alone, robustness={"conditions": FEW})) == (0, 9, 9, 1)
    mean = [{"protocol": PROTOCOL, "models": ["ensemble"], "seeds": [0]}]  # of logreg_embedding and svm_functionals
    assert of_rules(small.jobs("robustness", runs=mean, robustness={"conditions": FEW})) == (0, 18, 18, 1)


def test_the_headline_run_is_found_first(small):
    jobs = small.jobs("robustness")
    assert of_rules(jobs) == (1, 0, 0, 0) and jobs["evaluate_model"] == 9


def test_a_report_has_what_is_asked_for_or_there(small, tmp_path):
    def inputs(*arguments, workspace=small, **settings):
        text = workspace.run("--dry-run", *arguments, **settings)
        (line,) = [
            line for line in text.splitlines() if line.startswith("    input:") and "explained_mistakes.json" in line
        ]
        return [model for model in (LINEAR, ADAPTED, SVM) if robustness_file(model) in line]

    evaluation = "results/mine/report/all/evaluation.json"
    assert inputs(evaluation) == []
    assert inputs(evaluation, "robustness", **named(LINEAR, SVM)) == [LINEAR, SVM]
    folder = shutil.copytree(small.folder, tmp_path / "copy")
    made = folder / robustness_file(SVM)
    made.parent.mkdir(parents=True)
    made.write_text("{}")
    there = Workspace(folder, small.project, small.settings)
    assert inputs(evaluation, workspace=there) == [SVM]
    assert of_rules(there.jobs("report", robustness={"conditions": FEW})) == (0, 9, 9, 1)  # it is kept up to date
    quick = there.run(
        "--dry-run", "results/mine/report/notebook/evaluation.json", runs=[THREE[0] | {"protocol": "notebook"}]
    )
    assert robustness_file(SVM) not in quick


def test_settings_that_are_refused(small):
    def refused(**settings):
        done = small.snakemake("--dry-run", "all", **settings)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("serflow: config: robustness")]
        return line

    assert "runs names speaker-independent, cnn2d, seed 0; add it to runs" in refused(**named("cnn2d"))
    assert "conditions.0: 'gian' is not one of" in refused(**named(LINEAR, conditions=["gian"]))
    assert "recorded_noise.folder is None; name a folder" in refused(**named(LINEAR, conditions=["recorded_noise"]))
    assert "gain.decibels" in refused(**named(LINEAR, gain={"decibels": []}))


def test_a_run_that_looks_its_features_up_says_why(small):
    table = {"models": {"svm_table": {"architecture": "svm_functionals", "features": "table"}}}
    table |= {"runs": [{"protocol": PROTOCOL, "models": ["svm_table"], "seeds": [0]}], "table": {"path": "own.csv"}}
    (small.folder / "own.csv").write_text("clip,a\n")
    assert of_rules(small.jobs("robustness", **table)) == (0, 0, 0, 1)
    text = small.run("--dry-run", "--printshellcmds", "robustness", **table)
    assert "the features of svm_table (table) cannot be computed from a changed recording" in text


@pytest.fixture(scope="module")
def tested(small, tmp_path_factory):
    """The report and the robustness of two runs over functionals, one of them adapted to speakers."""
    folder = shutil.copytree(small.folder, tmp_path_factory.mktemp("tested") / "copy")
    models = {"adapted": {"architecture": "svm_functionals", "standardize": "speaker", "copies": []}}
    models["svm_functionals"] = {"copies": []}
    runs = [{"protocol": PROTOCOL, "models": ["svm_functionals", "adapted"], "seeds": [0]}]
    conditions = ["gain", "babble", "telephone"]
    settings = SETTINGS | {"runs": runs, "models": models, "report": {"clips": 1, "mistakes": 1}}
    settings |= {"evaluation": {"resamples": 200}, "robustness": {"runs": runs, "conditions": conditions}}
    workspace = Workspace(folder, small.project, settings)
    workspace.run("report", "robustness")
    return workspace


@pytest.mark.extended
def test_answers_to_clips_as_they_are_are_the_predictions(tested):
    """The same probabilities, also of a model that is adapted, and figures that follow from the tables."""
    evaluation = read_json(tested.results("mine") / "report/all/evaluation.json")
    assert [run["model"] for run in evaluation["robustness"]["runs"]] == ["svm_functionals", "adapted"]
    for run in evaluation["robustness"]["runs"]:
        truth, before, after = [], [], []
        for fold in range(3):
            path = f"{PROTOCOL}/{run['model']}/seed0/fold{fold}"
            found = read_table(tested.results("mine") / f"models/{path}/predictions.parquet").to_pandas()
            found = found[found["part"] == "test"].set_index("clip")
            shares = [name for name in found if name.startswith("p_")]
            changed = tested.results("mine") / f"robustness/{path}"
            same = read_table(changed / "unchanged.parquet").to_pandas().set_index("clip")
            assert sorted(same.index) == sorted(found.index)
            np.testing.assert_allclose(same[shares], found.loc[same.index, shares], atol=1e-4)
            gained = read_table(changed / "gain.parquet").to_pandas()
            gained = gained[gained["variant"] == "gain_2"].set_index("clip").loc[same.index]
            truth += [f"p_{label}" for label in same["label"]]
            before += list(same[shares].idxmax(axis=1))
            after += list(gained[shares].idxmax(axis=1))
        rows = {row["condition"]: row for row in run["conditions"]}
        assert run["unchanged"]["uar"]["value"] == pytest.approx(balanced_accuracy_score(truth, before))
        assert rows["gain_2"]["uar"]["value"] == pytest.approx(balanced_accuracy_score(truth, after))
        assert rows["gain_2"]["unchanged"] == pytest.approx(np.mean(np.array(before) == after))
        assert "no other test speaker" in rows["babble_20"]["reason"]  # two of the folds have one speaker
    page = (tested.results("mine") / "report/all/index.html").read_text()
    assert '<section id="robustness">' in page and "telephone" in page


@pytest.mark.extended
def test_a_second_run_does_nothing_and_a_setting_tests_what_it_concerns(tested):
    assert not tested.jobs("report", "robustness") and not tested.jobs("robustness") and not tested.jobs("all")
    assert not list(tested.results("mine").glob("robustness/features/*/*/*/*/*"))
    own = tested.settings["robustness"]
    wider = own | {"gain": {"decibels": [-2, 2, 6]}}
    assert of_rules(tested.jobs("robustness", robustness=wider)) == (0, 3, 6, 2)
    jobs = tested.jobs("report", robustness=own | {"telephone": {"thresholds": {"unchanged": 0.9}}})
    assert of_rules(jobs) == (0, 0, 0, 2) and jobs["evaluate_runs"] == jobs["render_report"] == 1
    more = own | {"conditions": [*own["conditions"], "tilt"]}
    assert of_rules(tested.jobs("robustness", robustness=more)) == (0, 3, 6, 2)
    assert of_rules(tested.jobs("robustness", robustness=own | {"seed": 1})) == (0, 12, 24, 2)
