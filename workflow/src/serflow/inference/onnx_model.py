"""Running an ONNX model that may come from anybody, without TensorFlow."""

import os

import numpy as np

from serflow.runtime.errors import UserError
from serflow.storage.onnx_files import check_self_contained

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
        # It would keep a log of its use in the user's home, for its maker; it reads this when it is imported.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime

        check_self_contained(content, name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 4
        # Bytes can be an ONNX model, which was checked, and a model in onnxruntime's own format at the same time.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        self._name = name
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            (self._input,) = (node.name for node in self._session.get_inputs())
        except Exception as error:  # onnxruntime's errors have no common class
            raise self._error("cannot be loaded", error) from error

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return float32 of shape (clips, classes) for float32 of shape (clips, …); raise ``UserError`` if it fails."""
        try:
            output = self._session.run(None, {self._input: features})[0]
        except Exception as error:  # onnxruntime's errors have no common class
            raise self._error("cannot be run", error) from error
        if not isinstance(output, np.ndarray) or output.dtype != np.float32 or output.ndim != 2:
            raise UserError(f"{self._name}: the output of the model is not a float32 table of clips and classes")
        if len(output) != len(features):
            raise UserError(f"{self._name}: the model gives {len(output)} rows for {len(features)} clips")
        return output

    def _error(self, what: str, error: Exception) -> UserError:
        return UserError(f"{self._name}: the model {what} ({' '.join(str(error).split())[:200]})")
