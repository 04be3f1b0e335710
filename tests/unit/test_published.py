"""The published results in resources/ agree with themselves."""

import json

import numpy as np
import pytest

from serflow.metrics.scores import most_confusing_class, scores_from_confusion


@pytest.fixture(scope="module")
def published(project):
    return json.loads((project / "resources/notebook_runs.json").read_text())


@pytest.fixture(scope="module")
def printed(published):
    """The runs whose confusion matrix was printed."""
    return {run["name"]: run for run in published["runs"] if run["confusion_matrix"]}


def test_the_four_runs(published, printed):
    assert [run["name"] for run in published["runs"]] == ["1D a", "1D b", "2D a", "2D b"]
    assert list(printed) == ["1D b", "2D a", "2D b"]


@pytest.mark.parametrize("name", ["1D b", "2D a", "2D b"])
def test_a_printed_matrix_gives_the_printed_scores(published, printed, name):
    run, cm = printed[name], np.array(printed[name]["confusion_matrix"])
    assert cm.sum() == published["n_test"]
    scores = scores_from_confusion(cm)
    assert scores["accuracy"] == pytest.approx(run["accuracy"], abs=1e-11)  # 2D b is printed with a wrong last digit
    assert scores["f1_weighted"] == pytest.approx(run["f1_weighted"], abs=1e-15)
    assert most_confusing_class(cm, published["classes"]) == run["most_confusing_class"]


def test_all_runs_were_tested_on_the_same_clips(published, printed):
    assert len({tuple(np.sum(run["confusion_matrix"], axis=1)) for run in printed.values()}) == 1
    accuracy = published["runs"][0]["accuracy"]
    assert 100 * accuracy == pytest.approx(100 * 1600 / published["n_test"], abs=1e-12)


def test_the_split_is_the_stated_one(published):
    rows = published["n_train"] + published["n_valid"] + published["n_test"]
    assert int(np.ceil(0.3 * rows)) == published["n_test"]
    assert int(np.ceil(0.05 * (rows - published["n_test"]))) == published["n_valid"]


@pytest.mark.parametrize("number", range(4))
def test_runs_stopped_five_epochs_after_the_best(published, number):
    run = published["runs"][number]
    assert run["epochs"] == run["best_epoch"] + 5 <= run["max_epochs"]
    # an accuracy on 366 validation clips is a whole number of clips
    clips = run["valid_accuracy"] * published["n_valid"]
    assert clips == pytest.approx(round(clips), abs=0.02)
    hits = run["train_accuracy"] * published["n_train"]
    assert hits == pytest.approx(round(hits), abs=0.36)  # four decimals
