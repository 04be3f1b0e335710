"""Training one model on one fold of one protocol."""

import csv
import io
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from serflow.models.backup import Backup, backup_path, training_key
from serflow.models.data import Features, Rows, read_split
from serflow.models.keras_run import dataset, prepare
from serflow.models.registry import known_model
from serflow.models.standardize import mean_and_sd, with_standardization
from serflow.runtime.errors import UserError
from serflow.storage import write_archive, write_json, write_text


def train_model(
    model: str,
    split: Path,
    features: Sequence[Path],
    *,
    fold: int,
    seed: int,
    settings: Mapping,
    standardize: bool,
    threads: int,
    output: Path,
    history: Path,
    summary: Path,
    training: Path,
) -> None:
    """Train a model and write it with its history.

    Parameters
    ----------
    model
        A name in :data:`serflow.models.registry.MODELS`.
    split
        The protocol's split table.
    features
        Feature files of all shards.
    fold, seed
        Which fold; seed of the weights, the dropout and the order of the rows.
    settings
        The model's section of the configuration.
    standardize
        Whether the model begins with a layer that standardises the features by mean and standard deviation of
        the training rows. One that is not trained by gradient always does.
    threads
        Threads of TensorFlow.
    output, history, summary, training
        ``model.keras`` with the weights of the best epoch, ``history.csv`` with a row per epoch,
        ``model.txt`` with the layers, ``training.json`` with parameters, epochs and seconds.

    Raises
    ------
    UserError
        If the input is too small for the model, or the loss stops being a number.

    Notes
    -----
    A training by gradient that was interrupted goes on after its last whole epoch, with the same result.
    """
    keras = prepare(seed, threads)
    architecture = known_model(model, "--model")
    classes, parts = read_split(split, fold)
    data = Features(features)
    train = data.rows(*parts["train"], classes)
    valid = data.rows(*parts["valid"], classes)
    try:
        network = architecture.build(data.shape, len(classes), settings)
    except ValueError as error:
        raise UserError(f"models.{model}: does not fit features of shape {data.shape}: {error}") from error
    if standardize or not architecture.by_gradient:
        mean, sd = mean_and_sd(data, train.places)
        network = with_standardization(keras, network, mean, sd)
    os.environ["COLUMNS"] = "100"  # or else the table is cut at the width of a terminal that may not be there
    lines: list[str] = []
    network.summary(print_fn=lambda line, **_: lines.append(line), line_length=98)
    write_text(summary, "\n".join(lines) + "\n")

    title = f"{model} seed {seed} fold {fold}"
    started = time.perf_counter()
    backup = None
    if architecture.by_gradient:
        decisive = {"model": model, "fold": fold, "seed": seed, "settings": dict(settings)}
        decisive |= {"standardize": standardize, "threads": threads}
        backup = Backup(backup_path(output), training_key(architecture.module, [split, *features], decisive))
        started -= sum(row["seconds"] for row in backup.rows)
        rows, best_epoch = _descend(keras, network, data, train, valid, settings, seed, title, backup)
    else:
        standard = [((data.take(part.places)[..., 0] - mean) / sd, part.labels) for part in (train, valid)]
        architecture.fit(network, *standard, settings, seed)
        rows, best_epoch = [_measured(network, data, train, valid)], 1
        rows[0]["seconds"] = time.perf_counter() - started
    seconds = time.perf_counter() - started
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(history, text.getvalue())
    write_json(
        training,
        {
            "model": model,
            "classes": classes,
            "input_shape": list(data.shape),
            "parameters": network.count_params(),
            "epochs": len(rows),
            "best_epoch": best_epoch,
            "seconds": seconds,
            "layers": [
                {
                    "name": layer.name,
                    "type": type(layer).__name__,
                    "output_shape": list(layer.output.shape[1:]),
                    "parameters": layer.count_params(),
                }
                for layer in network.layers
            ],
        },
    )
    write_archive(output, network.save)
    if backup:
        backup.remove()


def _descend(keras, network, data, train, valid, settings, seed, title, backup) -> tuple[list[dict], int]:
    """Train by gradient, with early stopping; give the row of each epoch and which epoch's weights were kept."""
    network.compile(
        optimizer=keras.optimizers.Adam(settings["learning_rate"]),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
    )
    stopping = keras.callbacks.EarlyStopping(
        monitor="val_loss",
        min_delta=settings["min_delta"],
        patience=settings["patience"],
        restore_best_weights=True,
    )
    progress = _progress(keras, title, settings["epochs"])
    classes, done = network.output_shape[-1], len(backup.rows)
    if done:
        print(f"{title}: goes on after epoch {done}", flush=True)
    nan = keras.callbacks.TerminateOnNaN(raise_error=False)
    network.fit(
        dataset(data, train, classes, settings["batch_size"], shuffle_seed=seed, epochs_done=done),
        validation_data=dataset(data, valid, classes, settings["batch_size"]),
        initial_epoch=done,
        epochs=done if backup.finished else settings["epochs"],
        shuffle=False,  # the rows are, already; Keras would draw from the random state of the process
        verbose=0,
        callbacks=[stopping, nan, progress, backup.callback(keras, stopping, progress)],
    )
    epochs, last = len(progress.rows), progress.rows[-1]
    if "val_loss" not in last or not math.isfinite(last["loss"]):
        backup.remove()
        raise UserError(
            f"{title}: the loss became NaN in epoch {epochs}; lower the model's learning_rate "
            f"({settings['learning_rate']:g}) or look for broken features"
        )
    return progress.rows, (stopping.best_epoch if stopping.best_epoch is not None else epochs - 1) + 1


def _measured(network, data: Features, train: Rows, valid: Rows) -> dict:
    """Give the row of ``history.csv`` of a model that is fitted in one go."""
    row, classes = {"epoch": 1}, network.output_shape[-1]
    for prefix, part in (("", train), ("val_", valid)):
        probabilities = network.predict(dataset(data, part, classes, 64), verbose=0)
        of_truth = probabilities[np.arange(len(part.labels)), part.labels]
        row[f"{prefix}loss"] = float(-np.log(np.maximum(of_truth, np.finfo(np.float32).tiny)).mean())
        row[f"{prefix}accuracy"] = float((probabilities.argmax(axis=1) == part.labels).mean())
    return row


def _progress(keras, title: str, total: int):
    """Make a callback that keeps and prints a line per epoch, with its seconds."""

    class Progress(keras.callbacks.Callback):
        rows: list[dict]

        def on_train_begin(self, logs=None):
            self.rows = []

        def on_epoch_begin(self, epoch, logs=None):
            self.began = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            measures = {key: float(value) for key, value in (logs or {}).items()}
            self.rows.append({"epoch": epoch + 1, **measures, "seconds": time.perf_counter() - self.began})
            text = " - ".join(f"{key}: {value:.4f}" for key, value in measures.items())
            print(f"{title}: epoch {epoch + 1}/{total} - {text}", flush=True)

    return Progress()
