"""Batches of features and labels: plain ones, and those that a model trains on."""

from collections.abc import Mapping

import numpy as np

from serflow.corpus.copies import generator_of
from serflow.features.padding import padded
from serflow.models.augmentation import augment, mix
from serflow.models.data import Features, Rows
from serflow.models.gradient_settings import AUGMENTATION_RULES

# Clips of like length are looked for among those of this many batches, so that the batches differ in each epoch.
_BATCHES_SORTED = 16


def dataset(
    features: Features,
    rows: Rows,
    classes: int,
    batch_size: int,
    *,
    shuffle_seed: int | None = None,
    epochs_done: int = 0,
    settings: Mapping | None = None,
    targets: np.ndarray | None = None,
):
    """Return rows as batches, a ``keras.utils.PyDataset`` that reads only the rows of a batch at a time.

    Parameters
    ----------
    features, rows
        Features and labels.
    classes
        Number of emotions; labels are one-hot.
    batch_size
        Rows of a batch; the last may have fewer.
    shuffle_seed
        Seed of the order of the rows, which differs in each epoch, and of what ``settings`` draw. Clips with lengths
        of their own come in batches of like length. None: the given order.
    epochs_done
        Number of epochs to skip, for a training that is resumed.
    settings
        Settings of a model, of which ``label_smoothing``, ``mixup``, ``class_weight`` and the augmentation change the
        batches. Each number is drawn from (seed, clip, epoch). None: the batches are as they are.
    targets
        Shares of the classes to train on, float32 of shape (rows, classes). None: the labels.
    """
    import keras

    generator, own_length = np.random.default_rng(shuffle_seed), features.own_length
    if targets is None:
        targets = np.eye(classes, dtype=np.float32)[rows.labels]
    changes = settings and (settings["mixup"] or any(settings.get(name) for name in AUGMENTATION_RULES))
    weights = _class_weights(rows.labels, classes) if settings and settings["class_weight"] == "balanced" else None
    lengths = features.lengths(rows.places)

    class Batches(keras.utils.PyDataset):
        epoch, batches = -1, _cut(np.arange(len(rows.labels)), batch_size, own_length)

        def on_epoch_end(self):
            self.epoch += 1
            if shuffle_seed is not None:
                order = generator.permutation(len(rows.labels))
                self.batches = _cut(order, batch_size, own_length)
                if own_length:
                    self.batches = _of_like_length(order, lengths, batch_size, generator)

        def __len__(self):
            return len(self.batches)

        def __getitem__(self, index):
            chosen = self.batches[index]
            if changes:
                values, shares = _changed(features, rows, targets, chosen, settings, (shuffle_seed, self.epoch))
            else:
                values, shares = features.take(rows.places[chosen]), targets[chosen]
            if own_length and (values.shape[2] + index) % 2:
                # Keras takes a length that the first two batches have in common for that of all batches.
                values = np.pad(values, ((0, 0), (0, 0), (0, 1), (0, 0)), constant_values=np.nan)
            if settings and settings["label_smoothing"]:
                # Here and not in the loss, so that the validation loss stays the same measure.
                shares = shares * (1 - settings["label_smoothing"]) + np.float32(settings["label_smoothing"] / classes)
            return (values, shares) if weights is None else (values, shares, shares @ weights)

    batches = Batches()
    for _ in range(1 + epochs_done):
        batches.on_epoch_end()
    return batches


def _cut(order: np.ndarray, batch_size: int, own_length: bool) -> list[np.ndarray]:
    """Return an order of rows in batches; at least two of clips with lengths of their own, if there are two."""
    if own_length:
        batch_size = max(1, min(batch_size, len(order) // 2))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def _of_like_length(order: np.ndarray, lengths: np.ndarray, batch_size: int, generator) -> list[np.ndarray]:
    batches = []
    for group in _cut(order, batch_size * _BATCHES_SORTED, own_length=False):
        batches += _cut(group[np.argsort(lengths[group], kind="stable")], batch_size, own_length=True)
    return [batches[number] for number in generator.permutation(len(batches))]


def _changed(features, rows: Rows, targets, chosen, settings: Mapping, seed_and_epoch: tuple) -> tuple:
    """Return the augmented and mixed features of a batch, and its targets."""
    taken, clips, shares = features.take(rows.places[chosen]), [], []
    lengths = features.lengths(rows.places[chosen])
    generators = [generator_of(*seed_and_epoch, clip) for clip in rows.clips[chosen]]
    for row, random in enumerate(generators):
        values = taken[row, ..., 0]
        values = values if lengths is None else values[:, : lengths[row]]
        if "stretch" in settings:
            values = augment(values, settings, random, own_length=features.own_length)
        clips.append(values)
        shares.append(random.beta(settings["mixup"], settings["mixup"]) if settings["mixup"] else 1)
    if settings["mixup"]:
        # The order is random, so the clip before is any.
        clips = [mix(values, clips[row - 1], shares[row]) for row, values in enumerate(clips)]
    mixed = np.array(shares, np.float32)[:, None]
    targets = mixed * targets[chosen] + (1 - mixed) * targets[np.roll(chosen, 1)]
    return (padded(clips) if features.own_length else np.stack(clips))[..., None], targets


def _class_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """Return a weight of each class, float32 of shape (classes,), by which all classes of the rows count the same.

    As scikit-learn's ``class_weight="balanced"``; they are applied to targets that may be shares of several classes,
    of which Keras would count the greatest alone.
    """
    counts = np.bincount(labels, minlength=classes)
    return (len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))).astype(np.float32)
