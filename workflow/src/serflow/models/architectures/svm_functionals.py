"""Functionals and a linear support vector machine: the baseline that a network has to beat.

It is fitted by scikit-learn and kept as a Keras model of one layer, so that it is loaded, asked and measured like
any other and nothing is pickled.
"""

import math
import warnings
from collections.abc import Mapping

import numpy as np

FEATURES = "functionals"
SETTINGS = {
    "C": {"type": "number", "exclusiveMinimum": 0, "maximum": 1000000000},
    "max_iter": {"$ref": "#/$defs/positive"},
}
_SCALES = (1e-2, 1e2)


def build(input_shape: tuple[int, ...], classes: int, settings: Mapping):
    """Build the model: one linear layer and a softmax over its margins.

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
        From :func:`build`.
    train, valid
        Standardised features of shape (n, functionals) and class codes of shape (n,).
    settings
        ``C``: the weight of errors against the width of the margin; ``max_iter`` of the solver.
    seed
        Of the solver, where it draws at all.

    Notes
    -----
    Margins are no probabilities. They are multiplied by the one factor that makes the labels of the
    validation clips most likely; the factor goes into the weights and changes no prediction.
    """
    from scipy.special import logsumexp
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    machine = LinearSVC(C=settings["C"], max_iter=settings["max_iter"], dual="auto", random_state=seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        machine.fit(*train)
    for warning in caught:
        print(f"svm_functionals: {warning.message}", flush=True)
    classes = network.output_shape[-1]
    weights = np.zeros((train[0].shape[1], classes))
    # A class without training clips gets a margin that is never the greatest.
    biases = np.full(classes, -1e3)
    # scikit-learn keeps one row for two classes: the second's against the first's.
    rows = machine.coef_ if len(machine.classes_) > 2 else np.vstack([-machine.coef_, machine.coef_])
    offsets = machine.intercept_ if len(rows) == len(machine.intercept_) else np.array([-1, 1]) * machine.intercept_
    weights[:, machine.classes_], biases[machine.classes_] = rows.T, offsets
    margins, truth = valid[0] @ weights + biases, valid[1]

    def loss(log_scale: float) -> float:
        scaled = margins * math.exp(log_scale)
        return float((logsumexp(scaled, axis=1) - scaled[np.arange(len(truth)), truth]).mean())

    scale = _minimum(loss)
    network.get_layer("margins").set_weights([weights * scale, biases * scale])


def _minimum(loss) -> float:
    from scipy.optimize import minimize_scalar

    return math.exp(minimize_scalar(loss, bounds=np.log(_SCALES), method="bounded").x)
