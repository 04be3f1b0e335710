"""Training one model on one fold of one protocol."""

import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from serflow.models.architectures import ARCHITECTURES
from serflow.models.backup import Backup, backup_path, training_key
from serflow.models.data import Features, Rows, read_split
from serflow.models.keras_run import dataset, prepare
from serflow.models.standardize import mean_and_sd, with_standardization
from serflow.runtime.errors import UserError
from serflow.runtime.plugins import Plugin
from serflow.storage import write_archive, write_json, write_text


def train_model(
    model: str,
    architecture: str,
    split: Path,
    features: Sequence[Path],
    *,
    indices: Sequence[Path],
    fold: int,
    seed: int,
    settings: Mapping,
    threads: int,
    output: Path,
    history: Path,
    summary: Path,
    training: Path,
) -> None:
    """Train a model on one fold of a protocol.

    Parameters
    ----------
    model
        Name of the model.
    architecture
        Name of its architecture.
    split
        Split table of the protocol.
    features
        Feature shards.
    indices
        Index tables of the feature shards, in the same order, where these are ``.npy`` arrays.
    fold
        Number of the fold.
    seed
        Seed of the weights, the dropout and the order of the rows.
    settings
        All settings of the model.
    threads
        Number of threads of TensorFlow.
    output
        ``model.keras``, with the weights of the best epoch.
    history
        ``history.csv``, with a row per epoch.
    summary
        ``model.txt``, the layers as Keras prints them.
    training
        ``training.json``: layers, number of parameters, epochs and seconds.

    Raises
    ------
    UserError
        If the architecture does not fit the features, or the loss becomes NaN.

    Notes
    -----
    An interrupted training by gradient resumes after its last complete epoch, with the same result.
    """
    keras = prepare(seed, threads)
    plugin = ARCHITECTURES.find(architecture, "--architecture")
    by_gradient = "fit" not in plugin.functions
    classes, parts = read_split(split, fold)
    data = Features(features, indices)
    train, valid = (data.rows(parts[name].clips, parts[name].labels, classes) for name in ("train", "valid"))
    network = inner = _build(plugin, model, data.shape, len(classes), settings)
    if not by_gradient or settings["standardize"] == "training":
        mean, sd = mean_and_sd(data, train.places)
        network = with_standardization(inner, data.shape, mean, sd)
    os.environ["COLUMNS"] = "100"  # else the table is cut at the width of the terminal, if there is one
    lines: list[str] = []
    network.summary(print_fn=lambda line, **_: lines.append(line), line_length=98, expand_nested=True)
    write_text(summary, "\n".join(lines) + "\n")

    title = f"{model} seed {seed} fold {fold}"
    started = time.perf_counter()
    backup = None
    if by_gradient:
        arguments = {"model": model, "fold": fold, "seed": seed, "threads": threads, "settings": dict(settings)}
        key = training_key(plugin.module, [split, *features, *indices], arguments)
        backup = Backup(backup_path(output), key)
        started -= sum(row["seconds"] for row in backup.rows)
        epochs, best_epoch = _fit(keras, network, data, train, valid, settings, seed, title, backup)
    else:
        standardized = [((data.take(part.places)[..., 0] - mean) / sd, part.labels) for part in (train, valid)]
        plugin.load().fit(inner, *standardized, settings, seed)
        epochs, best_epoch = [_scores(network, data, train, valid)], 1
        epochs[0]["seconds"] = time.perf_counter() - started
    seconds = time.perf_counter() - started
    table = [epochs[0].keys(), *(epoch.values() for epoch in epochs)]
    write_text(history, "".join(",".join(map(str, row)) + "\n" for row in table))
    write_json(
        training,
        {
            "model": model,
            "architecture": architecture,
            "classes": classes,
            "input_shape": list(data.shape),
            "parameters": network.count_params(),
            "epochs": len(epochs),
            "best_epoch": best_epoch,
            "seconds": seconds,
            "layers": list(_layers(keras, network)),
        },
    )
    write_archive(output, network.save)
    if backup:
        backup.remove()


def _build(plugin: Plugin, model: str, input_shape: tuple[int, ...], classes: int, settings: Mapping):
    """Build a model, which must map ``input_shape`` to probabilities of the classes."""
    import keras

    try:
        network = plugin.load().build(input_shape, classes, settings)
        if isinstance(network, keras.Model) and not getattr(network, "inputs", None):
            # A subclass of Model knows its shapes only as part of a functional model.
            inputs = keras.Input(input_shape)
            network = keras.Model(inputs, network(inputs))
    except ValueError as error:
        raise UserError(f"models.{model}: does not fit features of shape {input_shape}: {error}") from error
    if not isinstance(network, keras.Model):
        raise UserError(f"models.{model}: build returns a {type(network).__name__}, but must return a keras.Model")
    if (network.input_shape, network.output_shape) != ((None, *input_shape), (None, classes)):
        raise UserError(
            f"models.{model}: build returns a model from {network.input_shape} to {network.output_shape}, but must "
            f"return one from {(None, *input_shape)} to {(None, classes)}"
        )
    return network


def _layers(keras, network) -> Iterator[dict]:
    """Yield what ``training.json`` says of each layer; the layers of models inside a model stand in their place."""
    for layer in network.layers:
        if isinstance(layer, keras.Model) and layer.layers:
            yield from _layers(keras, layer)
        elif not isinstance(layer, keras.layers.InputLayer):
            try:
                shape = list(layer.output.shape[1:])
            except (AttributeError, ValueError):  # several outputs, used more than once, or inside a subclass of Model
                shape = []
            kind, parameters = type(layer).__name__, layer.count_params()
            yield {"name": layer.name, "type": kind, "output_shape": shape, "parameters": parameters}


def _fit(keras, network, data, train, valid, settings, seed, title, backup) -> tuple[list[dict], int]:
    """Train by gradient with early stopping; return a row per epoch, and the epoch whose weights were kept."""
    network.compile(
        optimizer=keras.optimizers.Adam(settings["learning_rate"]),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
    )
    stopping = keras.callbacks.EarlyStopping(
        patience=settings["patience"], min_delta=settings["min_delta"], restore_best_weights=True
    )
    nan = keras.callbacks.TerminateOnNaN(raise_error=False)
    classes, done = network.output_shape[-1], len(backup.rows)
    if done:
        print(f"{title}: resumes after epoch {done}", flush=True)
    network.fit(
        dataset(data, train, classes, settings["batch_size"], shuffle_seed=seed, epochs_done=done),
        validation_data=dataset(data, valid, classes, settings["batch_size"]),
        initial_epoch=done,
        epochs=done if backup.finished else settings["epochs"],
        shuffle=False,  # the dataset shuffles; Keras would use the random state of the process
        verbose=0,
        callbacks=[stopping, nan, backup.callback(keras, stopping, title, settings["epochs"])],
    )
    epochs, last = len(backup.rows), backup.rows[-1]
    if "val_loss" not in last or not math.isfinite(last["loss"]):
        backup.remove()
        raise UserError(
            f"{title}: the loss became NaN in epoch {epochs}; lower the model's learning_rate "
            f"({settings['learning_rate']:g}) or look for broken features"
        )
    return backup.rows, (stopping.best_epoch if stopping.best_epoch is not None else epochs - 1) + 1


def _scores(network, data: Features, train: Rows, valid: Rows) -> dict:
    """Return the row of ``history.csv`` of a model that is fitted in one step."""
    row, classes = {"epoch": 1}, network.output_shape[-1]
    for prefix, part in (("", train), ("val_", valid)):
        probabilities = network.predict(dataset(data, part, classes, 64), verbose=0)
        of_truth = probabilities[np.arange(len(part.labels)), part.labels]
        row[f"{prefix}loss"] = float(-np.log(np.maximum(of_truth, np.finfo(np.float32).tiny)).mean())
        row[f"{prefix}accuracy"] = float((probabilities.argmax(axis=1) == part.labels).mean())
    return row
