import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serflow.metrics import scores as metrics

K = 6
CODES = st.integers(0, K - 1)
PAIRS = st.lists(st.tuples(CODES, CODES), min_size=1, max_size=60)


def test_everything_agrees_with_scikit_learn():
    from sklearn import metrics as reference

    rng = np.random.default_rng(0)
    # the last case has a class that is never predicted, one that never occurs, and one that does neither
    cases = [
        (rng.integers(0, K, 500), rng.integers(0, K, 500)),
        (np.repeat([0, 1, 2], 9), np.repeat([0, 3], [13, 14])),
    ]
    for truth, predicted in cases:
        cm = metrics.confusion_matrix(truth, predicted, K)
        assert np.array_equal(cm, reference.confusion_matrix(truth, predicted, labels=range(K)))
        scores = metrics.scores_from_confusion(cm)
        present = np.unique(truth)
        options = {"zero_division": 0}
        assert scores["accuracy"] == pytest.approx(reference.accuracy_score(truth, predicted))
        assert scores["uar"] == pytest.approx(
            reference.recall_score(truth, predicted, labels=present, average="macro", **options)
        )
        for average in ("weighted", "macro"):
            expected = reference.f1_score(truth, predicted, average=average, **options)
            assert scores[f"f1_{average}"] == pytest.approx(expected)
        for name in ("recall", "precision", "f1"):
            score = getattr(reference, f"{name}_score")
            expected = score(truth, predicted, labels=range(K), average=None, **options)
            assert scores[name] == pytest.approx(expected)
        assert scores["support"] == np.bincount(truth, minlength=K).tolist()


def test_uar_by_hand():
    cm = [[3, 1, 0], [1, 1, 0], [0, 0, 0]]  # recalls 3/4 and 1/2; the third class does not occur
    assert metrics.uar(cm) == pytest.approx(0.625)
    assert metrics.accuracy(cm) == pytest.approx(4 / 6)


@given(PAIRS)
@settings(deadline=None)
def test_scores_are_fractions_and_perfect_exactly_on_the_diagonal(pairs):
    truth, predicted = np.array(pairs).T
    cm = metrics.confusion_matrix(truth, predicted, K)
    assert cm.sum() == len(pairs)
    scores = metrics.scores_from_confusion(cm)
    for name in metrics.STATISTICS:
        assert 0 <= scores[name] <= 1
        assert (scores[name] == pytest.approx(1)) == np.array_equal(truth, predicted)
    assert scores["accuracy"] == pytest.approx(np.average(scores["recall"], weights=scores["support"]))


@given(PAIRS, st.permutations(range(K)))
@settings(deadline=None)
def test_renaming_the_classes_changes_no_score(pairs, order):
    truth, predicted = np.array(pairs).T
    cm = metrics.confusion_matrix(truth, predicted, K)
    renamed = metrics.confusion_matrix(np.array(order)[truth], np.array(order)[predicted], K)
    for metric in metrics.STATISTICS.values():
        assert metric.function(renamed) == pytest.approx(metric.function(cm))


@pytest.mark.parametrize("name", metrics.STATISTICS)
def test_scores_work_on_arrays_of_matrices(name):
    cms = np.random.default_rng(1).integers(0, 4, (2, 3, K, K))
    cms[0, 0, 2] = 0
    together = metrics.STATISTICS[name].function(cms)
    assert together.shape == (2, 3)
    assert together[0, 0] == metrics.scores_from_confusion(cms[0, 0])[name]
    assert together[1, 2] == metrics.scores_from_confusion(cms[1, 2])[name]


def test_an_empty_matrix_has_no_score():
    empty = np.zeros((K, K), int)
    assert all(np.isnan(metric.function(empty)) for metric in metrics.STATISTICS.values())
    with pytest.raises(ValueError, match="empty"):
        metrics.scores_from_confusion(empty)


def test_row_shares_leave_an_empty_row_at_zero():
    assert metrics.row_shares([[1, 3], [0, 0]]).tolist() == [[0.25, 0.75], [0, 0]]


def test_the_most_confusing_class_is_the_first_with_most_misses():
    cm = [[5, 1, 1], [2, 0, 0], [0, 1, 9]]
    assert metrics.most_confusing_class(cm, ["ANG", "DIS", "FEA"]) == "ANG"  # two misses each, the first wins


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        ([0, 6], [0, 1], "truth: codes 0 to 6 do not fit 6 classes"),
        ([0, 1], [0, -1], "predicted: codes -1 to 0"),
        ([0, 1], [0], "2 true labels but 1 predictions"),
        ([0.0, 1.0], [0, 1], "integer codes"),
        ([[0, 1]], [0, 1], "integer codes"),
    ],
)
def test_wrong_labels_are_refused(truth, predicted, message):
    with pytest.raises(ValueError, match=message):
        metrics.confusion_matrix(truth, predicted, K)
