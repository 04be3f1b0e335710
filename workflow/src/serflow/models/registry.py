"""The models that the workflow knows. A new one is a file beside this, a line here and a section in config.yaml."""

from collections.abc import Callable, Mapping
from typing import NamedTuple


class Architecture(NamedTuple):
    """A model: the features that it reads (``"frames"`` or ``"mel"``) and the module that builds it."""

    features: str
    module: str

    def build(self, input_shape: tuple[int, ...], classes: int, settings: Mapping):
        """Build the uncompiled Keras model; ``settings`` is its section of the configuration."""
        import importlib

        build: Callable = importlib.import_module(self.module).build
        return build(input_shape, classes, settings)


MODELS = {
    "cnn1d": Architecture("frames", "serflow.models.cnn1d"),
    "cnn2d": Architecture("mel", "serflow.models.cnn2d"),
}
