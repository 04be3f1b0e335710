"""Resuming an interrupted training after its last complete epoch, with the same bytes as a result.

After each epoch everything that the next epoch depends on is written beside the model: the weights, the states of the
optimizer, of random layers and of early stopping, and the history. Keras' own ``BackupAndRestore`` keeps neither the
state of early stopping nor its best weights, so that a resumed training would end differently.
"""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from serflow.runtime.errors import UserError
from serflow.runtime.fingerprint import fingerprint
from serflow.storage import checksum, read_arrays, write_arrays

_STOPPING = ("wait", "stopped_epoch", "best", "best_epoch")


def backup_path(model: Path) -> Path:
    """Return the path of the backup of a training, a hidden file beside the model."""
    return model.with_name(f".{model.stem}.backup.npz")


def training_key(module: str, inputs: Sequence[Path], settings: Mapping) -> str:
    """Return a hash of everything that a training depends on, so that no other training uses its backup.

    Parameters
    ----------
    module
        Module of the architecture. Its code is part of the hash, and that of the training.
    inputs
        Split table, features and their indices. Their checksums are part of the hash.
    settings
        All other arguments that the result depends on.
    """
    import keras
    import tensorflow as tf

    versions = [package.__version__ for package in (keras, np, tf)]
    parts = [fingerprint("serflow.models.train", module), versions, [checksum(path) for path in inputs], dict(settings)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Backup:
    """The backup of one training.

    Parameters
    ----------
    path
        The file.
    key
        What :func:`training_key` returned.

    Attributes
    ----------
    rows
        The history: number, losses, accuracies and seconds of each complete epoch.
    finished
        Whether early stopping has ended the training.
    """

    def __init__(self, path: Path, key: str):
        self.path, self._key = path, key
        self._state, self._arrays = {"rows": [], "finished": False}, {}
        if path.exists():
            self._read()
        self.rows, self.finished = self._state["rows"], self._state["finished"]

    def _read(self) -> None:
        try:
            arrays = read_arrays(self.path)
            state = json.loads(arrays.pop("state").tobytes())
        except UserError as error:
            print(f"{error}; training starts from its first epoch", flush=True)
            return
        if state["key"] == self._key:
            self._state, self._arrays = state, arrays
        else:
            print(f"{self.path} belongs to another training; training starts from its first epoch", flush=True)

    def callback(self, keras, stopping, title: str, epochs: int):
        """Return the last callback of a training: it restores the backup, and after each epoch prints and writes it.

        Parameters
        ----------
        keras
            The module.
        stopping
            The callback for early stopping.
        title
            What is trained.
        epochs
            The maximum number of epochs.
        """
        backup = self

        class Callback(keras.callbacks.Callback):
            def on_train_begin(self, logs=None):
                if backup.rows:
                    backup._restore(self.model, stopping)

            def on_epoch_begin(self, epoch, logs=None):
                self.began = time.perf_counter()

            def on_epoch_end(self, epoch, logs=None):
                values = {key: float(value) for key, value in (logs or {}).items()}
                backup.rows.append({"epoch": epoch + 1, **values, "seconds": time.perf_counter() - self.began})
                text = " - ".join(f"{key}: {value:.4f}" for key, value in values.items())
                print(f"{title}: epoch {epoch + 1}/{epochs} - {text}", flush=True)
                # An epoch that a loss of NaN has ended cannot be resumed.
                if "val_loss" in values and np.isfinite(values["loss"]):
                    backup._write(self.model, stopping)

        return Callback()

    def _restore(self, network, stopping) -> None:
        network.optimizer.build(network.trainable_variables)
        for place, variable in enumerate(_variables(network)):
            variable.assign(self._arrays[f"variable{place}"])
        for name in _STOPPING:
            setattr(stopping, name, self._state[name])
        best = [name for name in self._arrays if name.startswith("best")]
        stopping.best_weights = [self._arrays[f"best{place}"] for place in range(len(best))] or None

    def _write(self, network, stopping) -> None:
        arrays = {f"variable{place}": variable.numpy() for place, variable in enumerate(_variables(network))}
        arrays |= {f"best{place}": weight for place, weight in enumerate(stopping.best_weights or ())}
        state = {name: getattr(stopping, name) for name in _STOPPING}
        state["best"] = None if state["best"] is None else float(state["best"])
        state |= {"key": self._key, "rows": self.rows, "finished": bool(network.stop_training)}
        arrays["state"] = np.frombuffer(json.dumps(state).encode(), np.uint8)
        write_arrays(self.path, arrays)

    def remove(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)


def _variables(network) -> list:
    """Return the variables that training changes: weights, states of random layers and of the optimizer."""
    return [*network.variables, *network.optimizer.variables]
