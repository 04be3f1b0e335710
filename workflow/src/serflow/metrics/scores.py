"""Confusion matrices and the scores that follow from them.

Every score is a function of the confusion matrix alone and works on arrays of them, ``(..., K, K)``, so
that thousands of bootstrap resamples cost one expression. The conventions are scikit-learn's with
``zero_division=0``; scikit-learn itself is left out because importing it costs two seconds per job.
"""

from collections.abc import Sequence

import numpy as np


def as_codes(values, classes: int, name: str = "labels") -> np.ndarray:
    """Check integer class codes.

    Parameters
    ----------
    values
        Codes ``0 .. classes - 1``, shape (n,).
    classes
        Number of classes K.
    name
        What the codes are, for the message.

    Returns
    -------
    numpy.ndarray
        int64, shape (n,).

    Raises
    ------
    ValueError
        If they are not one-dimensional, not integers, or out of range.
    """
    codes = np.asarray(values)
    if codes.ndim != 1 or (codes.size and not np.issubdtype(codes.dtype, np.integer)):
        raise ValueError(f"{name}: expected integer codes of shape (n,), got {codes.dtype} {codes.shape}")
    codes = codes.astype(np.int64)
    if codes.size and (codes.min() < 0 or codes.max() >= classes):
        raise ValueError(f"{name}: codes {codes.min()} to {codes.max()} do not fit {classes} classes")
    return codes


def confusion_matrix(truth, predicted, classes: int) -> np.ndarray:
    """Count truth against prediction.

    Parameters
    ----------
    truth, predicted
        Class codes, shape (n,).
    classes
        Number of classes K.

    Returns
    -------
    numpy.ndarray
        int64, shape (K, K); rows are the truth, columns the prediction.

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
    """Precision per class, (..., K, K) → (..., K): hits over the column sum; 0 for one never predicted."""
    cm = np.asarray(cm)
    return _ratio(_diagonal(cm), cm.sum(-2))


def f1(cm) -> np.ndarray:
    """F1 per class, (..., K, K) → (..., K): the harmonic mean of precision and recall, 0 where both are."""
    cm = np.asarray(cm)
    return _ratio(2 * _diagonal(cm), cm.sum(-1) + cm.sum(-2))


def accuracy(cm) -> np.ndarray:
    """Share of clips on the diagonal, (..., K, K) → (...); NaN for an empty matrix."""
    cm = np.asarray(cm)
    return _ratio(_diagonal(cm).sum(-1), cm.sum((-2, -1)), np.nan)


def uar(cm) -> np.ndarray:
    """Unweighted average recall, (..., K, K) → (...); NaN for an empty matrix.

    The mean of the recalls of the classes that are present in the truth, as scikit-learn's
    ``balanced_accuracy_score`` has it: a class nobody could get right must not count as missed.

    References
    ----------
    Schuller, Steidl & Batliner, "The INTERSPEECH 2009 Emotion Challenge", Proc. Interspeech 2009.
    """
    cm = np.asarray(cm)
    return _ratio(recall(cm).sum(-1), (cm.sum(-1) > 0).sum(-1), np.nan)


def f1_weighted(cm) -> np.ndarray:
    """Mean F1 weighted by the clips of each class, (..., K, K) → (...); NaN for an empty matrix."""
    cm = np.asarray(cm)
    return _ratio((f1(cm) * cm.sum(-1)).sum(-1), cm.sum((-2, -1)), np.nan)


def f1_macro(cm) -> np.ndarray:
    """Mean F1 over classes, (..., K, K) → (...); NaN for an empty matrix.

    A class that occurs neither in the truth nor among the predictions is left out, which is what
    scikit-learn does when it is given no list of labels.
    """
    cm = np.asarray(cm)
    seen = cm.sum(-1) + cm.sum(-2) > 0
    return _ratio(f1(cm).sum(-1), seen.sum(-1), np.nan)


STATISTICS = {"uar": uar, "accuracy": accuracy, "f1_weighted": f1_weighted, "f1_macro": f1_macro}


def scores_from_confusion(cm) -> dict:
    """Every score of one confusion matrix.

    Parameters
    ----------
    cm
        Shape (K, K), rows are the truth. Counts, or shares of votes.

    Returns
    -------
    dict
        ``accuracy``, ``uar``, ``f1_weighted``, ``f1_macro`` as fractions; ``recall``, ``precision``, ``f1``
        as lists of K fractions (0 where undefined) and ``support``, the row sums, which tells where.

    Raises
    ------
    ValueError
        If the matrix is not square, or empty.
    """
    cm = np.asarray(cm)
    if cm.ndim != 2 or cm.shape[0] != cm.shape[1]:
        raise ValueError(f"expected a (K, K) confusion matrix, got shape {cm.shape}")
    if not cm.sum() > 0:
        raise ValueError("the confusion matrix is empty: there is nothing to score")
    return {name: float(statistic(cm)) for name, statistic in STATISTICS.items()} | {
        "recall": recall(cm).tolist(),
        "precision": precision(cm).tolist(),
        "f1": f1(cm).tolist(),
        "support": cm.sum(-1).tolist(),
    }


def row_shares(cm) -> np.ndarray:
    """Divide each row by its sum, (..., K, K) → (..., K, K); a row without clips stays 0."""
    cm = np.asarray(cm)
    return _ratio(cm, cm.sum(-1, keepdims=True))


def most_confusing_class(cm, names: Sequence[str]) -> str:
    """Name the class of which most clips are missed, the first of equals.

    It is the notebook's definition (section 11.2), a count, so a frequent class is at a disadvantage.

    Parameters
    ----------
    cm
        Shape (K, K), rows are the truth.
    names
        The K class names in the order of the matrix.

    Raises
    ------
    ValueError
        If the number of names is not K.
    """
    cm = np.asarray(cm)
    if cm.shape != (len(names), len(names)):
        raise ValueError(f"{len(names)} class names do not fit a confusion matrix of shape {cm.shape}")
    return names[int(np.argmax(cm.sum(-1) - _diagonal(cm)))]
