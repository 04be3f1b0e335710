"""Differences between groups of speakers, their intervals, and how far groups differ by chance.

The figures of a group are its UAR, and the recall and the precision of each class. They are NaN where they are not
defined: the recall of a class without clips, the precision of a class that is never predicted, and a UAR without one
of the classes, since groups with different classes cannot be compared.
"""

import math

import numpy as np

from serflow.metrics.bootstrap import Interval, replicates, welch_half_width
from serflow.metrics.scores import precision, recall


def group_figures(matrices) -> np.ndarray:
    """Return UAR, recalls and precisions, (..., K, K) → (..., 1 + 2K), of confusion matrices of K classes."""
    matrices = np.asarray(matrices, float)
    recalls = np.where(matrices.sum(-1) > 0, recall(matrices), np.nan)
    precisions = np.where(matrices.sum(-2) > 0, precision(matrices), np.nan)
    return np.concatenate([recalls.mean(-1, keepdims=True), recalls, precisions], axis=-1)


def group_differences(inside, outside, resamples: int = 2000, seed: int = 0, level: float = 0.95) -> list[Interval]:
    """Return the differences of :func:`group_figures` between two groups, from resampling the speakers of each.

    The interval is ``difference ± t √(v₁ + v₂)``: v is the variance of the figure over the resamples of a group of A
    speakers, times A/(A-1), and t the quantile of Student's distribution with the degrees of freedom of Welch and
    Satterthwaite.

    Parameters
    ----------
    inside, outside
        Confusion matrices of the speakers of either group, shape (speakers, K, K).
    resamples, seed, level
        As in :func:`serflow.metrics.bootstrap.bootstrap_interval`.

    Returns
    -------
    list of Interval
        1 + 2K differences. ``value`` is NaN where a figure is not defined in one of the groups.

    References
    ----------
    Welch, "The generalization of 'Student's' problem when several different population variances are involved",
    Biometrika 34, 1947.
    """
    groups = [np.asarray(sums, float) for sums in (inside, outside)]
    values = np.subtract(*(group_figures(sums.sum(0)) for sums in groups))
    known = {"level": level, "speakers": sum(map(len, groups)), "resamples": resamples}
    degrees = np.array([len(sums) - 1 for sums in groups])
    if not degrees.all():
        reason = "one speaker: nothing to resample"
        return [Interval(float(value), None, None, **known, method=None, reason=reason) for value in values]
    # Different seeds: the groups are resampled independently of each other.
    found = [replicates(sums, group_figures, resamples, seed + number) for number, sums in enumerate(groups)]
    variances = np.array([each.var(axis=0) for each in found]) * ((degrees + 1) / degrees)[:, None]
    intervals = []
    for value, pair in zip(values, variances.T, strict=True):
        low = high = reason = None
        if not math.isfinite(value):
            reason = "the figure is not defined in one of the groups"
        elif not np.isfinite(pair).all():
            reason = "the figure is not defined in some resamples"
        else:
            half = welch_half_width(pair, degrees, level)
            low, high = (float(end) for end in np.clip([value - half, value + half], -1, 1))
        intervals.append(Interval(float(value), low, high, **known, method=None if reason else "t", reason=reason))
    return intervals


def chance_thresholds(sums, inside, outside, draws: int = 1000, seed: int = 0, level: float = 0.95) -> np.ndarray:
    """Return how far the figures of groups differ by chance, for a model that is equally good for all speakers.

    In each draw the speakers are shuffled, so that groups keep their sizes and speakers their predictions, and who is
    in which group says nothing. Each difference is divided by its standard deviation over the draws, and ``c`` is the
    quantile ``level`` of the greatest of them in a draw; the threshold of a difference is c times its standard
    deviation. So all thresholds hold together: a model that is equally good for all exceeds one or more of them in 5 %
    of corpora, not each of them.

    Parameters
    ----------
    sums
        Confusion matrices of all speakers, shape (A, K, K).
    inside, outside
        The two groups of each of C comparisons: whether each speaker is in them, bool of shape (C, A).
    draws, seed
        Number of draws, and the seed of their random numbers.
    level
        Share of the draws without any difference above its threshold.

    Returns
    -------
    numpy.ndarray
        float64 of shape (C, 1 + 2K), not negative; NaN where no draw has a figure.

    References
    ----------
    Westfall & Young, "Resampling-Based Multiple Testing", Wiley 1993 (the single-step maxT procedure).
    """
    sums, inside, outside = (np.asarray(values, float) for values in (sums, inside, outside))
    flat, shape = sums.reshape(len(sums), -1), (len(inside), *sums.shape[1:])
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(draws):
        shuffled = flat[rng.permutation(len(flat))]
        pair = (group_figures((members @ shuffled).reshape(shape)) for members in (inside, outside))
        drawn.append(np.abs(np.subtract(*pair)))
    drawn = np.array(drawn)
    defined = np.isfinite(drawn)
    counts, squares = defined.sum(axis=0), np.where(defined, drawn, 0) ** 2
    spread = np.sqrt(np.divide(squares.sum(axis=0), counts, out=np.full(counts.shape, np.nan), where=counts > 0))
    relative = np.divide(drawn, spread, out=np.zeros_like(drawn), where=defined & (spread > 0))
    return np.quantile(relative.max(axis=(1, 2)), level) * spread
