"""Multinomial logistic regression over the embeddings of a pretrained encoder, or other vectors.

scikit-learn fits it. Its weights are kept as a Keras model of one layer, so that it is saved, loaded and evaluated like
any other model and nothing is pickled.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from serflow.metrics.scores import confusion_matrix, scores_from_confusion
from serflow.runtime.errors import UserError

FEATURES = "embedding"
VECTORS = True
DEFAULTS = {"copies": []}
SETTINGS = {
    "layers": {
        "description": "all, best, or a list of layer numbers",
        "anyOf": [
            {"enum": ["all", "best"]},
            {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"type": "integer", "minimum": 0}},
        ],
        "default": "all",
    },
    "C": {
        "description": "a number above 0, or a list of such",
        "anyOf": [
            {"type": "number", "exclusiveMinimum": 0, "maximum": 1000000000},
            {
                "type": "array",
                "minItems": 1,
                "items": {"type": "number", "exclusiveMinimum": 0, "maximum": 1000000000},
            },
        ],
        "default": [0.0003, 0.001, 0.003],
    },
    "max_iter": {"type": "integer", "minimum": 1, "maximum": 1000000000, "default": 100},
    "class_weight": {"enum": ["none", "balanced"], "default": "none"},
    "refit": {"type": "boolean", "default": True},
}


def build(input_shape: tuple[int, ...], classes: int, settings: Mapping):
    """Return a ``keras.Sequential`` of one linear layer and a softmax; ``settings`` are not used.

    ``input_shape`` is (layers · statistics · width, 1); see :mod:`serflow.models.architectures`.
    """
    import keras
    from keras import layers

    return keras.Sequential(
        [keras.Input(input_shape), layers.Flatten(), layers.Dense(classes, activation="softmax", name="logits")]
    )


def fit(network, train: tuple, valid: tuple, settings: Mapping, seed: int) -> dict:
    """Fit the linear layer, with the layers of the encoder and the ``C`` that are best on the validation clips.

    Parameters
    ----------
    network
        What :func:`build` returned.
    train, valid
        Standardised features of shape (n, layers · statistics · width) and class codes of shape (n,).
    settings
        ``layers`` of the encoder to use: ``all`` its blocks, the ``best`` single block, or a list; ``C``, the inverse
        strength of the regularisation or several to choose from; ``max_iter``, the maximum number of iterations of the
        solver; ``class_weight``, ``balanced`` if all classes count the same; ``encoder_layers``, how many layers there
        are, and ``encoder_blocks``, which of them are blocks. Vectors that are no embeddings are one layer.
    seed
        Not used: the solver uses no random numbers.

    Returns
    -------
    dict
        ``layers`` and ``C`` that were chosen, and ``valid_uar``, their UAR on the validation clips. Of equal ones the
        strongest regularisation is chosen.
    """
    blocks, classes = settings.get("encoder_blocks", [0]), network.output_shape[-1]
    choices = {"all": [blocks], "best": [[block] for block in blocks]}
    wanted, best = settings["layers"], None
    for layers in choices[wanted] if isinstance(wanted, str) else [wanted]:
        columns, solver = _columns(layers, train[0].shape[1], settings), _solver(settings)
        for strength in sorted(np.atleast_1d(settings["C"]).tolist()):
            solver.set_params(C=strength).fit(train[0][:, columns], train[1])
            predicted = solver.predict(valid[0][:, columns])
            uar = float(scores_from_confusion(confusion_matrix(valid[1], predicted, classes))["uar"])
            if best is None or uar > best["valid_uar"]:
                best = {"layers": list(layers), "C": strength, "valid_uar": uar}
                weights = _weights(solver, columns, network)
    network.get_layer("logits").set_weights(weights)
    return best


def refit(network, train: tuple, chosen: Mapping, settings: Mapping, seed: int) -> None:
    """Fit the linear layer of a new network on training and validation clips, with what :func:`fit` has chosen."""
    columns = _columns(chosen["layers"], train[0].shape[1], settings)
    solver = _solver(settings).set_params(C=chosen["C"]).fit(train[0][:, columns], train[1])
    network.get_layer("logits").set_weights(_weights(solver, columns, network))


def _solver(settings: Mapping):
    from sklearn.linear_model import LogisticRegression

    # From one C to the next it goes on from the weights that it has.
    weight = None if settings["class_weight"] == "none" else "balanced"
    return LogisticRegression(max_iter=settings["max_iter"], class_weight=weight, warm_start=True)


def _columns(layers: Sequence[int], width: int, settings: Mapping) -> np.ndarray:
    """Return which columns of all layers side by side are those of some layers."""
    count = settings.get("encoder_layers", 1)
    of_layer = width // count
    if max(layers) >= count:
        read = settings.get("encoder") or settings["features"]
        raise UserError(f"config: models: layers has {max(layers)}, but {read} has the layers 0 to {count - 1}")
    return np.concatenate([np.arange(layer * of_layer, (layer + 1) * of_layer) for layer in layers])


def _weights(solver, columns: np.ndarray, network) -> list[np.ndarray]:
    """Return the weights of the network's layer, zero for columns that are not used."""
    layer = network.get_layer("logits")
    weights = np.zeros(layer.kernel.shape, np.float32)
    # A class without training clips gets a logit that is never the greatest.
    biases = np.full(layer.bias.shape, -1e3, np.float32)
    rows, offsets = solver.coef_, solver.intercept_
    if len(rows) == 1:  # for two classes scikit-learn keeps one row: the logit of the second class
        rows, offsets = np.vstack([np.zeros_like(rows), rows]), np.append([0.0], offsets)
    weights[np.ix_(columns, solver.classes_)], biases[solver.classes_] = rows.T, offsets
    return [weights, biases]
