"""The notebook's 2D CNN over log-mel-spectrograms."""

from collections.abc import Mapping

FEATURES = "mel"
SETTINGS = {
    "filters": {"type": "array", "minItems": 3, "maxItems": 3, "items": {"$ref": "#/$defs/units"}},
    "kernels": {"type": "array", "minItems": 3, "maxItems": 3, "items": {"$ref": "#/$defs/units"}},
    "dropout": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
    "dense": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/units"}},
}


def build(input_shape: tuple[int, ...], classes: int, settings: Mapping):
    """Build the model.

    Parameters
    ----------
    input_shape
        (bands, frames, 1). (128, 80, 1) gives 3,105,990 parameters.
    classes
        Number of emotions.
    settings
        ``filters`` and ``kernels`` of the three convolutions, ``dropout`` after the second,
        ``dense``: units of the layers before the output.

    Returns
    -------
    keras.Sequential
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
