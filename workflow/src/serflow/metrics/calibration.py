"""Calibration of probabilities: Brier score, calibration error, temperature scaling, risk and coverage.

Probabilities are arrays (n, K), truth is class codes (n,). All functions of them raise ``ValueError`` if there are no
clips, if rows are not finite, are negative or do not sum to 1, or if the lengths differ.
"""

from dataclasses import dataclass

import numpy as np

from serflow.metrics.scores import as_codes

# Softmax outputs are float32: smaller probabilities have underflowed, and their logarithms are meaningless.
_TINY = float(np.finfo(np.float32).tiny)
# Range of the search for a temperature. Without it, a model that is always correct would get temperature 0.
_TEMPERATURES = (0.05, 20.0)


def _checked(probabilities) -> np.ndarray:
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or not p.size:
        raise ValueError(f"expected probabilities of shape (n, K) with n > 0, got {p.shape}")
    # 1e-3 accepts float32 and half-precision softmax, and rejects logits.
    if not (np.isfinite(p).all() and p.min() >= 0 and np.abs(p.sum(1) - 1).max() < 1e-3):
        raise ValueError("these are not probabilities: rows must be finite, not negative and sum to 1")
    return p


def _checked_with_truth(probabilities, truth) -> tuple[np.ndarray, np.ndarray]:
    p = _checked(probabilities)
    truth = as_codes(truth, p.shape[1], "truth")
    if truth.size != len(p):
        raise ValueError(f"{truth.size} true labels but {len(p)} rows of probabilities")
    return p, truth


def brier_score(probabilities, truth) -> float:
    """Return the Brier score: the squared distance between probabilities and truth, averaged over clips.

    It is summed over classes as in the original: 0 is perfect, 2 the worst, and uniform probabilities get
    ``1 - 1/K``. Lower is better.

    References
    ----------
    Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78(1), 1950.
    """
    p, truth = _checked_with_truth(probabilities, truth)
    return float(((p - np.eye(p.shape[1])[truth]) ** 2).sum(1).mean())


def negative_log_likelihood(probabilities, truth) -> float:
    """Return the mean of ``-log p`` of the true class, in nats."""
    p, truth = _checked_with_truth(probabilities, truth)
    return float(-np.log(np.maximum(p[np.arange(truth.size), truth], _TINY)).mean())


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: one entry per bin of the confidence in the predicted class.

    Bins have ``edges`` from 0 to 1 and include their upper edge; ``count`` is their number of clips, ``confidence``
    the mean confidence and ``accuracy`` the share of correct predictions, both None in an empty bin. ``error`` is the
    expected calibration error, a fraction: the mean distance of confidence from accuracy.
    """

    edges: list[float]
    count: list[int]
    confidence: list[float | None]
    accuracy: list[float | None]
    error: float


def reliability(probabilities, truth, bins: int = 15) -> Reliability:
    """Return the confidence in the predicted class against how often it is correct, in bins of equal width.

    References
    ----------
    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equations 2, 3 and 5.
    """
    p, truth = _checked_with_truth(probabilities, truth)
    confidence, right = p.max(1), p.argmax(1) == truth
    edges = np.linspace(0, 1, bins + 1)
    place = np.digitize(confidence, edges[1:-1], right=True)
    count, sum_confidence, sum_right = (np.bincount(place, each, bins) for each in (None, confidence, right))

    def means(sums) -> list[float | None]:
        return [float(total / n) if n else None for total, n in zip(sums, count, strict=True)]

    error = float(np.abs(sum_right - sum_confidence).sum() / truth.size)
    return Reliability(edges.tolist(), count.tolist(), means(sum_confidence), means(sum_right), error)


def apply_temperature(probabilities, temperature: float) -> np.ndarray:
    """Return probabilities (n, K) made softer (``temperature`` > 1) or sharper (< 1): ``softmax(log p / temperature)``.

    ``log p`` are the logits up to a constant per row, which softmax ignores. The predicted class stays the same. The
    greatest calibrated probability is the confidence that the report, ``predict`` and the demo show.
    """
    p = np.maximum(_checked(probabilities), _TINY)
    odds = (p / p.max(1, keepdims=True)) ** (1 / temperature)
    return odds / odds.sum(1, keepdims=True)


def fit_temperature(probabilities, truth) -> float:
    """Return the temperature with the lowest negative log-likelihood; above 1 for an over-confident model.

    The loss has a single optimum (it is convex in the inverse temperature), so a bounded search over its logarithm
    finds it. Fit on validation clips, never on test clips.

    References
    ----------
    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    p, truth = _checked_with_truth(probabilities, truth)
    logits, rows = np.log(np.maximum(p, _TINY)), np.arange(truth.size)

    def loss(log_temperature: float) -> float:
        return -log_softmax(logits * np.exp(-log_temperature), axis=1)[rows, truth].mean()

    optimum = minimize_scalar(loss, bounds=np.log(_TEMPERATURES), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(optimum.x))


@dataclass(frozen=True)
class RiskCoverage:
    """The error rate if the model predicted only the clips with the highest confidence.

    ``coverage`` is the share of clips predicted, increasing to 1, with one entry per distinct confidence, or fewer if
    thinned; ``risk`` the share of wrong predictions among them, ``threshold`` their lowest confidence.
    """

    coverage: list[float]
    risk: list[float]
    threshold: list[float]


def risk_coverage(confidence, right, points: int | None = None) -> RiskCoverage:
    """Return the curve of risk against coverage.

    Clips of equal confidence are added together.

    Parameters
    ----------
    confidence
        For example the greatest probability, shape (n,), n > 0.
    right
        Whether each prediction is correct, shape (n,).
    points
        Approximate number of points to keep, evenly by coverage.

    References
    ----------
    Geifman & El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS 2017.
    """
    answered, errors, thresholds = _errors_by_threshold(confidence, right)
    coverage = answered / answered[-1]
    keep = np.arange(answered.size)
    if points is not None and points < answered.size:
        keep = np.unique(np.searchsorted(coverage, np.linspace(coverage[0], 1, points)))
    return RiskCoverage(*(values[keep].tolist() for values in (coverage, errors / answered, thresholds)))


def expected_risk(confidence, right) -> np.ndarray:
    """Return the expected share of wrong predictions among the 1, 2, … n clips with the highest confidence, shape (n,).

    Clips of equal confidence count with their mean, the expectation over every order among them, so that the order of
    the rows does not matter. The mean of all n values is the area under the risk-coverage curve (AURC). Parameters are
    those of :func:`risk_coverage`.

    References
    ----------
    Geifman, Uziel & El-Yaniv, "Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers", ICLR 2019.
    """
    answered, errors, _ = _errors_by_threshold(confidence, right)
    each = np.arange(1, answered[-1] + 1)
    # Between two thresholds the expected number of errors grows linearly.
    return np.interp(each, [0, *answered], [0, *errors]) / each


def _errors_by_threshold(confidence, right) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how many clips reach each distinct confidence, from high to low, how many of them are wrong, and it."""
    confidence, wrong = np.asarray(confidence, dtype=np.float64), ~np.asarray(right, dtype=bool)
    negated, group, size = np.unique(-confidence, return_inverse=True, return_counts=True)
    return np.cumsum(size), np.cumsum(np.bincount(group, wrong)), -negated
