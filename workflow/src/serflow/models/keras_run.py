"""Running Keras: quiet, reproducible and within the threads of the job."""

import math
import os
from pathlib import Path

import numpy as np

from serflow.models.data import Features, Rows
from serflow.runtime.errors import UserError
from serflow.storage import read_archive


def prepare(seed: int, threads: int):
    """Import Keras, seed everything, ask for deterministic operations and bind the threads.

    Returns
    -------
    module
        ``keras``.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    return keras


def load_model(path: Path):
    """Load a trained model in safe mode.

    Raises
    ------
    UserError
        If the file is no Keras model, is not as it was written, or would run code of its own.
    """
    import keras

    read_archive(path, "not a Keras model that can be loaded safely")
    try:
        return keras.saving.load_model(path, safe_mode=True)
    except Exception as error:  # of a damaged file Keras, zipfile and HDF5 raise nearly anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path}: not a Keras model that can be loaded safely ({reason}); delete it to have it made again"
        ) from error


def dataset(
    features: Features,
    rows: Rows,
    classes: int,
    batch_size: int,
    *,
    shuffle_seed: int | None = None,
    epochs_done: int = 0,
):
    """Feed rows to Keras in batches, reading only those of the batch.

    Parameters
    ----------
    features, rows
        What to feed.
    classes
        Number of emotions; labels are fed one-hot.
    batch_size
        Rows of a batch; the last may have fewer.
    shuffle_seed
        Rows are fed in another order in each epoch, drawn from this seed; in their own order without.
    epochs_done
        Orders that a training which goes on has behind it.

    Returns
    -------
    keras.utils.PyDataset
    """
    import keras

    one_hot = np.eye(classes, dtype=np.float32)

    class Batches(keras.utils.PyDataset):
        def __init__(self):
            super().__init__()
            self.generator = None if shuffle_seed is None else np.random.default_rng(shuffle_seed)
            self.order = np.arange(len(rows.clips))
            for _ in range(1 + epochs_done):
                self.on_epoch_end()

        def on_epoch_end(self):
            if self.generator is not None:
                self.order = self.generator.permutation(len(rows.clips))

        def __len__(self):
            return math.ceil(len(self.order) / batch_size)

        def __getitem__(self, index):
            chosen = self.order[index * batch_size : (index + 1) * batch_size]
            return features.take(rows.places[chosen]), one_hot[rows.labels[chosen]]

    return Batches()
