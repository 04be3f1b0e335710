"""Resuming an interrupted training after its last complete epoch, with the same bytes as a result.

Keras' own ``BackupAndRestore`` keeps neither the state of early stopping nor its best weights, so that a resumed
training would end differently.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from serflow.runtime.errors import UserError
from serflow.runtime.progress import duration, tell
from serflow.storage import read_arrays, write_arrays

_LINE_SECONDS = 10  # from one epoch on the user's terminal to the next; the log has all
_STATE = ("wait", "stopped_epoch", "best", "best_epoch")  # of early stopping


def backup_path(model: Path) -> Path:
    """Return the path of the backup of a training, a hidden file beside the model."""
    return model.with_name(f".{model.stem}.backup.npz")


def resumable_stopping(path: Path, depends_on: list, title: str, settings: Mapping, *, epochs: int, validated: bool):
    """Return early stopping that shows each epoch, writes the backup after it, and restores the backup of before.

    Parameters
    ----------
    path
        The backup: weights, states of the optimizer, of random layers and of early stopping, and the history.
    depends_on
        All that the training depends on, as JSON. The backup of another training is not used.
    title
        What is trained.
    settings
        ``patience``, ``min_delta``, ``monitor`` and ``ema``.
    epochs
        Maximum number of epochs.
    validated
        Whether there are validation clips to monitor; else all epochs are trained and the last weights are kept.

    Returns
    -------
    keras.callbacks.EarlyStopping
        Its ``callbacks`` are what a training with it needs, itself included. Its ``rows`` are the history: number,
        losses, accuracies and seconds of each complete epoch; ``finished`` says whether it had ended the training of
        the backup.
    """
    import keras
    import tensorflow as tf

    versions = [package.__version__ for package in (keras, np, tf)]
    key = hashlib.sha256(json.dumps([versions, depends_on], sort_keys=True).encode()).hexdigest()
    state, arrays = _read(path, key, epochs)

    # The averaged weights, if there are any, are in the model while it is validated and when the best are kept.
    averaged = keras.callbacks.SwapEMAWeights(swap_on_epoch=True) if settings["ema"] else None

    class Stopping(keras.callbacks.EarlyStopping):
        rows, finished = state["rows"], state["finished"]

        @property
        def callbacks(self):
            return [keras.callbacks.TerminateOnNaN(raise_error=False), *([averaged] if averaged else []), self]

        def on_train_begin(self, logs=None):
            super().on_train_begin(logs)
            if self.rows:
                self.model.optimizer.build(self.model.trainable_variables)
                for place, variable in enumerate(self.variables()):
                    variable.assign(arrays[f"variable{place}"])
                self.best_weights = [weight for name, weight in arrays.items() if name.startswith("best")] or None
                for name in _STATE if validated else ():
                    setattr(self, name, state[name])

        def variables(self):
            return [*self.model.variables, *self.model.optimizer.variables]

        def on_epoch_begin(self, epoch, logs=None):
            self.began = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            if validated:
                super().on_epoch_end(epoch, logs)
            if averaged:
                averaged.on_epoch_begin(epoch)  # the weights that training goes on from
            values = {key: float(value) for key, value in logs.items()}
            self.rows.append({"epoch": epoch + 1, **values, "seconds": time.perf_counter() - self.began})
            text = " - ".join(f"{key}: {value:.4f}" for key, value in values.items())
            left = (epochs - len(self.rows)) * sum(row["seconds"] for row in self.rows) / len(self.rows)
            if self.complete(values):
                tell(
                    f"{title}: epoch {epoch + 1}/{epochs} - {text} - at most {duration(left)} left", every=_LINE_SECONDS
                )
                self.write()

        def complete(self, row):
            """Return whether the epoch of a row was not ended by a loss of NaN; such an epoch cannot be resumed."""
            return ("val_loss" in row or not validated) and bool(np.isfinite(row["loss"]))

        def write(self):
            kept = {name: getattr(self, name) for name in _STATE} | {"best": float(self.best)} if validated else {}
            kept |= {"key": key, "rows": self.rows, "finished": self.model.stop_training}
            weights = {f"variable{place}": variable.numpy() for place, variable in enumerate(self.variables())}
            weights |= {f"best{place}": weight for place, weight in enumerate(self.best_weights or ())}
            write_arrays(path, weights | {"state": np.frombuffer(json.dumps(kept).encode(), np.uint8)})

    how = {"patience": settings["patience"], "min_delta": settings["min_delta"], "restore_best_weights": True}
    return Stopping(f"val_{settings['monitor']}", mode="max" if settings["monitor"] == "uar" else "min", **how)


def _read(path: Path, key: str, epochs: int) -> tuple[dict, dict]:
    """Return the state and the arrays of a backup of at most ``epochs``, or those of a training that has not begun."""
    if path.exists():
        try:
            arrays = read_arrays(path)
            state = json.loads(arrays.pop("state").tobytes())
            if state["key"] == key and len(state["rows"]) <= epochs:
                return state, arrays
            problem = f"{path} belongs to another training"
        except UserError as error:
            problem = error
        print(f"{problem}; training starts from its first epoch", flush=True)
    return {"rows": [], "finished": False}, {}
