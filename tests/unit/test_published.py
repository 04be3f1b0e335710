import numpy as np
import pytest

from serflow.evaluation import published
from serflow.metrics import scores as metrics

PRINTED = [run for run in published.RUNS if run.confusion_matrix]
BY_NAME = {run.name: run for run in published.RUNS}


def test_the_four_runs():
    assert list(BY_NAME) == ["1D a", "1D b", "2D a", "2D b"]
    assert [run.name for run in PRINTED] == ["1D b", "2D a", "2D b"]


@pytest.mark.parametrize("run", PRINTED, ids=lambda run: run.name)
def test_a_printed_matrix_gives_the_printed_scores(run):
    cm = np.array(run.confusion_matrix)
    assert cm.sum() == published.N_TEST
    scores = metrics.scores_from_confusion(cm)
    assert scores["accuracy"] == pytest.approx(run.accuracy, abs=1e-11)  # 2D b is printed with a slip
    assert scores["f1_weighted"] == pytest.approx(run.f1_weighted, abs=1e-15)
    assert metrics.most_confusing_class(cm, published.CLASSES) == run.most_confusing_class


def test_all_runs_were_tested_on_the_same_clips():
    assert len({tuple(np.sum(run.confusion_matrix, axis=1)) for run in PRINTED}) == 1
    assert 100 * BY_NAME["1D a"].accuracy == pytest.approx(100 * 1600 / published.N_TEST, abs=1e-12)


def test_the_split_is_the_stated_one():
    rows = published.N_TRAIN + published.N_VALID + published.N_TEST
    assert int(np.ceil(0.3 * rows)) == published.N_TEST
    assert int(np.ceil(0.05 * (rows - published.N_TEST))) == published.N_VALID


@pytest.mark.parametrize("run", published.RUNS, ids=lambda run: run.name)
def test_runs_stopped_five_epochs_after_the_best(run):
    assert run.epochs == run.best_epoch + 5 <= run.max_epochs
    # an accuracy on 366 validation clips is a whole number of clips
    clips = run.valid_accuracy * published.N_VALID
    assert clips == pytest.approx(round(clips), abs=0.02)
    hits = run.train_accuracy * published.N_TRAIN
    assert hits == pytest.approx(round(hits), abs=0.36)  # four decimals
