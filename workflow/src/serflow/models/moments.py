"""Mean and standard deviation of features: of training clips, a corpus, or a speaker of whom some clips are known."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np


class Moments(NamedTuple):
    """Mean and standard deviation along the first axis of features, float32 (n,); ``sd`` is 0 for a constant."""

    mean: np.ndarray
    sd: np.ndarray

    def standardize(self, values: np.ndarray) -> np.ndarray:
        """Return features, shape (clips, n, …), less the mean and divided by the standard deviation if not 0."""
        shape = (-1, *[1] * (values.ndim - 2))
        return (values - self.mean.reshape(shape)) / np.where(self.sd > 0, self.sd, np.float32(1)).reshape(shape)


def moments_of(batches: Iterable[np.ndarray], columns: Sequence[str] | None = None) -> Moments:
    """Return mean and standard deviation of features.

    Parameters
    ----------
    batches
        Arrays of shape (clips, n, …): bands of a spectrogram, named columns, or values of an embedding. What is NaN is
        behind the end of a clip and does not count.
    columns
        Names of the columns. Those of one feature in several frames, ``{feature}_{frame}``, share one mean: a frame
        late in the clip is padding in most rows, and a value that is almost constant in training must not become huge
        in testing.
    """
    sums = squares = size = 0
    for batch in batches:
        values = np.moveaxis(batch.astype(np.float64), 1, 0).reshape(batch.shape[1], -1)
        behind_end = np.isnan(values[0])
        if behind_end.any():
            values = values[:, ~behind_end]
        sums, squares = sums + values.sum(axis=1), squares + np.square(values).sum(axis=1)
        size += values.shape[1]
    if columns is None:
        groups = np.arange(len(sums))
    else:
        groups = np.unique([re.sub(r"_\d+$", "", name) for name in columns], return_inverse=True)[1]
    counts = np.bincount(groups) * size
    mean = np.bincount(groups, sums) / counts
    variance = np.bincount(groups, squares) / counts - mean**2
    # The variance of a constant is not exactly 0, because of rounding.
    constant = variance <= 1e-10 * np.maximum(mean**2, np.finfo(float).tiny)
    sd = np.where(constant, 0, np.sqrt(np.maximum(variance, 0)))
    return Moments(mean[groups].astype(np.float32), sd[groups].astype(np.float32))


def shrink(known: Moments, count: int, training: Moments, shrinkage: float) -> Moments:
    """Return mean and standard deviation of a speaker of whom some clips are known.

    Parameters
    ----------
    known
        Those of the known clips.
    count
        Number N of known clips, at least 1.
    training
        Those of the training clips.
    shrinkage
        The weight of the known clips is N / (N + shrinkage), that of the training clips the rest.
    """
    weight = np.float32(count / (count + shrinkage))
    return Moments(*(weight * own + (1 - weight) * other for own, other in zip(known, training, strict=True)))
