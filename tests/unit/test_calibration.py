import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serflow.metrics import calibration

K = 6


def softmax(logits):
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return odds / odds.sum(1, keepdims=True)


def simulated(clips, seed=0, spread=2.0):
    """Return calibrated probabilities, and a truth sampled from them."""
    rng = np.random.default_rng(seed)
    p = softmax(rng.normal(0, spread, (clips, K)))
    truth = (p.cumsum(1) > rng.random((clips, 1))).argmax(1)
    return p, truth


def test_brier_score():
    from sklearn.metrics import brier_score_loss

    p, truth = simulated(300)
    expected = brier_score_loss(truth, p, labels=range(K), scale_by_half=False)
    assert calibration.brier_score(p, truth) == pytest.approx(expected)
    # by hand: (0.3² + 0.2² + 0.1²) and 2
    assert calibration.brier_score([[0.7, 0.2, 0.1]], [0]) == pytest.approx(0.14)
    assert calibration.brier_score([[1, 0, 0]], [1]) == pytest.approx(2)
    assert calibration.brier_score(np.full((4, K), 1 / K), [0, 1, 2, 3]) == pytest.approx(1 - 1 / K)


def test_negative_log_likelihood():
    from sklearn.metrics import log_loss

    p, truth = simulated(300)
    assert calibration.negative_log_likelihood(p, truth) == pytest.approx(log_loss(truth, p, labels=range(K)))
    assert np.isfinite(calibration.negative_log_likelihood([[1.0, 0.0]], [1]))


def test_calibration_error_by_hand():
    # two bins: confidences 0.5 and 0.4 in the first (an upper edge belongs to its bin), the others above
    p = [[0.5, 0.3, 0.2], [0.3, 0.4, 0.3], [0.1, 0.9, 0.0], [0.8, 0.1, 0.1], [0.7, 0.2, 0.1]]
    truth = [0, 0, 1, 0, 2]
    diagram = calibration.reliability(p, truth, bins=2)
    assert diagram.edges == [0, 0.5, 1]
    assert diagram.count == [2, 3]
    assert diagram.confidence == pytest.approx([0.45, 0.8])
    assert diagram.accuracy == pytest.approx([0.5, 2 / 3])
    assert diagram.error == pytest.approx(2 / 5 * 0.05 + 3 / 5 * (0.8 - 2 / 3))


def test_fifteen_bins_and_empty_ones():
    diagram = calibration.reliability([[0.999, 0.001], [1.0, 0.0]], [0, 1])
    assert len(diagram.count) == 15
    assert diagram.count[-1] == 2
    assert diagram.confidence[:14] == diagram.accuracy[:14] == [None] * 14
    assert diagram.error == pytest.approx(0.4995)


def test_a_truth_sampled_from_the_probabilities_is_calibrated():
    p, truth = simulated(20_000)
    assert calibration.reliability(p, truth).error < 0.015
    assert calibration.reliability(calibration.apply_temperature(p, 0.3), truth).error > 0.1


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_of_synthetic_logits_is_recovered(temperature):
    p, truth = simulated(20_000)
    distorted = calibration.apply_temperature(p, 1 / temperature)
    found = calibration.fit_temperature(distorted.astype(np.float32), truth)
    assert found == pytest.approx(temperature, rel=0.03)
    restored = calibration.apply_temperature(distorted, found)
    best = calibration.negative_log_likelihood(restored, truth)
    assert best <= calibration.negative_log_likelihood(p, truth) + 1e-9
    for nearby in (0.95 * found, 1.05 * found):
        other = calibration.apply_temperature(distorted, nearby)
        assert best < calibration.negative_log_likelihood(other, truth)


def test_the_search_stays_within_its_bounds():
    p, truth = simulated(200)
    always_right, noise = np.eye(K)[truth] * 0.9 + 0.1 / K, np.random.default_rng(3).integers(0, K, 200)
    assert 0.05 <= calibration.fit_temperature(always_right, truth) < 0.2
    assert calibration.fit_temperature(p, (p.argmax(1) + 1 + noise % (K - 1)) % K) <= 20
    assert calibration.fit_temperature(np.eye(K)[noise], truth) > 1  # zeros do not break it


@given(st.integers(0, 1000), st.floats(0.25, 10))  # lower ones underflow
@settings(deadline=None, max_examples=30)
def test_a_temperature_keeps_the_order_of_classes(seed, temperature):
    p, _ = simulated(20, seed)
    scaled = calibration.apply_temperature(p, temperature)
    assert scaled.sum(1) == pytest.approx(1)
    assert np.array_equal(scaled.argmax(1), p.argmax(1))
    assert calibration.apply_temperature(scaled, 1 / temperature) == pytest.approx(p)


def test_risk_and_coverage_by_hand():
    curve = calibration.risk_coverage([0.9, 0.8, 0.7, 0.6], [True, False, True, False])
    assert curve.coverage == [0.25, 0.5, 0.75, 1]
    assert curve.risk == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert curve.threshold == [0.9, 0.8, 0.7, 0.6]
    risk = calibration.expected_risk([0.9, 0.8, 0.7, 0.6], [True, False, True, False])
    assert risk == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])


def test_equal_confidences_are_added_together():
    curve = calibration.risk_coverage([0.9, 0.5, 0.5], [True, True, False])
    assert curve.coverage == pytest.approx([1 / 3, 1])
    assert curve.risk == pytest.approx([0, 1 / 3])
    # either order of the equals: 0, 0, 1/3 and 0, 1/2, 1/3
    assert calibration.expected_risk([0.9, 0.5, 0.5], [True, True, False]) == pytest.approx([0, 1 / 4, 1 / 3])


@given(
    st.lists(st.tuples(st.sampled_from([0.2, 0.4, 0.6, 0.8]), st.booleans()), min_size=1, max_size=30),
    st.randoms(),
)
@settings(deadline=None)
def test_the_order_of_rows_does_not_matter(rows, random):
    curve = calibration.risk_coverage(*zip(*rows, strict=True))
    risk = calibration.expected_risk(*zip(*rows, strict=True))
    random.shuffle(rows)
    assert calibration.risk_coverage(*zip(*rows, strict=True)) == curve
    assert calibration.expected_risk(*zip(*rows, strict=True)).tolist() == risk.tolist()
    assert curve.coverage[-1] == 1
    assert curve.risk[-1] == pytest.approx(np.mean([not right for _, right in rows]))


def test_a_thinned_curve_keeps_its_ends():
    rng = np.random.default_rng(0)
    confidence, right = rng.random(3000), rng.random(3000) < 0.6
    whole, thinned = (calibration.risk_coverage(confidence, right, points) for points in (None, 50))
    assert len(thinned.coverage) == len(thinned.risk) == len(thinned.threshold) == 50
    assert (thinned.coverage[0], thinned.coverage[-1]) == (whole.coverage[0], 1)


def test_invalid_probabilities_are_rejected():
    for wrong in ([[2.0, -1.0]], [[0.5, 0.6]], [[np.nan, 1.0]], [0.5, 0.5], np.zeros((0, 2))):
        with pytest.raises(ValueError, match="probabilities"):
            calibration.brier_score(wrong, [0])
    with pytest.raises(ValueError, match="2 true labels but 1 rows"):
        calibration.brier_score([[0.5, 0.5]], [0, 1])
