"""The notebook's 1D CNN over frame features."""

from collections.abc import Mapping

FEATURES = "frames"
SETTINGS = {
    "blocks": {
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["filters", "kernel", "pool"],
            "properties": {
                "filters": {
                    "type": "array",
                    "minItems": 1,
                    "items": {"type": "integer", "minimum": 1, "maximum": 65536},
                },
                "kernel": {"type": "integer", "minimum": 1, "maximum": 65536},
                "pool": {"type": "integer", "minimum": 1, "maximum": 65536},
            },
        },
        "default": [
            {"filters": [128, 64], "kernel": 5, "pool": 5},
            {"filters": [128, 128], "kernel": 5, "pool": 5},
            {"filters": [256, 256], "kernel": 5, "pool": 5},
            {"filters": [256], "kernel": 3, "pool": 5},
            {"filters": [512], "kernel": 3, "pool": 3},
        ],
    },
    "dense": {"type": "integer", "minimum": 1, "maximum": 65536, "default": 64},
}


def build(input_shape: tuple[int, ...], classes: int, settings: Mapping):
    """Return a ``keras.Sequential``; see :mod:`serflow.models.architectures`.

    Parameters
    ----------
    input_shape
        (columns, 1). 816 columns give 2,105,094 parameters, 1,392 columns 2,694,918.
    classes
        Number of emotions.
    settings
        ``blocks``: for each block its ``filters`` (one number per convolution), ``kernel`` and ``pool``;
        ``dense``: number of units before the output.
    """
    import keras
    from keras import layers

    model = keras.Sequential([keras.Input(input_shape)])
    for block in settings["blocks"]:
        for filters in block["filters"]:
            model.add(layers.Conv1D(filters, block["kernel"], padding="same", activation="relu"))
        model.add(layers.BatchNormalization())
        model.add(layers.MaxPooling1D(block["pool"], strides=2, padding="same"))
    model.add(layers.Flatten())
    model.add(layers.Dense(settings["dense"], activation="relu"))
    model.add(layers.BatchNormalization())
    model.add(layers.Dense(classes, activation="softmax"))
    return model
