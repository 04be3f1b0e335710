"""The notebook's 2D CNN over log-mel-spectrograms."""

from collections.abc import Mapping

FEATURES = "mel"
SETTINGS = {
    "filters": {
        "type": "array",
        "minItems": 3,
        "maxItems": 3,
        "items": {"type": "integer", "minimum": 1, "maximum": 65536},
        "default": [32, 64, 64],
    },
    "kernels": {
        "type": "array",
        "minItems": 3,
        "maxItems": 3,
        "items": {"type": "integer", "minimum": 1, "maximum": 65536},
        "default": [7, 3, 3],
    },
    "dropout": {"type": "number", "minimum": 0, "exclusiveMaximum": 1, "default": 0.3},
    "dense": {
        "type": "array",
        "minItems": 1,
        "items": {"type": "integer", "minimum": 1, "maximum": 65536},
        "default": [512, 128],
    },
    # The notebook's number; the other settings of the training have their usual defaults.
    "epochs": {"type": "integer", "minimum": 1, "maximum": 1000000, "default": 80},
}


def build(input_shape: tuple[int, ...], classes: int, settings: Mapping):
    """Return a ``keras.Sequential``; see :mod:`serflow.models.architectures`.

    Parameters
    ----------
    input_shape
        (bands, frames, 1). (128, 80, 1) gives 3,105,990 parameters.
    classes
        Number of emotions.
    settings
        ``filters`` and ``kernels`` of the three convolutions; ``dropout`` after the second; ``dense``: numbers of
        units of the layers before the output.
    """
    import keras
    from keras import layers

    convolutions = [
        layers.Conv2D(filters, kernel, activation="relu")
        for filters, kernel in zip(settings["filters"], settings["kernels"], strict=True)
    ]
    return keras.Sequential(
        [
            keras.Input(input_shape),
            convolutions[0],
            layers.MaxPooling2D(2),
            layers.BatchNormalization(),
            convolutions[1],
            layers.MaxPooling2D(2),
            layers.Dropout(settings["dropout"]),
            convolutions[2],
            layers.MaxPooling2D(2),
            layers.Flatten(),
            *(layers.Dense(units, activation="relu") for units in settings["dense"]),
            layers.Dense(classes, activation="softmax"),
        ]
    )
