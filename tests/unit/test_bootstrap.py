import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serflow.metrics import bootstrap
from serflow.metrics import scores as metrics
from serflow.metrics.mcnemar import mcnemar_exact

K = 6
MEAN = np.array([0.9, 0.0, -0.2, -0.1, 0.7, 0.3])  # logits of the recalls: about 57 % right, as on CREMA-D
OF_SPEAKER, OF_SPEAKER_AND_CLASS = 0.3, 0.4  # their spread over speakers: 7.5 points of a speaker's accuracy


@pytest.fixture
def ratio(monkeypatch):
    """Add a statistic that divides two sums: a mean over clips."""
    monkeypatch.setitem(metrics.STATISTICS, "ratio", metrics.Metric(lambda sums: sums[..., 0] / sums[..., 1], "ratio"))
    return "ratio"


def recalls(rng, speakers):
    shared = OF_SPEAKER * rng.standard_normal((speakers, 1))
    own = OF_SPEAKER_AND_CLASS * rng.standard_normal((speakers, K))
    return 1 / (1 + np.exp(-(MEAN + shared + own)))


def simulated(rng, right):
    """Simulate confusion matrices of speakers with some 12 clips of each class, errors spread evenly."""
    clips = 14 - rng.binomial(2, 0.1, right.shape)
    hits = rng.binomial(clips, right)
    cms = np.zeros((len(right), K, K))
    for k in range(K):
        others = np.delete(np.arange(K), k)
        cms[:, k, others] = rng.multinomial(clips[:, k] - hits[:, k], np.full(K - 1, 1 / (K - 1)))
        cms[:, k, k] = hits[:, k]
    return cms


@pytest.mark.parametrize(("speakers", "method"), [(5, "t"), (24, "percentile"), (91, "percentile")])
def test_coverage_over_500_draws(speakers, method):
    rng = np.random.default_rng(speakers)
    truth = recalls(np.random.default_rng(0), 200_000).mean()
    held = 0
    for number in range(500):
        interval = bootstrap.bootstrap_interval(simulated(rng, recalls(rng, speakers)), "uar", seed=number)
        held += interval.low <= truth <= interval.high
    assert (interval.method, interval.resamples, interval.speakers) == (method, 2000, speakers)
    assert abs(held / 500 - 0.95) <= 0.02


def test_over_strata_each_counts_alike_and_is_resampled_by_itself():
    rng = np.random.default_rng(4)
    small, large = simulated(rng, recalls(rng, 4)), simulated(rng, recalls(rng, 40))
    strata = np.repeat(["small", "large"], [4, 40])
    apart = [bootstrap.bootstrap_interval(sums, "uar") for sums in (small, large)]
    found = bootstrap.bootstrap_interval(np.concatenate([small, large]), "uar", strata=strata)
    assert found.value == pytest.approx((apart[0].value + apart[1].value) / 2) and found.method == "t"
    # The corpus of few speakers decides how uncertain the mean is.
    assert found.low < found.value < found.high
    assert found.high - found.low == pytest.approx((apart[0].high - apart[0].low) / 2, rel=0.35)
    shuffled = rng.permutation(44)
    mixed = np.concatenate([small, large])[shuffled]
    assert bootstrap.bootstrap_interval(mixed, "uar", strata=strata[shuffled]).value == pytest.approx(found.value)
    difference = bootstrap.paired_difference(mixed, mixed, "uar", strata=strata[shuffled])
    assert (difference.value, difference.low, difference.high, difference.evidence) == (0, 0, 0, False)
    alone = bootstrap.bootstrap_interval(np.concatenate([small[:1], large]), "uar", strata=strata[3:])
    assert alone.low is None and "one speaker" in alone.reason


def test_coverage_over_strata():
    rng = np.random.default_rng(8)
    truth = recalls(np.random.default_rng(0), 200_000).mean()
    strata, held = np.repeat(["a", "b", "c"], [6, 10, 40]), 0
    for number in range(500):
        interval = bootstrap.bootstrap_interval(simulated(rng, recalls(rng, 56)), "uar", seed=number, strata=strata)
        held += interval.low <= truth <= interval.high
    assert abs(held / 500 - 0.95) <= 0.02


def test_equal_models_are_told_apart_in_one_of_twenty_draws():
    rng = np.random.default_rng(0)
    found = 0
    for number in range(1000):
        right = recalls(rng, 24)
        found += bootstrap.paired_difference(simulated(rng, right), simulated(rng, right), "uar", seed=number).evidence
    assert abs(found / 1000 - 0.05) <= 0.02


def test_pairing_finds_what_separate_intervals_do_not():
    rng = np.random.default_rng(1)
    right = recalls(rng, 24)
    a, b = simulated(rng, np.minimum(right + 0.05, 1)), simulated(rng, right)
    apart = [bootstrap.bootstrap_interval(sums, "accuracy") for sums in (a, b)]
    assert apart[1].high > apart[0].low
    found = bootstrap.paired_difference(a, b, "accuracy")
    assert found.value == pytest.approx(apart[0].value - apart[1].value)
    assert 0 < found.low < found.value < found.high
    assert found.evidence
    swapped = bootstrap.paired_difference(b, a, "accuracy")
    assert (swapped.low, swapped.high) == pytest.approx((-found.high, -found.low))


def test_a_model_is_no_better_than_itself():
    sums = simulated(np.random.default_rng(2), np.full((9, K), 0.5))
    found = bootstrap.paired_difference(sums, sums, "f1_macro")
    assert (found.value, found.low, found.high, found.evidence) == (0, 0, 0, False)


def test_speaker_confusions_add_up_and_follow_sorted_speakers():
    speakers, truth, predicted = ["b", "a", "b", "a"], [0, 1, 1, 1], [0, 0, 1, 1]
    sums = bootstrap.speaker_confusions(speakers, truth, predicted, 2)
    assert sums.tolist() == [[[0, 0], [1, 1]], [[1, 0], [0, 1]]]
    assert np.array_equal(sums.sum(0), metrics.confusion_matrix(truth, predicted, 2))
    votes = np.eye(2)[predicted] * 3
    assert np.array_equal(bootstrap.speaker_confusions(speakers, truth, votes, 2), 3 * sums)


def test_other_means_are_sums_per_speaker_too(ratio):
    rng = np.random.default_rng(4)
    speakers, brier = rng.integers(0, 12, 400), rng.random(400)
    sums = np.column_stack([np.bincount(speakers, brier), np.bincount(speakers)])
    interval = bootstrap.bootstrap_interval(sums, ratio)
    assert interval.value == pytest.approx(brier.mean())
    assert interval.low < interval.value < interval.high


def test_resamples_are_whole_speakers_and_repeatable():
    weights = bootstrap.resample_weights(24, 2000, 7)
    assert weights.shape == (2000, 24)
    assert (weights.sum(1) == 24).all()
    assert weights.std() == pytest.approx(np.sqrt(23 / 24), rel=0.02)  # of Binomial(24, 1/24)
    assert np.array_equal(weights, bootstrap.resample_weights(24, 2000, 7))
    assert not np.array_equal(weights, bootstrap.resample_weights(24, 2000, 8))


def test_the_resamples_equal_a_loop_over_speakers():
    sums = simulated(np.random.default_rng(5), np.full((8, K), 0.5))
    drawn = np.random.default_rng(3).integers(8, size=(50, 8))
    looped = [metrics.f1_weighted(sums[who].sum(0)) for who in drawn]
    found = (bootstrap.resample_weights(8, 50, 3) @ sums.reshape(8, -1)).reshape(50, K, K)
    assert metrics.f1_weighted(found) == pytest.approx(looped)


def test_one_speaker_has_a_value_and_a_reason():
    sums = simulated(np.random.default_rng(6), np.full((1, K), 0.5))
    interval = bootstrap.bootstrap_interval(sums, "uar")
    assert interval.value == pytest.approx(metrics.uar(sums[0]))
    assert (interval.low, interval.high, interval.method) == (None, None, None)
    assert "one speaker" in interval.reason
    found = bootstrap.paired_difference(sums, sums, "uar")
    assert (found.low, found.evidence) == (None, False)


def test_an_undefined_statistic_has_a_reason(ratio):
    sums = np.array([[1.0, 2.0], [0.0, 0.0], [0.0, 0.0]])
    with np.errstate(invalid="ignore"):
        interval = bootstrap.bootstrap_interval(sums, ratio)
    assert interval.value == 0.5
    assert interval.low is None
    assert "undefined" in interval.reason


def test_intervals_of_few_speakers_stay_in_range():
    sums = np.array([[[9, 0], [1, 9]], [[9, 0], [0, 9]]])
    interval = bootstrap.bootstrap_interval(sums, "uar")
    assert interval.high == 1
    assert interval.high - interval.value < interval.value - interval.low  # it was clipped


@given(st.integers(8, 30), st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_a_higher_level_is_wider_and_within_what_speakers_reach(speakers, seed):
    rng = np.random.default_rng(seed)
    sums = simulated(rng, recalls(rng, speakers))
    narrow, wide = (bootstrap.bootstrap_interval(sums, "uar", seed=seed, level=level) for level in (0.8, 0.95))
    assert wide.low <= narrow.low <= narrow.high <= wide.high
    accuracies = metrics.accuracy(sums)
    inside = bootstrap.bootstrap_interval(sums, "accuracy", seed=seed)
    assert accuracies.min() <= inside.low <= inside.high <= accuracies.max()


def predictions(both, only_a, only_b, neither):
    repeats = (both, only_a, only_b, neither)
    return np.repeat([True, True, False, False], repeats), np.repeat([True, False, True, False], repeats)


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    [(1, 8, 20 / 512), (3, 9, 598 / 4096), (0, 6, 1 / 32), (5, 5, 1.0), (4, 5, 1.0), (0, 0, 1.0)],
)
def test_mcnemar_by_hand(only_a, only_b, p):
    # (1, 8): 2 (1 + 9) / 2⁹;  (3, 9): 2 (1 + 12 + 66 + 220) / 2¹²
    found = mcnemar_exact(*predictions(20, only_a, only_b, 7))
    assert (found.b, found.c) == (only_a, only_b)
    assert found.p_value == pytest.approx(p, rel=1e-12)


@given(st.integers(0, 2500), st.integers(0, 2500))
@settings(deadline=None, max_examples=25)
def test_mcnemar_agrees_with_the_binomial_test(only_a, only_b):
    from scipy.stats import binomtest

    found = mcnemar_exact(*predictions(0, only_a, only_b, 1))
    if only_a + only_b:
        expected = binomtest(only_a, only_a + only_b).pvalue
        assert found.p_value == pytest.approx(expected, rel=1e-6, abs=1e-250)


def test_what_does_not_fit_is_refused():
    sums = np.ones((3, K, K))
    for call, message in (
        (lambda: bootstrap.paired_difference(sums, sums[:2], "uar"), "same shape"),
        (lambda: bootstrap.speaker_confusions(["a", "b"], [0], [0], K), "do not fit"),
        (lambda: bootstrap.speaker_confusions(["a"], [0], [[1, 0]], K), "do not fit"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
