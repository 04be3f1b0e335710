"""Running an ONNX model that may come from anybody, without TensorFlow."""

import numpy as np

from serflow.runtime.errors import UserError
from serflow.storage.onnx_files import load_onnx, onnx_error

# A converted model gives the probabilities of the original within this; they sum to 1 within five times as much.
TOLERANCE = 1e-4


def are_probabilities(values: np.ndarray) -> bool:
    """Return whether values of shape (classes,) are finite, not negative and sum to 1, within rounding."""
    return bool(np.isfinite(values).all() and values.min() >= 0 and abs(values.sum() - 1) <= 5 * TOLERANCE)


class Network:
    """An ONNX model of one input, with the threads of a computation, and what it is called in errors.

    Raises
    ------
    UserError
        If the bytes are not a model that onnxruntime can load, or refer to other files.
    """

    def __init__(self, content: bytes, threads: int = 1, name: str = "model.onnx"):
        self._name = name
        self._session = load_onnx(content, name, threads=threads)
        try:
            (self._input,) = (node.name for node in self._session.get_inputs())
        except ValueError as error:
            raise onnx_error(name, "cannot be loaded", error) from error

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return float32 of shape (clips, classes) for float32 of shape (clips, …); raise ``UserError`` if it fails."""
        try:
            output = self._session.run(None, {self._input: features})[0]
        except Exception as error:  # onnxruntime's errors have no common class
            raise onnx_error(self._name, "cannot be run", error) from error
        if not isinstance(output, np.ndarray) or output.dtype != np.float32 or output.ndim != 2:
            raise UserError(f"{self._name}: the output of the model is not a float32 table of clips and classes")
        if len(output) != len(features):
            raise UserError(f"{self._name}: the model gives {len(output)} rows for {len(features)} clips")
        return output
