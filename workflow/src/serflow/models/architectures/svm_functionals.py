"""Linear support vector machine over functionals or other vectors: the baseline that a network has to beat.

scikit-learn fits it. Its weights are kept as a Keras model of one layer, so that it is saved, loaded and evaluated like
any other model and nothing is pickled.
"""

from collections.abc import Mapping

import numpy as np

from serflow.metrics.calibration import fit_temperature

FEATURES = "functionals"
VECTORS = True
SETTINGS = {
    "C": {"type": "number", "exclusiveMinimum": 0, "maximum": 1000000000, "default": 0.01},
    "max_iter": {"type": "integer", "minimum": 1, "maximum": 1000000000, "default": 10000},
    "class_weight": {"enum": ["none", "balanced"], "default": "none"},
}


def build(input_shape: tuple[int, ...], classes: int, settings: Mapping):
    """Return a ``keras.Sequential`` of one linear layer and a softmax over its margins; ``settings`` are not used.

    ``input_shape`` is (functionals, 1); see :mod:`serflow.models.architectures`.
    """
    import keras
    from keras import layers

    return keras.Sequential(
        [keras.Input(input_shape), layers.Flatten(), layers.Dense(classes, activation="softmax", name="margins")]
    )


def fit(network, train: tuple, valid: tuple, settings: Mapping, seed: int) -> dict:
    """Fit the linear layer and return the ``temperature`` that its weights were divided by.

    Parameters
    ----------
    network
        What :func:`build` returned.
    train, valid
        Standardised features of shape (n, functionals) and class codes of shape (n,).
    settings
        ``C``, the weight of errors against the width of the margin; ``max_iter``, the maximum number of iterations of
        the solver; ``class_weight``, ``balanced`` if all classes count the same.
    seed
        Seed of the solver, where it uses random numbers.

    Notes
    -----
    Margins are not probabilities. They are divided by the temperature that makes the labels of the validation clips
    most likely. It is part of the weights and does not change any prediction.
    """
    from scipy.special import softmax
    from sklearn.svm import LinearSVC

    weight = None if settings["class_weight"] == "none" else "balanced"
    options = {"C": settings["C"], "max_iter": settings["max_iter"], "class_weight": weight}
    machine = LinearSVC(**options, dual="auto", random_state=seed).fit(*train)
    layer = network.get_layer("margins")
    weights = np.zeros(layer.kernel.shape)
    # A class without training clips gets a margin that is never the greatest.
    biases = np.full(layer.bias.shape, -1e3)
    rows, offsets = machine.coef_, machine.intercept_
    if len(rows) == 1:  # for two classes scikit-learn keeps one row: the second class against the first
        rows, offsets = np.vstack([-rows, rows]), np.append(-offsets, offsets)
    weights[:, machine.classes_], biases[machine.classes_] = rows.T, offsets
    temperature = fit_temperature(softmax(valid[0] @ weights + biases, axis=1), valid[1])
    layer.set_weights([weights / temperature, biases / temperature])
    return {"temperature": temperature}
