"""Load an encoder's ONNX model with onnxruntime, and bring its outputs into one shape."""

from collections.abc import Sequence

import numpy as np

from serflow.runtime.errors import UserError
from serflow.storage.onnx_files import load_onnx, onnx_error


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
        self.name = name
        # A memory pattern would be kept for each length of clip.
        self._session = load_onnx(content, name, memory_pattern=False)
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
            raise onnx_error(self.name, f"cannot be run on {waveforms.shape[1]:,} samples", error) from error
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
