"""The models that the workflow knows. A new one is a file beside this, a line here and a section in config.yaml."""

import importlib
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Architecture(NamedTuple):
    """A model.

    Attributes
    ----------
    features
        What it reads: ``"frames"``, ``"mel"`` or ``"functionals"``.
    module
        Builds it; has a function ``build``.
    by_gradient
        Whether Keras trains it. If not, the module's function ``fit`` sets its weights in one go, and the
        features are standardised under every protocol.
    """

    features: str
    module: str
    by_gradient: bool = True

    def build(self, input_shape: tuple[int, ...], classes: int, settings: Mapping):
        """Build the uncompiled Keras model; ``settings`` is its section of the configuration."""
        build: Callable = importlib.import_module(self.module).build
        return build(input_shape, classes, settings)

    def fit(self, network, train: tuple, valid: tuple, settings: Mapping, seed: int) -> None:
        """Set the weights of a model that is not trained by gradient."""
        importlib.import_module(self.module).fit(network, train, valid, settings, seed)


MODELS = {
    "cnn1d": Architecture("frames", "serflow.models.cnn1d"),
    "cnn2d": Architecture("mel", "serflow.models.cnn2d"),
    "svm_functionals": Architecture("functionals", "serflow.models.svm_functionals", by_gradient=False),
}


def training_settings(model: str, config: Mapping, *, sample: bool) -> dict:
    """Give a model's settings, on the sample within the bounds that it sets to be done in minutes."""
    settings = dict(config["models"][model])
    if sample and MODELS[model].by_gradient:
        bounds = config["sample"]
        settings["epochs"] = min(settings["epochs"], bounds["epochs"] or settings["epochs"])
        settings["batch_size"] = bounds["batch_size"] or settings["batch_size"]
    return settings


def training_threads(model: str, config: Mapping, *, sample: bool) -> int:
    """Give a training its threads; what is done in seconds has one, so that several stand side by side."""
    return 1 if sample or not MODELS[model].by_gradient else config["threads"]["training"]
