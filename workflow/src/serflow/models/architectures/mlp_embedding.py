"""A small network over the embeddings of a pretrained encoder or other vectors, trained by gradient."""

from collections.abc import Mapping

FEATURES = "embedding"
VECTORS = True
SETTINGS = {
    "units": {
        "type": "array",
        "minItems": 1,
        "items": {"type": "integer", "minimum": 1, "maximum": 65536},
        "default": [128],
    },
    "dropout": {"type": "number", "minimum": 0, "exclusiveMaximum": 1, "default": 0.5},
}
DEFAULTS = {
    "copies": [],
    "epochs": 40,
    "patience": 10,
    "monitor": "uar",
    "optimizer": "adamw",
    "weight_decay": 0.05,
    "schedule": "cosine",
    "label_smoothing": 0.1,
    "mixup": 0.2,
    "refit": True,
}


def build(input_shape: tuple[int, ...], classes: int, settings: Mapping):
    """Return a ``keras.Sequential``; see :mod:`serflow.models.architectures`.

    Parameters
    ----------
    input_shape
        (layers · statistics · width, 1): all hidden states of the encoder; of other vectors (width, 1).
    classes
        Number of emotions.
    settings
        ``units`` of the hidden layers; ``dropout``, the share of values dropped before each layer.
    """
    import keras
    from keras import layers

    model = keras.Sequential([keras.Input(input_shape), layers.Flatten()])
    for units in settings["units"]:
        model.add(layers.Dropout(settings["dropout"]))
        model.add(layers.Dense(units, activation="silu"))
    model.add(layers.Dropout(settings["dropout"]))
    model.add(layers.Dense(classes, activation="softmax"))
    return model
