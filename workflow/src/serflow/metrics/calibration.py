"""Calibration of probabilities: Brier score, calibration error, temperature scaling, risk and coverage.

Probabilities are arrays (n, K) whose rows sum to 1, truth is class codes (n,).
"""

from dataclasses import dataclass

import numpy as np

from serflow.metrics.scores import as_codes

# Softmax outputs are float32: smaller probabilities have underflowed, and their logarithms are meaningless.
_TINY = float(np.finfo(np.float32).tiny)
# Range of the search for a temperature. Without it, a model that is always correct would get temperature 0.
_TEMPERATURES = (0.05, 20.0)


def _checked(probabilities, truth=None) -> tuple[np.ndarray, np.ndarray | None]:
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or not p.size:
        raise ValueError(f"expected probabilities of shape (n, K) with n > 0, got {p.shape}")
    # 1e-3 accepts float32 and half-precision softmax, and rejects logits.
    if not (np.isfinite(p).all() and p.min() >= 0 and np.abs(p.sum(1) - 1).max() < 1e-3):
        raise ValueError("these are not probabilities: rows must be finite, not negative and sum to 1")
    if truth is None:
        return p, None
    truth = as_codes(truth, p.shape[1], "truth")
    if truth.size != len(p):
        raise ValueError(f"{truth.size} true labels but {len(p)} rows of probabilities")
    return p, truth


def brier_score(probabilities, truth) -> float:
    """Return the Brier score: the squared distance between probabilities and truth, averaged over clips.

    It is summed over classes as in the original: 0 is perfect, 2 the worst, and uniform probabilities get
    ``1 - 1/K``. Lower is better.

    Raises
    ------
    ValueError
        If the rows are not probabilities or the lengths differ.

    References
    ----------
    Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78(1), 1950.
    """
    p, truth = _checked(probabilities, truth)
    return float(((p - np.eye(p.shape[1])[truth]) ** 2).sum(1).mean())


def negative_log_likelihood(probabilities, truth) -> float:
    """Return the mean of ``-log p`` of the true class, in nats.

    Raises
    ------
    ValueError
        If the rows are not probabilities or the lengths differ.
    """
    p, truth = _checked(probabilities, truth)
    return float(-np.log(np.maximum(p[np.arange(truth.size), truth], _TINY)).mean())


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: one entry per bin of the confidence in the predicted class.

    Attributes
    ----------
    edges
        The ``bins + 1`` edges from 0 to 1; a bin includes its upper edge.
    count
        Clips per bin.
    confidence, accuracy
        Mean confidence and share of correct predictions per bin; None in an empty bin.
    error
        Expected calibration error, a fraction: the mean distance of confidence from accuracy.
    """

    edges: list[float]
    count: list[int]
    confidence: list[float | None]
    accuracy: list[float | None]
    error: float


def reliability(probabilities, truth, bins: int = 15) -> Reliability:
    """Return the confidence in the predicted class against how often it is correct, in bins of equal width.

    Parameters
    ----------
    probabilities
        Shape (n, K).
    truth
        Class codes, shape (n,).
    bins
        Number of bins over 0 to 1.

    Raises
    ------
    ValueError
        If the rows are not probabilities or the lengths differ.

    References
    ----------
    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equations 2, 3 and 5.
    """
    p, truth = _checked(probabilities, truth)
    confidence, right = p.max(1), p.argmax(1) == truth
    edges = np.linspace(0, 1, bins + 1)
    place = np.digitize(confidence, edges[1:-1], right=True)
    count = np.bincount(place, minlength=bins)
    sum_confidence = np.bincount(place, confidence, bins)
    sum_right = np.bincount(place, right, bins)

    def means(sums) -> list[float | None]:
        return [float(total / n) if n else None for total, n in zip(sums, count, strict=True)]

    return Reliability(
        edges=edges.tolist(),
        count=count.tolist(),
        confidence=means(sum_confidence),
        accuracy=means(sum_right),
        error=float(np.abs(sum_right - sum_confidence).sum() / truth.size),
    )


def apply_temperature(probabilities, temperature: float) -> np.ndarray:
    """Return probabilities made softer (``temperature`` > 1) or sharper (< 1): ``softmax(log p / temperature)``.

    ``log p`` are the logits up to a constant per row, which softmax ignores. The predicted class stays the same. The
    greatest calibrated probability is the confidence that the report, ``predict`` and the demo show.

    Parameters
    ----------
    probabilities
        Shape (n, K).
    temperature
        Greater than 0.

    Returns
    -------
    numpy.ndarray
        float64, shape (n, K).

    Raises
    ------
    ValueError
        If the rows are not probabilities or the temperature is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"a temperature of {temperature} is not positive")
    return np.exp(_log_softmax(np.log(np.maximum(_checked(probabilities)[0], _TINY)) / temperature))


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def fit_temperature(probabilities, truth) -> float:
    """Return the temperature with the lowest negative log-likelihood on held-out clips.

    The loss has a single optimum (it is convex in the inverse temperature), so a bounded search over its logarithm
    finds it. Fit on validation clips, never on test clips.

    Parameters
    ----------
    probabilities
        Of the validation clips, shape (n, K).
    truth
        Class codes, shape (n,).

    Returns
    -------
    float
        Above 1 for an over-confident model.

    Raises
    ------
    ValueError
        If the rows are not probabilities or the lengths differ.

    References
    ----------
    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.
    """
    from scipy.optimize import minimize_scalar

    p, truth = _checked(probabilities, truth)
    logits, rows = np.log(np.maximum(p, _TINY)), np.arange(truth.size)

    def loss(log_temperature: float) -> float:
        return -_log_softmax(logits * np.exp(-log_temperature))[rows, truth].mean()

    optimum = minimize_scalar(loss, bounds=np.log(_TEMPERATURES), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(optimum.x))


@dataclass(frozen=True)
class RiskCoverage:
    """The error rate if the model predicted only the clips with the highest confidence.

    Attributes
    ----------
    coverage
        Share of clips predicted, increasing to 1; one entry per distinct confidence, or fewer if thinned.
    risk
        Share of wrong predictions among them.
    threshold
        The lowest confidence among them.
    aurc
        Area under the curve: the mean risk over every number of predicted clips. Lower is better.
    """

    coverage: list[float]
    risk: list[float]
    threshold: list[float]
    aurc: float


def risk_coverage(confidence, right, points: int | None = None) -> RiskCoverage:
    """Return the curve of risk against coverage.

    Clips of equal confidence are added together. In the area they count with their mean, the expectation over every
    order among them, so the order of the rows does not matter.

    Parameters
    ----------
    confidence
        For example the greatest probability, shape (n,).
    right
        Whether each prediction is correct, shape (n,).
    points
        Approximate number of points to keep, evenly by coverage; the area is that of the whole curve.

    Raises
    ------
    ValueError
        If there are no clips or the lengths differ.

    References
    ----------
    Geifman & El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS 2017; the area: Geifman,
    Uziel & El-Yaniv, "Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers", ICLR 2019.
    """
    confidence, wrong = np.asarray(confidence, dtype=np.float64), ~np.asarray(right, dtype=bool)
    if confidence.ndim != 1 or confidence.shape != wrong.shape or not confidence.size:
        raise ValueError(f"confidence {confidence.shape} and right {wrong.shape} must be (n,) with n > 0")
    negated, group, size = np.unique(-confidence, return_inverse=True, return_counts=True)
    answered, errors = np.cumsum(size), np.cumsum(np.bincount(group, wrong))
    each = np.arange(1, confidence.size + 1)
    # Between two thresholds the expected number of errors grows linearly.
    expected = np.interp(each, np.concatenate([[0], answered]), np.concatenate([[0], errors]))
    coverage = answered / confidence.size
    keep = np.arange(answered.size)
    if points is not None and points < answered.size:
        keep = np.unique(np.searchsorted(coverage, np.linspace(coverage[0], 1, points)))
    return RiskCoverage(
        coverage=coverage[keep].tolist(),
        risk=(errors / answered)[keep].tolist(),
        threshold=(-negated)[keep].tolist(),
        aurc=float((expected / each).mean()),
    )
