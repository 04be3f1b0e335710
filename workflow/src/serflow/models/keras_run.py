"""Running Keras without noise, reproducibly and within the threads of the job."""

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from serflow.models.architectures import ARCHITECTURES
from serflow.runtime.device import missing_gpu, wanted_device
from serflow.runtime.errors import UserError
from serflow.storage import read_archive, write_archive

# Objects that layers share, such as a policy of types: Keras numbers them by their addresses in memory.
_SHARED = re.compile(rb'(?<="shared_object_id": )\d+')


def prepare(seed: int, threads: int):
    """Import Keras, set its seed, threads and device, switch deterministic operations on, and return the module.

    ``UserError`` if there is no GPU though one is asked for.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    # Freed memory is used again. By default blocks above 32 MB go back to the system, which clears each page that it
    # hands out: an epoch of resnet_asp took 23.4 s in place of 13.4.
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
    # Keras imports these where they are installed, for wrappers and pictures that nothing here uses: 3 of the 8.5 s of
    # CPU that a job with a network takes to start. The target quick has 25 such jobs.
    unused = [name for name in ("matplotlib", "pandas", "sklearn") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(unused))
    import keras
    import tensorflow as tf

    for name in unused:
        del sys.modules[name]
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    device, found = wanted_device(), tf.config.list_physical_devices("GPU")
    if device == "gpu" and not found:
        raise UserError(missing_gpu("TensorFlow", "tensorflow[and-cuda]"))
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    for gpu in found:
        tf.config.experimental.set_memory_growth(gpu, True)  # else one job takes all of its memory
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    return keras


def layers_of(network) -> Iterator:
    """Yield the layers of a model; the layers of models inside a model stand in their place."""
    import keras

    for layer in network.layers:
        if isinstance(layer, keras.Model) and layer.layers:
            yield from layers_of(layer)
        else:
            yield layer


def save_model(path: Path, network) -> None:
    """Write a model as ``model.keras``; equal models give equal bytes in any process, at any time."""
    write_archive(path, network.save, _without_date_and_addresses)


def _without_date_and_addresses(member: str, content: bytes) -> bytes:
    if member == "metadata.json":
        about = json.loads(content)
        del about["date_saved"]
        return json.dumps(about).encode()
    if member == "config.json":
        numbers = {
            address: str(number).encode() for number, address in enumerate(dict.fromkeys(_SHARED.findall(content)))
        }
        return _SHARED.sub(lambda found: numbers[found[0]], content)
    return content


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
