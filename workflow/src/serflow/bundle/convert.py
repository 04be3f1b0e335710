"""From a Keras model to ONNX, which needs no TensorFlow to be asked."""

import io
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np

INPUT = "features"


def to_onnx(network) -> bytes:
    """Convert a model.

    Parameters
    ----------
    network
        A sequential Keras model; its first layer may be the standardisation.

    Returns
    -------
    bytes
        An ONNX model. Its input ``features`` is float32 of shape (clips, …), its output the probabilities, float32
        of shape (clips, classes).
    """
    import keras

    shape = network.input_shape[1:]
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        path = Path(folder, "model.onnx")
        signature = [keras.InputSpec(shape=(None, *shape), dtype="float32", name=INPUT)]
        _convertible(keras, network).export(path, format="onnx", verbose=False, input_signature=signature)
        return path.read_bytes()


def _convertible(keras, network):
    """Exchange the standardisation for a layer that computes the same from weights.

    What Keras' Normalization holds are constants outside the graph, which the converter takes for inputs.
    """
    first, *others = network.layers
    if not isinstance(first, keras.layers.Normalization):
        return network
    layer = keras.layers.BatchNormalization(axis=1, epsilon=0.0, center=False, scale=False, name="standardization")
    exchanged = keras.Sequential([keras.Input(network.input_shape[1:]), layer, *others])
    layer.set_weights([np.asarray(values).reshape(-1) for values in (first.mean, first.variance)])
    return exchanged
