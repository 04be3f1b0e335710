"""Training by gradient: loss, optimizer, schedule and what is monitored."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from serflow.models.backup import resumable_stopping
from serflow.models.batches import dataset
from serflow.models.data import Features, Rows
from serflow.models.keras_run import layers_of
from serflow.runtime.errors import UserError


class Trained(NamedTuple):
    """The rows of ``history.csv``, and the epoch whose weights are kept, from 1."""

    rows: list[dict]
    best_epoch: int


def fit_by_gradient(
    network,
    data: Features,
    train: Rows,
    valid: Rows | None,
    *,
    settings: Mapping,
    seed: int,
    title: str,
    backup: Path,
    depends_on: list,
    targets: np.ndarray,
    epochs: int | None = None,
) -> Trained:
    """Train a network from where its backup ends, and set its weights to those that are kept.

    Parameters
    ----------
    network
        The network.
    data, train, valid
        Features, and the training and validation rows. Without the latter nothing is chosen: the weights after the last
        epoch are kept.
    settings
        Settings of the model; the schedule is that of its ``epochs``.
    seed
        Seed of the order of the rows and of all that is drawn for them.
    title
        What is trained, for messages.
    backup
        File of the backup, see :mod:`serflow.models.backup`.
    depends_on
        All that the training depends on.
    targets
        Shares of the classes that the training rows are trained on, float32 of shape (rows, classes).
    epochs
        Number of epochs, if the training ends before the schedule.

    Raises
    ------
    UserError
        If the loss becomes NaN.
    """
    classes, batch_size = network.output_shape[-1], settings["batch_size"]
    how = {"epochs": epochs or settings["epochs"], "validated": valid is not None}
    stopping = resumable_stopping(backup, depends_on, title, settings, **how)
    done = len(stopping.rows)
    if done:
        print(f"{title}: resumes after epoch {done}", flush=True)
    changed = {"shuffle_seed": seed, "epochs_done": done, "settings": settings, "targets": targets}
    batches = dataset(data, train, classes, batch_size, **changed)
    network.compile(
        optimizer=_optimizer(settings, len(batches)),
        loss="categorical_crossentropy",
        metrics=["accuracy", *([_uar(classes)] if settings["monitor"] == "uar" else [])],
    )
    network.fit(
        batches,
        validation_data=valid and dataset(data, valid, classes, batch_size),
        initial_epoch=done,
        epochs=done if stopping.finished else how["epochs"],
        shuffle=False,  # the dataset shuffles; Keras would use the random state of the process
        verbose=0,
        callbacks=stopping.callbacks,
    )
    if not stopping.complete(stopping.rows[-1]):
        backup.unlink(missing_ok=True)
        raise UserError(
            f"{title}: the loss became NaN in epoch {len(stopping.rows)}; lower the model's learning_rate "
            f"({settings['learning_rate']:g}) or look for broken features"
        )
    if settings["ema"]:
        measure_activations(network, dataset(data, train, classes, batch_size, shuffle_seed=seed))
    return Trained(stopping.rows, stopping.best_epoch + 1 if valid else len(stopping.rows))


def measure_activations(network, batches) -> None:
    """Set mean and variance of each batch normalisation to those of all batches with the weights that the network has.

    Those of the training are of the weights of its last steps, not of their moving average, on augmented clips. See
    Izmailov et al., "Averaging weights leads to wider optima and better generalization", UAI 2018, section 3.2.
    """
    import keras

    normalizations = [layer for layer in layers_of(network) if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in normalizations]
    for number in range(len(batches) if normalizations else 0):
        for layer in normalizations:
            layer.momentum = number / (number + 1)  # the mean of the batches so far
        network(batches[number][0], training=True)
    for layer, momentum in zip(normalizations, momenta, strict=True):
        layer.momentum = momentum


def _optimizer(settings: Mapping, steps: int):
    """Return the optimizer of a model's settings, for epochs of so many steps."""
    import keras

    rate, warmup = settings["learning_rate"], round(settings["warmup"] * steps)
    if warmup or settings["schedule"] == "cosine":
        # With alpha=1 the rate stays after the warm-up.
        alpha = 0.0 if settings["schedule"] == "cosine" else 1.0
        decay_steps, first = max(1, settings["epochs"] * steps - warmup), 0.0 if warmup else rate
        how = {"warmup_target": rate, "warmup_steps": warmup} if warmup else {}
        rate = keras.optimizers.schedules.CosineDecay(first, decay_steps, alpha, **how)
    how = {"global_clipnorm": settings["clip_norm"] or None}
    if settings["ema"]:
        how |= {"use_ema": True, "ema_momentum": settings["ema"]}
    if settings["optimizer"] == "adamw":
        optimizer = keras.optimizers.AdamW(rate, weight_decay=settings["weight_decay"], **how)
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        return optimizer
    return keras.optimizers.Adam(rate, **how)


def _uar(classes: int):
    """Return the unweighted average recall as a metric of Keras, by the greatest share of targets and predictions."""
    import keras
    from keras import ops

    class UAR(keras.metrics.Metric):
        def __init__(self):
            super().__init__(name="uar")
            how = {"shape": (classes,), "initializer": "zeros"}
            self.hits, self.support = (self.add_weight(name=name, **how) for name in ("hits", "support"))

        def update_state(self, targets, predictions, sample_weight=None):
            truth = ops.argmax(targets, axis=-1)
            correct = ops.cast(ops.equal(truth, ops.argmax(predictions, axis=-1)), "float32")[:, None]
            of_class = ops.one_hot(truth, classes)
            self.support.assign_add(ops.sum(of_class, axis=0))
            self.hits.assign_add(ops.sum(of_class * correct, axis=0))

        def result(self):
            recalls = self.hits / ops.maximum(self.support, 1)
            return ops.sum(recalls) / ops.maximum(ops.sum(ops.cast(self.support > 0, "float32")), 1)

    return UAR()
