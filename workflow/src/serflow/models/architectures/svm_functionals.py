"""Linear support vector machine over functionals: the baseline that a network has to beat.

scikit-learn fits it. Its weights are kept as a Keras model of one layer, so that it is saved, loaded and evaluated like
any other model and nothing is pickled.
"""

import math
import warnings
from collections.abc import Mapping

import numpy as np

FEATURES = "functionals"
SETTINGS = {
    "C": {"type": "number", "exclusiveMinimum": 0, "maximum": 1000000000, "default": 0.01},
    "max_iter": {"type": "integer", "minimum": 1, "maximum": 1000000000, "default": 10000},
}
_LOG_SCALES = (math.log(1e-2), math.log(1e2))


def build(input_shape: tuple[int, ...], classes: int, settings: Mapping):
    """Return the model: one linear layer and a softmax over its margins.

    Parameters
    ----------
    input_shape
        (functionals, 1).
    classes
        Number of emotions.
    settings
        Not used: the shape follows from the features.

    Returns
    -------
    keras.Sequential
    """
    import keras
    from keras import layers

    return keras.Sequential(
        [keras.Input(input_shape), layers.Flatten(), layers.Dense(classes, activation="softmax", name="margins")]
    )


def fit(network, train: tuple, valid: tuple, settings: Mapping, seed: int) -> None:
    """Fit the linear layer.

    Parameters
    ----------
    network
        What :func:`build` returned.
    train, valid
        Standardised features of shape (n, functionals) and class codes of shape (n,).
    settings
        ``C``, the weight of errors against the width of the margin; ``max_iter``, the maximum number of iterations of
        the solver.
    seed
        Seed of the solver, where it uses random numbers.

    Notes
    -----
    Margins are not probabilities. They are multiplied by the factor that makes the labels of the validation clips most
    likely. The factor is part of the weights and does not change any prediction.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    machine = LinearSVC(C=settings["C"], max_iter=settings["max_iter"], dual="auto", random_state=seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        machine.fit(*train)
    for warning in caught:
        print(f"svm_functionals: {warning.message}", flush=True)
    layer = network.get_layer("margins")
    weights = np.zeros(layer.kernel.shape)
    # A class without training clips gets a margin that is never the greatest.
    biases = np.full(layer.bias.shape, -1e3)
    # For two classes scikit-learn keeps one row: the second class against the first.
    two = len(machine.classes_) == 2
    rows = np.vstack([-machine.coef_, machine.coef_]) if two else machine.coef_
    offsets = np.array([-1, 1]) * machine.intercept_ if two else machine.intercept_
    weights[:, machine.classes_], biases[machine.classes_] = rows.T, offsets
    margins, truth = valid[0] @ weights + biases, valid[1]

    def loss(log_scale: float) -> float:
        scaled = margins * math.exp(log_scale)
        return float((logsumexp(scaled, axis=1) - scaled[np.arange(len(truth)), truth]).mean())

    scale = math.exp(minimize_scalar(loss, bounds=_LOG_SCALES, method="bounded").x)
    layer.set_weights([weights * scale, biases * scale])
