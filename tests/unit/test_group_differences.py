"""Differences between groups: against scikit-learn, Welch's interval, and all assignments of a few speakers."""

import itertools

import numpy as np
import pytest
from sklearn import metrics as sk

from serflow.metrics.group_differences import chance_thresholds, group_differences, group_figures

K = 3


def simulated(rng, speakers, right, clips=8):
    """Confusion matrices of speakers with as many clips of each class, and a probability of a correct answer each."""
    sums = np.zeros((speakers, K, K))
    for speaker, share in enumerate(np.broadcast_to(right, speakers)):
        for k in range(K):
            wrong = (1 - share) / (K - 1)
            sums[speaker, k] = rng.multinomial(clips, [share if k == other else wrong for other in range(K)])
    return sums


def split(number):
    """Who is in the first group of six speakers, in every way to choose three."""
    return [np.isin(np.arange(number), chosen) for chosen in itertools.combinations(range(number), number // 2)]


def test_figures_are_scikit_learns():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(K, size=(2, 60))
    found = group_figures(sk.confusion_matrix(truth, predicted))
    assert found[0] == pytest.approx(sk.balanced_accuracy_score(truth, predicted))
    np.testing.assert_allclose(found[1 : K + 1], sk.recall_score(truth, predicted, average=None))
    np.testing.assert_allclose(found[K + 1 :], sk.precision_score(truth, predicted, average=None))
    without = group_figures([[4, 0, 0], [1, 0, 3], [0, 0, 0]])  # no clip of the last class, none answered the second
    assert np.isnan(without).tolist() == [True, False, False, True, False, True, False]


def test_the_interval_of_a_recall_is_welchs():
    """Speakers have as many clips of each class, so that a recall is the mean of those of the speakers."""
    from scipy import stats

    rng = np.random.default_rng(1)
    inside, outside = (
        simulated(rng, speakers, rng.uniform(low, 0.9, speakers)) for speakers, low in ((9, 0.2), (14, 0.7))
    )
    found = group_differences(inside, outside, resamples=20000)[1]
    shares = [sums[:, 0, 0] / sums[:, 0].sum(-1) for sums in (inside, outside)]
    expected = stats.ttest_ind(*shares, equal_var=False)
    low, high = expected.confidence_interval(0.95)
    assert found.value == pytest.approx(shares[0].mean() - shares[1].mean())
    assert (found.low, found.high) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))
    assert found.method == "t" and found.reason is None and found.speakers == 23


def test_what_has_no_interval_says_why():
    rng = np.random.default_rng(2)
    several = simulated(rng, 6, 0.6)
    assert {found.reason for found in group_differences(several[:1], several[1:])} == {
        "one speaker: nothing to resample"
    }
    lacking = several.copy()
    lacking[:, 1] = 0  # nobody has a clip of the second class
    found = group_differences(several, lacking)
    undefined = "the figure is not defined in one of the groups"
    assert [each.reason for each in found[:4]] == [undefined, None, undefined, None]
    assert np.isnan(found[0].value) and found[0].low is None
    seldom = several.copy()
    seldom[1:, 1] = 0  # one speaker has, whom some resamples leave out
    found = group_differences(seldom, several)[2]
    assert np.isfinite(found.value) and (found.low, found.reason) == (
        None,
        "the figure is not defined in some resamples",
    )


def test_thresholds_are_those_of_all_assignments_of_few_speakers():
    rng = np.random.default_rng(3)
    sums = simulated(rng, 8, rng.uniform(0.3, 0.9, 8))
    chosen = split(8)
    limits = chance_thresholds(sums, [chosen[0]], [~chosen[0]], draws=5000)[0]
    differences = []
    for members in chosen:
        truth, answers = ([], []), ([], [])
        for group, mask in enumerate((members, ~members)):
            total = sums[mask].sum(0).astype(int)
            for k, other in itertools.product(range(K), repeat=2):
                truth[group].extend([k] * total[k, other])
                answers[group].extend([other] * total[k, other])
        pair = [
            [
                sk.balanced_accuracy_score(*group),
                *sk.recall_score(*group, average=None),
                *sk.precision_score(*group, average=None),
            ]
            for group in zip(truth, answers, strict=True)
        ]
        differences.append(np.abs(np.subtract(*pair)))
    spread = np.sqrt(np.mean(np.square(differences), axis=0))
    expected = np.quantile(np.max(differences / spread, axis=1), 0.95) * spread
    np.testing.assert_allclose(limits, expected, rtol=0.07)


def test_a_model_that_is_equally_good_for_all_seldom_exceeds_any_threshold():
    rng, exceeded, corpora = np.random.default_rng(4), 0, 150
    sexes, ages = np.arange(16) < 7, np.arange(16) % 3
    inside = np.array([sexes, *(ages == age for age in range(3))])
    for _ in range(corpora):
        sums = simulated(rng, 16, rng.beta(6, 4, 16))  # speakers differ, groups do not
        limits = chance_thresholds(sums, inside, ~inside, draws=150)
        totals = (np.tensordot(members, sums, 1) for members in (inside.astype(float), (~inside).astype(float)))
        exceeded += (np.abs(np.subtract(*map(group_figures, totals))) > limits).any()
    assert exceeded / corpora < 0.12  # 5 % are expected; 12 % or more have a probability of 0.0005


def test_a_model_that_never_errs_differs_nowhere():
    sums = np.repeat(5 * np.eye(K)[None], 10, axis=0)
    first = np.arange(10) < 5
    assert not chance_thresholds(sums, [first], [~first], draws=50).any()
    assert all((found.value, found.low, found.high) == (0, 0, 0) for found in group_differences(sums[:5], sums[5:]))
