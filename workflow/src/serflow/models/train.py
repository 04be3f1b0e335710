"""Training one model on one fold of one protocol."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from serflow.corpus.ids import is_copy
from serflow.models.architectures import ARCHITECTURES
from serflow.models.backup import backup_path
from serflow.models.batches import dataset
from serflow.models.data import Features, Rows, read_split
from serflow.models.enrolment import choose_shrinkage
from serflow.models.gradient import fit_by_gradient
from serflow.models.keras_run import prepare, save_model
from serflow.models.named import TRAINING
from serflow.models.predict import probability_table
from serflow.models.standardize import LAYER, mean_and_sd, open_features, with_standardization
from serflow.models.targets import targets_of
from serflow.runtime.errors import UserError
from serflow.runtime.fingerprint import fingerprint
from serflow.runtime.plugins import Plugin
from serflow.storage import checksum, read_json, write_json, write_table, write_text


def train_model(
    model: str,
    architecture: str,
    split: Path,
    features: Sequence[Path],
    *,
    indices: Sequence[Path],
    encoder: Path | None = None,
    clips: Path | None = None,
    fold: int,
    seed: int,
    settings: Mapping,
    threads: int,
    output: Path,
    history: Path,
    summary: Path,
    training: Path,
    before_refit: Path,
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
    encoder
        Description of the encoder, for models that read embeddings.
    clips
        The catalogue with the listeners' votes, for models that are trained on these.
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
        ``training.json``: layers, number of parameters, epochs, seconds, and what was chosen on the validation clips.
    before_refit
        Probabilities for the validation and test clips of the model before it was fitted again on training and
        validation clips together, as :func:`serflow.models.predict.predict_test` writes them; no rows without a refit.

    Raises
    ------
    UserError
        If the training clips have one label only, the architecture does not fit the features, or the loss becomes NaN.

    Notes
    -----
    An interrupted training by gradient resumes after its last complete epoch, with the same result.
    """
    keras = prepare(seed, threads)
    plugin = ARCHITECTURES.find(architecture, "--architecture")
    by_gradient = "fit" not in plugin.functions
    classes, parts = read_split(split, fold, settings["copies"])
    if len(labels := set(parts["train"]["label"])) < 2:
        raise UserError(f"{split}: fold {fold} has clips of {labels.pop()} alone to train on; a model needs two labels")
    data = open_features(architecture, features, indices, settings)
    if encoder is not None:
        described = read_json(encoder)
        settings = {**settings, "encoder_layers": described["layers"], "encoder_blocks": described["blocks"]}
    train, valid = (data.rows(parts[name]["clip"], parts[name]["label"], classes) for name in ("train", "valid"))
    inner = _build(plugin, model, data.shape, len(classes), settings)
    network = _standardized(inner, data, train, settings)
    os.environ["COLUMNS"] = "100"  # else the table is cut at the width of the terminal, if there is one
    lines: list[str] = []
    network.summary(print_fn=lambda line, **_: lines.append(line), line_length=98, expand_nested=True)
    write_text(summary, "\n".join(lines) + "\n")

    backup = backup_path(output)
    backup_of_refit = backup_path(output.with_stem("refit"))
    chosen, fitted, earlier = None, network, {}
    both = Rows(*(np.concatenate(pair) for pair in zip(train, valid, strict=True)))
    if by_gradient:
        title = f"{model} seed {seed} fold {fold}"
        depends_on = [fingerprint("serflow.models.train", plugin.module), title, threads, settings]
        depends_on += [checksum(path) for path in (split, *features, *indices, *([clips] if clips else []))]
        origins = [*parts["train"]["origin"], *parts["valid"]["origin"]]
        targets = targets_of(settings["targets"], clips, origins, both.labels, classes)
        how = {"settings": settings, "seed": seed, "depends_on": depends_on}
        epochs, best_epoch, steps = fit_by_gradient(
            network, data, train, valid, **how, targets=targets[: len(train.labels)], title=title, backup=backup
        )
        seconds = sum(row["seconds"] for row in epochs)
        if settings["refit"]:
            keras.utils.set_random_seed(seed)  # so that it does not matter where the training before was resumed
            inner = _build(plugin, model, data.shape, len(classes), settings)
            network, fitted = _standardized(inner, data, both, settings), network
            # Each epoch has as many steps as before, on a part of both that differs, so that the schedule is the same.
            how |= {
                "targets": targets,
                "epochs": best_epoch,
                "steps": steps,
                "title": f"{title} refit",
                "backup": backup_of_refit,
            }
            seconds += sum(row["seconds"] for row in fit_by_gradient(network, data, both, None, **how).rows)
    else:
        started = time.perf_counter()
        chosen = (
            plugin.load().fit(inner, _arrays(network, data, train), _arrays(network, data, valid), settings, seed) or {}
        )
        if settings["standardize"] == "speaker":
            plain, recordings = data.original, [clip for clip in parts["train"]["clip"] if not is_copy(clip)]
            moments = mean_and_sd(plain, plain.places(recordings))
            chosen["shrinkage"] = choose_shrinkage(network, plain, parts["valid"], valid.labels, moments)
        epochs, best_epoch = [_scores(network, data, train, valid)], 1
        if settings.get("refit"):
            inner = _build(plugin, model, data.shape, len(classes), settings)
            network, fitted = _standardized(inner, data, both, settings), network
            plugin.load().refit(inner, _arrays(network, data, both), chosen, settings, seed)
        epochs[0]["seconds"] = seconds = time.perf_counter() - started
    if settings.get("refit"):
        earlier = {part: parts[part] for part in ("valid", "test")}
    write_table(before_refit, probability_table(fitted, data, earlier, classes))
    table = [epochs[0].keys(), *(epoch.values() for epoch in epochs)]
    write_text(history, "".join(",".join(map(str, row)) + "\n" for row in table))
    about = {
        "model": model,
        "architecture": architecture,
        "classes": classes,
        "input_shape": list(data.shape),
        "parameters": network.count_params(),
        "epochs": len(epochs),
        "best_epoch": best_epoch,
        "seconds": seconds,
        "standardize": settings["standardize"],
        "chosen": chosen,
        "refit": bool(earlier),
        "layers": list(_layers(keras, network)),
    }
    write_json(training, about)
    save_model(output, network)
    for path in (backup, backup_of_refit):
        path.unlink(missing_ok=True)


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


def _standardized(network, data, train: Rows, settings: Mapping):
    """Return a model behind the standardisation by training rows, if its settings ask for it."""
    if settings["standardize"] != TRAINING:
        return network
    return with_standardization(network, data.shape, *mean_and_sd(data, train.places))


def _arrays(network, data, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return standardised features, shape (n, features), and class codes of rows."""
    import keras

    values = data.take(rows.places)
    for layer in network.layers:
        if layer.name == LAYER:
            values = keras.ops.convert_to_numpy(layer(values))
    return values[..., 0], rows.labels


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


def _scores(network, data: Features, train: Rows, valid: Rows) -> dict:
    """Return the row of ``history.csv`` of a model that is fitted in one step."""
    row, classes = {"epoch": 1}, network.output_shape[-1]
    for prefix, part in (("", train), ("val_", valid)):
        probabilities = network.predict(dataset(data, part, classes, 64), verbose=0)
        of_truth = probabilities[np.arange(len(part.labels)), part.labels]
        row[f"{prefix}loss"] = float(-np.log(np.maximum(of_truth, np.finfo(np.float32).tiny)).mean())
        row[f"{prefix}accuracy"] = float((probabilities.argmax(axis=1) == part.labels).mean())
    return row
