"""A trained model of this folder, for labelling; a bundle holds the same model as ONNX."""

from pathlib import Path

import numpy as np

from serflow.models.keras_run import load_model


class TrainedNetwork:
    """The network of a :class:`serflow.inference.classifier.Classifier`, from ``model.keras``.

    Parameters
    ----------
    path
        The model.
    architecture
        Name of its architecture.
    """

    def __init__(self, path: Path, architecture: str):
        self._model = load_model(path, architecture)

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return float32 of shape (clips, classes) for float32 of shape (clips, …)."""
        from keras.ops import convert_to_numpy

        return convert_to_numpy(self._model(features))
