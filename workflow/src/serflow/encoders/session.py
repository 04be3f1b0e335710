"""Load an encoder's ONNX model with onnxruntime, and bring its outputs into one shape."""

import os
from collections.abc import Sequence

import numpy as np

from serflow.runtime.errors import UserError
from serflow.storage.onnx_files import check_self_contained


class Session:
    """An ONNX model in onnxruntime, on one thread, so that values do not depend on how many there are.

    Parameters
    ----------
    content
        The model.
    name
        What the model is called in errors.

    Raises
    ------
    UserError
        If onnxruntime cannot load the bytes, or the model refers to other files.
    """

    def __init__(self, content: bytes, name: str):
        # onnxruntime would log its use in the user's home, for its maker; it reads this when it is imported.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime

        check_self_contained(content, name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.enable_mem_pattern = False  # it remembers one for each length of clip
        # Bytes can be an ONNX model, which was checked, and a model in onnxruntime's own format at the same time.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        self.name = name
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no common class
            raise self._error("cannot be loaded", error) from error
        self.inputs, self.outputs = self._session.get_inputs(), self._session.get_outputs()

    def states(self, waveforms: np.ndarray, source: str, outputs: Sequence[str]) -> np.ndarray:
        """Run the model; several threads may do so at once.

        Parameters
        ----------
        waveforms
            float32 of shape (batch, samples).
        source
            Name of the input.
        outputs
            Names of the outputs: one of shape (batch, layers, frames, width), or one or several, a layer each, of shape
            (batch, frames, width), or (batch, width) where the model has pooled the frames itself.

        Returns
        -------
        ndarray
            float32 of shape (batch, layers, frames, width).

        Raises
        ------
        UserError
            If the model fails, or its outputs have other shapes or types.
        """
        try:
            found = self._session.run(list(outputs), {source: waveforms})
        except Exception as error:  # onnxruntime's errors have no common class
            raise self._error(f"cannot be run on {waveforms.shape[1]:,} samples", error) from error
        for name, values in zip(outputs, found, strict=True):
            if not isinstance(values, np.ndarray) or values.dtype != np.float32:
                raise UserError(f"{self.name}: the output {name} is not float32")
            if values.ndim not in (2, 3, 4) or (values.ndim == 4 and len(found) > 1) or len(values) != len(waveforms):
                raise UserError(
                    f"{self.name}: the output {name} has the shape {values.shape}; hidden states are batch × frames × "
                    "width, or batch × layers × frames × width in one output"
                )
            if values.shape != found[0].shape:
                raise UserError(f"{self.name}: the outputs {outputs[0]} and {name} differ in shape; name those of one")
        if found[0].ndim == 4:
            return found[0]
        layers = np.stack(found, axis=1)
        return layers if layers.ndim == 4 else layers[:, :, None]

    def _error(self, what: str, error: Exception) -> UserError:
        return UserError(f"{self.name}: the model {what} ({' '.join(str(error).split())[:200]})")
