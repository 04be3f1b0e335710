"""A small network over the embeddings of a pretrained encoder, trained by gradient."""

from collections.abc import Mapping

FEATURES = "embedding"
SETTINGS = {
    "copies": {
        "description": "a list of pitch_shift and time_stretch",
        "type": "array",
        "uniqueItems": True,
        "items": {"enum": ["pitch_shift", "time_stretch"]},
        "default": [],
    },
    "units": {
        "type": "array",
        "minItems": 1,
        "items": {"type": "integer", "minimum": 1, "maximum": 65536},
        "default": [128],
    },
    "dropout": {"type": "number", "minimum": 0, "exclusiveMaximum": 1, "default": 0.5},
    "epochs": {"type": "integer", "minimum": 1, "maximum": 1000000, "default": 40},
    "patience": {"type": "integer", "minimum": 0, "maximum": 1000000, "default": 10},
    "monitor": {"enum": ["loss", "uar"], "default": "uar"},
    "optimizer": {"enum": ["adam", "adamw"], "default": "adamw"},
    "weight_decay": {"type": "number", "minimum": 0, "maximum": 100, "default": 0.05},
    "schedule": {"enum": ["constant", "cosine"], "default": "cosine"},
    "label_smoothing": {"type": "number", "minimum": 0, "exclusiveMaximum": 1, "default": 0.1},
    "mixup": {"type": "number", "minimum": 0, "maximum": 100, "default": 0.2},
    "refit": {"type": "boolean", "default": True},
}


def build(input_shape: tuple[int, ...], classes: int, settings: Mapping):
    """Return a ``keras.Sequential``; see :mod:`serflow.models.architectures`.

    Parameters
    ----------
    input_shape
        (layers · statistics · width, 1): all hidden states of the encoder.
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
