"""Fitting a model of an architecture to the training clips of a fold, and to more clips with what was chosen then."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from serflow.corpus.ids import is_copy
from serflow.models.architectures import ARCHITECTURES
from serflow.models.batches import dataset
from serflow.models.data import Features, Rows, read_split
from serflow.models.enrolment import choose_shrinkage
from serflow.models.gradient import fit_by_gradient
from serflow.models.keras_run import prepare
from serflow.models.named import TRAINING
from serflow.models.standardize import LAYER, mean_and_sd, open_features, with_standardization
from serflow.models.targets import targets_of
from serflow.runtime.errors import UserError
from serflow.runtime.fingerprint import fingerprint
from serflow.runtime.plugins import Plugin
from serflow.storage import checksum, read_json


class Fitted(NamedTuple):
    """A fitted model.

    ``network`` is the model, ``rows`` are those of ``history.csv``, ``best_epoch`` is the epoch whose weights are kept,
    from 1, and ``chosen`` what was chosen on the validation clips by an architecture that is not trained by gradient.
    """

    network: object
    rows: list[dict]
    best_epoch: int
    seconds: float
    chosen: dict | None = None


@dataclass
class Training:
    """A model, the rows of a fold, and all that its training depends on; see :func:`open_training`."""

    model: str
    plugin: Plugin
    settings: dict
    classes: list[str]
    parts: dict[str, dict[str, list]]
    data: Features
    train: Rows
    valid: Rows
    seed: int
    title: str
    targets: np.ndarray | None
    depends_on: list

    @property
    def by_gradient(self) -> bool:
        """Whether Keras trains the model."""
        return "fit" not in self.plugin.functions

    @property
    def both(self) -> Rows:
        """The training and validation rows."""
        return Rows(*(np.concatenate(pair) for pair in zip(self.train, self.valid, strict=True)))

    def build(self, rows: Rows):
        """Return a new model, and the same behind the standardisation by some rows if its settings ask for it."""
        inner = _build(self.plugin, self.model, self.data.shape, len(self.classes), self.settings)
        if self.settings["standardize"] != TRAINING:
            return inner, inner
        return inner, with_standardization(inner, self.data.shape, *mean_and_sd(self.data, rows.places))

    def fit(self, built: tuple, backup: Path, epochs: int | None = None) -> Fitted:
        """Fit a model to the training rows and choose on the validation rows.

        Parameters
        ----------
        built
            What :meth:`build` returned for the training rows.
        backup
            File of the backup of a training by gradient, see :mod:`serflow.models.backup`.
        epochs
            Number of epochs, if a training by gradient is to end before its schedule.
        """
        inner, network = built
        if self.by_gradient:
            targets = self.targets[: len(self.train.labels)]
            trained = fit_by_gradient(
                network,
                self.data,
                self.train,
                self.valid,
                settings=self.settings,
                seed=self.seed,
                title=self.title,
                backup=backup,
                depends_on=self.depends_on,
                targets=targets,
                epochs=epochs,
            )
            seconds = sum(row["seconds"] for row in trained.rows)
            return Fitted(network, trained.rows, trained.best_epoch, seconds, None)
        started, settings = time.perf_counter(), self.settings
        arrays = (_arrays(network, self.data, rows) for rows in (self.train, self.valid))
        chosen = self.plugin.load().fit(inner, *arrays, settings, self.seed) or {}
        if settings["standardize"] == "speaker":
            plain, recordings = self.data.original, [clip for clip in self.parts["train"]["clip"] if not is_copy(clip)]
            moments = mean_and_sd(plain, plain.places(recordings))
            chosen["shrinkage"] = choose_shrinkage(network, plain, self.parts["valid"], self.valid.labels, moments)
        rows = [_scores(network, self.data, self.train, self.valid)]
        rows[0]["seconds"] = seconds = time.perf_counter() - started
        return Fitted(network, rows, 1, seconds, chosen)

    def refit(self, before: Fitted, backup: Path) -> Fitted:
        """Fit a new model to training and validation rows together, with what was chosen before."""
        import keras

        keras.utils.set_random_seed(self.seed)  # so that it does not matter where the training before was resumed
        inner, network = self.build(self.both)
        started = time.perf_counter()
        if not self.by_gradient:
            arrays = _arrays(network, self.data, self.both)
            self.plugin.load().refit(inner, arrays, before.chosen, self.settings, self.seed)
            seconds = before.seconds + time.perf_counter() - started
            return before._replace(network=network, rows=[before.rows[0] | {"seconds": seconds}], seconds=seconds)
        # As many epochs, so more steps than before: with as many steps resnet_asp reached 46 % UAR in place of 53.
        trained = fit_by_gradient(
            network,
            self.data,
            self.both,
            None,
            settings=self.settings,
            seed=self.seed,
            title=f"{self.title} refit",
            backup=backup,
            depends_on=self.depends_on,
            targets=self.targets,
            epochs=before.best_epoch,
        )
        seconds = before.seconds + sum(row["seconds"] for row in trained.rows)
        return before._replace(network=network, seconds=seconds)


def open_training(
    model: str,
    architecture: str,
    split: Path,
    features: Sequence[Path],
    *,
    indices: Sequence[Path],
    encoder: Path | None,
    clips: Path | None,
    fold: int,
    seed: int,
    settings: Mapping,
    threads: int,
) -> Training:
    """Start Keras and read what a training of a model on one fold needs; parameters are those of ``train_model``.

    Raises
    ------
    UserError
        If the training clips have one label only, or features or votes are missing.
    """
    prepare(seed, threads)
    plugin = ARCHITECTURES.find(architecture, "--architecture")
    classes, parts = read_split(split, fold, settings["copies"])
    if len(labels := set(parts["train"]["label"])) < 2:
        raise UserError(f"{split}: fold {fold} has clips of {labels.pop()} only to train on; a model needs two labels")
    data = open_features(architecture, features, indices, settings)
    if encoder is not None:
        described = read_json(encoder)
        settings = {**settings, "encoder_layers": described["layers"], "encoder_blocks": described["blocks"]}
    train, valid = (data.rows(parts[name]["clip"], parts[name]["label"], classes) for name in ("train", "valid"))
    title, targets, depends_on = f"{model} seed {seed} fold {fold}", None, []
    if "fit" not in plugin.functions:
        depends_on = [fingerprint("serflow.models.fitting", plugin.module), title, threads, dict(settings)]
        depends_on += [checksum(path) for path in (split, *features, *indices, *([clips] if clips else []))]
        origins = [*parts["train"]["origin"], *parts["valid"]["origin"]]
        labels = np.concatenate([train.labels, valid.labels])
        targets = targets_of(settings["targets"], clips, origins, labels, classes)
    return Training(model, plugin, dict(settings), classes, parts, data, train, valid, seed, title, targets, depends_on)


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
    found, wanted = (network.input_shape, network.output_shape), ((None, *input_shape), (None, classes))
    if found != wanted:
        raise UserError(
            f"models.{model}: build returns a model from {found[0]} to {found[1]}, but must return one from "
            f"{wanted[0]} to {wanted[1]}"
        )
    return network


def _arrays(network, data, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return standardised features, shape (n, features), and class codes of rows."""
    import keras

    values = data.take(rows.places)
    for layer in network.layers:
        if layer.name == LAYER:
            values = keras.ops.convert_to_numpy(layer(values))
    return values[..., 0], rows.labels


def _scores(network, data: Features, train: Rows, valid: Rows) -> dict:
    """Return the row of ``history.csv`` of a model that is fitted in one step."""
    row, classes = {"epoch": 1}, network.output_shape[-1]
    for prefix, part in (("", train), ("val_", valid)):
        probabilities = network.predict(dataset(data, part, classes, 64), verbose=0)
        of_truth = probabilities[np.arange(len(part.labels)), part.labels]
        row[f"{prefix}loss"] = float(-np.log(np.maximum(of_truth, np.finfo(np.float32).tiny)).mean())
        row[f"{prefix}accuracy"] = float((probabilities.argmax(axis=1) == part.labels).mean())
    return row
