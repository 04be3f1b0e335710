"""Standardisation by the training rows, as the first layer of a model, so that the model file is complete."""

import re

import numpy as np

from serflow.models.data import Features

LAYER = "standardization"
_BATCH = 256


def mean_and_sd(features: Features, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of features along their first axis.

    Parameters
    ----------
    features
        Of shape (n, …): bands of a spectrogram, or named columns. Columns of one feature in several frames,
        ``{feature}_{frame}``, share one mean: a frame late in the clip is padding in most rows, and a value that is
        almost constant in training must not become huge in testing.
    places
        The training rows, shape (rows, 2).

    Returns
    -------
    mean, sd : ndarray
        float32 of shape (n,); ``sd`` is 1 where a feature is constant.
    """
    columns = features.columns or [str(index) for index in range(features.shape[0])]
    groups = np.unique([re.sub(r"_\d+$", "", name) for name in columns], return_inverse=True)[1]
    sums, squares, size = np.zeros(len(columns)), np.zeros(len(columns)), 0
    for start in range(0, len(places), _BATCH):
        taken = features.take(places[start : start + _BATCH]).astype(np.float64)
        values = np.moveaxis(taken, 1, 0).reshape(len(columns), -1)
        sums += values.sum(axis=1)
        squares += np.square(values).sum(axis=1)
        size += values.shape[1]
    counts = np.bincount(groups) * size
    mean = np.bincount(groups, sums) / counts
    variance = np.bincount(groups, squares) / counts - mean**2
    # The variance of a constant is not exactly 0, because of rounding.
    constant = variance <= 1e-10 * np.maximum(mean**2, np.finfo(float).tiny)
    sd = np.where(constant, 1, np.sqrt(np.maximum(variance, 0)))
    return mean[groups].astype(np.float32), sd[groups].astype(np.float32)


def with_standardization(network, input_shape: tuple[int, ...], mean: np.ndarray, sd: np.ndarray):
    """Return a model that first subtracts ``mean`` and divides by ``sd``, both of shape (n,)."""
    import keras

    layer = keras.layers.Normalization(axis=1, mean=mean, variance=np.square(sd), name=LAYER)
    return behind(layer, network, input_shape)


def behind(layer, network, input_shape: tuple[int, ...]):
    """Return a functional model of a layer and a model of any kind behind it, its last layer, with its weights."""
    import keras

    inputs = keras.Input(input_shape)
    return keras.Model(inputs, network(layer(inputs)))
