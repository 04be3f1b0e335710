"""Converting a Keras model to ONNX, which runs without TensorFlow."""

import io
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np

from serflow.models.standardize import LAYER, behind
from serflow.runtime.errors import UserError


def to_onnx(network) -> bytes:
    """Convert a model.

    Parameters
    ----------
    network
        A Keras model of one input and one output; its first layer may be the standardisation.

    Returns
    -------
    bytes
        An ONNX model. Its input ``features`` is float32 of shape (clips, …), its output the probabilities, float32
        of shape (clips, classes).

    Raises
    ------
    UserError
        If the folder for temporary files is full.
    """
    import keras

    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        path = Path(folder, "model.onnx")
        signature = [keras.InputSpec(shape=network.input_shape, dtype="float32", name="features")]
        try:
            _convertible(keras, network).export(path, format="onnx", verbose=False, input_signature=signature)
        except OSError as error:
            problem = f"cannot be written ({error.strerror}); make room there, or set TMPDIR to another folder"
            raise UserError(f"{folder}: {problem}") from error
        return path.read_bytes()


def _convertible(keras, network):
    """Replace the standardisation by a layer that computes the same from weights.

    The constants of Keras' Normalization are outside the graph, and the converter takes them for inputs.
    """
    if [layer.name for layer in network.layers[1:2]] != [LAYER]:
        return network
    _, first, inner = network.layers
    layer = keras.layers.BatchNormalization(axis=1, epsilon=0.0, center=False, scale=False, name=LAYER)
    replaced = behind(layer, inner, network.input_shape[1:])
    layer.set_weights([np.asarray(values).reshape(-1) for values in (first.mean, first.variance)])
    return replaced
