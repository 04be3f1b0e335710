"""Standardisation of features.

By the training rows it is the first layer of a model, so that the model file is complete. By speaker or corpus it uses
all recordings of a speaker or corpus, without their labels and also those of the test, before the model sees them.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from serflow.corpus.ids import is_copy
from serflow.features import KINDS
from serflow.models.architectures import ARCHITECTURES
from serflow.models.data import Features
from serflow.models.moments import Moments, moments_of
from serflow.models.named import GROUPS, features_of

LAYER = "standardization"
_BATCH = 256


class GroupStandardized:
    """Features less the mean of their group and divided by its standard deviation, otherwise like ``Features``.

    Parameters
    ----------
    features
        The features.
    group_of
        Returns the group of a clip or copy, by its name. Mean and standard deviation are those of the recordings of
        the group; copies do not count.

    Attributes
    ----------
    original : Features
        The features as they were.
    """

    def __init__(self, features: Features, group_of: Callable[[str], str]):
        self.original, self.shape, self.columns = features, features.shape, features.columns
        self.rows, self.places = features.rows, features.places
        self.own_length, self.lengths = features.own_length, features.lengths
        members: dict[str, list[str]] = {}
        for clip in features.clips:
            members.setdefault(group_of(clip), []).append(clip)
        self._codes = [np.zeros(len(array), np.intp) for array in features.arrays]
        moments = []
        for code, clips in enumerate(members.values()):
            for shard, row in features.places(clips):
                self._codes[shard][row] = code
            recordings = [clip for clip in clips if not is_copy(clip)]
            moments.append(mean_and_sd(features, features.places(recordings)))
        behind_first = (..., *[None] * (len(self.shape) - 1))
        self._mean, self._sd = (np.stack(values)[behind_first] for values in zip(*moments, strict=True))

    def take(self, places: np.ndarray) -> np.ndarray:
        """Read features: places of shape (n, 2) give float32 of shape (n, *shape)."""
        codes = [self._codes[shard][row] for shard, row in places]
        return (self.original.take(places) - self._mean[codes]) / self._sd[codes]


def plain_features(architecture: str, features: Sequence[Path], indices: Sequence[Path], settings: Mapping) -> Features:
    """Return the features that a model with some settings reads, as they are."""
    kind = KINDS[features_of(ARCHITECTURES[architecture], settings)]
    return Features(features, indices, flat=not kind.time, own_length=kind.own_length)


def open_features(
    architecture: str, features: Sequence[Path], indices: Sequence[Path], settings: Mapping
) -> Features | GroupStandardized:
    """Return the features that a model reads, standardised by speaker or corpus if its settings say so."""
    data = plain_features(architecture, features, indices, settings)
    group_of = GROUPS.get(settings["standardize"])
    return GroupStandardized(data, group_of) if group_of else data


def mean_and_sd(features: Features, places: np.ndarray) -> Moments:
    """Return mean and standard deviation of rows of features; ``sd`` is 1 where a feature is constant.

    ``places`` are the rows, shape (rows, 2); :func:`serflow.models.moments.moments_of` says what shares a mean.
    """
    batches = (features.take(places[start : start + _BATCH]) for start in range(0, len(places), _BATCH))
    mean, sd = moments_of(batches, features.columns)
    return Moments(mean, np.where(sd > 0, sd, np.float32(1)))


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
