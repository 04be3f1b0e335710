"""Confusion matrices and the metrics that are computed from them.

Each metric is a function of the confusion matrix alone and works on arrays of them, ``(..., K, K)``, so that
thousands of bootstrap resamples take one expression. Results are those of scikit-learn with ``zero_division=0``.
"""

# Own code, with parity tests: importing sklearn.metrics takes 2 s in every job.

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


def as_codes(values, classes: int, name: str = "labels") -> np.ndarray:
    """Return class codes ``0 .. classes - 1``, shape (n,), as int64; error messages call them ``name``.

    Raises
    ------
    ValueError
        If the codes are not one-dimensional, not integers, or out of range.
    """
    codes = np.asarray(values)
    if codes.ndim != 1 or (codes.size and not np.issubdtype(codes.dtype, np.integer)):
        raise ValueError(f"{name}: expected integer codes of shape (n,), got {codes.dtype} {codes.shape}")
    codes = codes.astype(np.int64)
    if codes.size and (codes.min() < 0 or codes.max() >= classes):
        raise ValueError(f"{name}: codes {codes.min()} to {codes.max()} do not fit {classes} classes")
    return codes


def confusion_matrix(truth, predicted, classes: int) -> np.ndarray:
    """Return the counts of class codes, both (n,) → int64 (K, K): rows are the truth, columns the predictions.

    Raises
    ------
    ValueError
        If the codes are out of range or the lengths differ.
    """
    truth, predicted = as_codes(truth, classes, "truth"), as_codes(predicted, classes, "predicted")
    if truth.size != predicted.size:
        raise ValueError(f"{truth.size} true labels but {predicted.size} predictions")
    return np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _ratio(part, whole, empty: float = 0.0) -> np.ndarray:
    part, whole = np.broadcast_arrays(np.asarray(part, float), np.asarray(whole, float))
    return np.divide(part, whole, out=np.full(part.shape, empty), where=whole > 0)[()]


def _diagonal(cm) -> np.ndarray:
    return np.diagonal(cm, axis1=-2, axis2=-1)


def recall(cm) -> np.ndarray:
    """Recall per class, (..., K, K) → (..., K): hits over the row sum; 0 for a class without clips."""
    cm = np.asarray(cm)
    return _ratio(_diagonal(cm), cm.sum(-1))


def precision(cm) -> np.ndarray:
    """Precision per class, (..., K, K) → (..., K): hits over the column sum; 0 if never predicted."""
    cm = np.asarray(cm)
    return _ratio(_diagonal(cm), cm.sum(-2))


def f1(cm) -> np.ndarray:
    """F1 per class, (..., K, K) → (..., K): the harmonic mean of precision and recall, 0 if both are 0."""
    cm = np.asarray(cm)
    return _ratio(2 * _diagonal(cm), cm.sum(-1) + cm.sum(-2))


def accuracy(cm) -> np.ndarray:
    """Share of correct predictions, (..., K, K) → (...); NaN for an empty matrix."""
    cm = np.asarray(cm)
    return _ratio(_diagonal(cm).sum(-1), cm.sum((-2, -1)), np.nan)


def uar(cm) -> np.ndarray:
    """Unweighted average recall, (..., K, K) → (...); NaN for an empty matrix.

    The mean recall of the classes that occur in the truth, like scikit-learn's ``balanced_accuracy_score``: a class
    without clips does not count as missed.

    References
    ----------
    Schuller, Steidl & Batliner, "The INTERSPEECH 2009 Emotion Challenge", Proc. Interspeech 2009.
    """
    cm = np.asarray(cm)
    return _ratio(recall(cm).sum(-1), (cm.sum(-1) > 0).sum(-1), np.nan)


def f1_weighted(cm) -> np.ndarray:
    """Mean F1 weighted by the number of clips of each class, (..., K, K) → (...); NaN for an empty matrix."""
    cm = np.asarray(cm)
    return _ratio((f1(cm) * cm.sum(-1)).sum(-1), cm.sum((-2, -1)), np.nan)


def f1_macro(cm) -> np.ndarray:
    """Mean F1 over classes, (..., K, K) → (...); NaN for an empty matrix.

    A class that occurs neither in the truth nor in the predictions is left out, as scikit-learn does when it is not
    given a list of labels.
    """
    cm = np.asarray(cm)
    seen = cm.sum(-1) + cm.sum(-2) > 0
    return _ratio(f1(cm).sum(-1), seen.sum(-1), np.nan)


class Metric(NamedTuple):
    """A metric: its function (..., K, K) → (...) with values from 0 to 1, and its title in tables."""

    function: Callable[[np.ndarray], np.ndarray]
    title: str


# Every metric of metrics.json, evaluation.json, comparison.csv, the page and the model card, in their order.
STATISTICS = {
    "uar": Metric(uar, "UAR"),
    "accuracy": Metric(accuracy, "accuracy"),
    "f1_weighted": Metric(f1_weighted, "weighted F1"),
    "f1_macro": Metric(f1_macro, "macro F1"),
}


def scores_from_confusion(cm) -> dict:
    """Return all metrics of one confusion matrix (K, K) of counts, or of shares of votes.

    Returns
    -------
    dict
        Each of :data:`STATISTICS` as a fraction; ``recall``, ``precision``, ``f1`` as lists of K fractions (0 where
        undefined); ``support``, the row sums.

    Raises
    ------
    ValueError
        If the matrix is empty.
    """
    cm = np.asarray(cm)
    if not cm.sum() > 0:
        raise ValueError("the confusion matrix is empty: there is nothing to score")
    return {name: float(metric.function(cm)) for name, metric in STATISTICS.items()} | {
        "recall": recall(cm).tolist(),
        "precision": precision(cm).tolist(),
        "f1": f1(cm).tolist(),
        "support": cm.sum(-1).tolist(),
    }


def row_shares(cm) -> np.ndarray:
    """Return each row divided by its sum, (..., K, K) → (..., K, K); a row without clips stays 0."""
    cm = np.asarray(cm)
    return _ratio(cm, cm.sum(-1, keepdims=True))


def most_confusing_class(cm, names: Sequence[str]) -> str:
    """Return the name of the class with the most wrong predictions in (K, K); the first one if there are several.

    This is the notebook's definition (section 11.2). It counts clips, so frequent classes are at a disadvantage.
    """
    cm = np.asarray(cm)
    return names[int(np.argmax(cm.sum(-1) - _diagonal(cm)))]
