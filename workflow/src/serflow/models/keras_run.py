"""Running Keras without noise, reproducibly and within the threads of the job."""

import os
from pathlib import Path

from serflow.models.architectures import ARCHITECTURES
from serflow.runtime.errors import UserError
from serflow.storage import read_archive


def prepare(seed: int, threads: int):
    """Import Keras, set its seed and threads, switch deterministic operations on, and return the module."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    return keras


def load_model(path: Path, architecture: str | None = None):
    """Load a trained model in safe mode.

    Parameters
    ----------
    path
        ``model.keras``.
    architecture
        Name of the architecture whose file defines classes that the model uses. No other code is run.

    Raises
    ------
    UserError
        If the file is not a Keras model, was changed or damaged, or contains code of its own.
    """
    import keras

    read_archive(path, "not a Keras model that can be loaded safely")
    module = vars(ARCHITECTURES.find(architecture, "--architecture").load()) if architecture else {}
    layers = {name: each for name, each in module.items() if isinstance(each, type) and issubclass(each, keras.Layer)}
    try:
        return keras.saving.load_model(path, custom_objects=layers, compile=False, safe_mode=True)
    except Exception as error:  # a damaged file can make Keras, zipfile and HDF5 raise nearly anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path}: not a Keras model that can be loaded safely ({reason}); delete it to have it made again"
        ) from error
