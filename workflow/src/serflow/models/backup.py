"""Going on with a training that was interrupted, from its last whole epoch, to the same bytes.

After each epoch everything that the next depends on is written beside the model: weights, the optimizer's state,
the states of random layers, early stopping and the history. Keras' own ``BackupAndRestore`` keeps neither early
stopping nor its best weights, so that what it goes on with ends differently.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

from serflow.runtime.errors import UserError
from serflow.runtime.fingerprint import fingerprint
from serflow.storage import checksum, read_arrays, write_arrays

_STOPPING = ("wait", "stopped_epoch", "best", "best_epoch")
_PACKAGES = ("keras", "numpy", "tensorflow-cpu", "tensorflow")


def backup_path(model: Path) -> Path:
    """Give the hidden file beside a model that is being trained."""
    return model.with_name(f".{model.stem}.backup.npz")


def training_key(module: str, inputs: Sequence[Path], settings: Mapping) -> str:
    """Hash everything that a training depends on, so that another never goes on with its backup.

    Parameters
    ----------
    module
        Where the architecture is built; the code of it and of the training counts.
    inputs
        Split table and features; their checksums count.
    settings
        All arguments that decide what is learnt.
    """
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    indices = [path.with_suffix(".parquet") for path in inputs if path.suffix == ".npy"]
    content = [checksum(path) for path in (*inputs, *indices)]
    parts = [fingerprint("serflow.models.train", module), versions, content, dict(settings)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Backup:
    """The backup of one training.

    Parameters
    ----------
    path
        Its file.
    key
        Of :func:`training_key`.

    Attributes
    ----------
    rows
        The history up to where training goes on.
    finished
        Whether early stopping has ended it.
    """

    def __init__(self, path: Path, key: str):
        self.path, self._key = path, key
        self.rows: list[dict] = []
        self.finished = False
        self._state, self._arrays = {}, {}
        if path.exists():
            self._read()

    def _read(self) -> None:
        try:
            arrays = read_arrays(self.path)
            state = json.loads(arrays.pop("state").tobytes())
        except UserError as error:
            print(f"{error}; training starts from its first epoch", flush=True)
            return
        if state["key"] != self._key:
            print(f"{self.path} is of another training; training starts from its first epoch", flush=True)
            return
        self._state, self._arrays = state, arrays
        self.rows, self.finished = state["rows"], state["finished"]

    def callback(self, keras, stopping, progress):
        """Make the callback that restores and writes it; it stands after those whose state it keeps."""
        backup = self

        class Callback(keras.callbacks.Callback):
            def on_train_begin(self, logs=None):
                backup._restore(self.model, stopping, progress)

            def on_epoch_end(self, epoch, logs=None):
                # Of an epoch that a loss of NaN has ended there is nothing to go on with.
                if "val_loss" in (logs or {}) and np.isfinite(logs["loss"]):
                    backup._write(self.model, stopping, progress)

        return Callback()

    def _restore(self, network, stopping, progress) -> None:
        if not self.rows:
            return
        network.optimizer.build(network.trainable_variables)
        for place, variable in enumerate(_variables(network)):
            variable.assign(self._arrays[f"variable{place}"])
        for name in _STOPPING:
            setattr(stopping, name, self._state[name])
        best = [name for name in self._arrays if name.startswith("best")]
        stopping.best_weights = [self._arrays[f"best{place}"] for place in range(len(best))] or None
        progress.rows = list(self.rows)

    def _write(self, network, stopping, progress) -> None:
        arrays = {f"variable{place}": variable.numpy() for place, variable in enumerate(_variables(network))}
        arrays |= {f"best{place}": weight for place, weight in enumerate(stopping.best_weights or ())}
        state = {name: getattr(stopping, name) for name in _STOPPING}
        state["best"] = None if state["best"] is None else float(state["best"])
        state |= {"key": self._key, "rows": progress.rows, "finished": bool(network.stop_training)}
        arrays["state"] = np.frombuffer(json.dumps(state).encode(), np.uint8)
        write_arrays(self.path, arrays)

    def remove(self) -> None:
        """Remove the file, as nothing is left to go on with."""
        self.path.unlink(missing_ok=True)


def _variables(network) -> list:
    """Give the variables that training changes: weights, states of random layers, and those of the optimizer."""
    return [*network.variables, *network.optimizer.variables]
