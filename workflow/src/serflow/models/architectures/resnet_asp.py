"""A residual network over log-mel-spectrograms of any length, with squeeze-and-excitation and attentive pooling.

References
----------
Residual blocks: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016. SiLU: Elfwing et al., Neural
Networks 107, 2018. Squeeze-and-excitation: Hu et al., CVPR 2018. Attentive statistics pooling: Okabe et al., Proc.
Interspeech 2018.
"""

from collections.abc import Mapping

import keras
from keras import layers, ops

FEATURES = "logmel"
SETTINGS = {
    "filters": {
        "type": "array",
        "minItems": 1,
        "maxItems": 5,
        "items": {"type": "integer", "minimum": 1, "maximum": 65536},
        "default": [24, 48, 72, 96],
    },
    "dropout": {"type": "number", "minimum": 0, "exclusiveMaximum": 1, "default": 0.3},
}
DEFAULTS = {
    "copies": [],
    "epochs": 40,
    "patience": 40,
    "min_delta": 0,
    "learning_rate": 0.002,
    "monitor": "uar",
    "optimizer": "adamw",
    "weight_decay": 0.01,
    "schedule": "cosine",
    "warmup": 2,
    "clip_norm": 1,
    "label_smoothing": 0.05,
    "ema": 0.99,
    "mixup": 0.2,
    "refit": True,
    "mask_frames": 16,
    "mask_bands": 6,
    "shift_frames": 5,
    "shift_bands": 2,
    "stretch": 0.1,
}


class TimeMask(layers.Layer):
    """The frames of a clip: 1, and 0 behind its end, where values are NaN."""

    def call(self, inputs):
        """Return the mask, shape (n, 1, frames, 1), of features, shape (n, bands, frames, 1)."""
        return ops.cast(ops.logical_not(ops.isnan(inputs[:, :1])), "float32")


class ZeroPadded(layers.Layer):
    """Features with 0, their mean, in place of NaN behind the end of a clip."""

    def call(self, inputs):
        """Return the features."""
        return ops.where(ops.isnan(inputs), 0.0, inputs)


class Halved(layers.Layer):
    """Every second frame of a mask: those that a convolution with stride 2 is centred on."""

    def call(self, inputs):
        """Return the mask."""
        return inputs[:, :, ::2]


class MaskedMean(layers.Layer):
    """Mean over the bands and frames of a clip."""

    def call(self, inputs, mask_of_frames):
        """Return (n, channels) for (n, bands, frames, channels) and a mask."""
        frames = ops.maximum(ops.sum(mask_of_frames, axis=(1, 2)), 1.0)
        return ops.sum(inputs * mask_of_frames, axis=(1, 2)) / (frames * inputs.shape[1])


class FramesOf(layers.Layer):
    """All bands of a frame side by side."""

    def call(self, inputs):
        """Return (n, frames, bands · channels) for (n, bands, frames, channels)."""
        bands, channels = inputs.shape[1], inputs.shape[3]
        return ops.reshape(ops.transpose(inputs, (0, 2, 1, 3)), (-1, ops.shape(inputs)[2], bands * channels))

    def compute_output_shape(self, input_shape):
        """Return the shape, where the number of frames is not known."""
        return (input_shape[0], input_shape[2], input_shape[1] * input_shape[3])


class WeightedStatistics(layers.Layer):
    """Mean and standard deviation of frames, weighted by attention."""

    def call(self, inputs, scores, mask_of_frames):
        """Return (n, 2 · d) for frames and scores, both (n, frames, d), and a mask."""
        mask = mask_of_frames[:, 0]
        weights = ops.softmax(scores + (mask - 1.0) * 1e9, axis=1)
        mean = ops.sum(weights * inputs, axis=1)
        variance = ops.sum(weights * ops.square(inputs - mean[:, None]), axis=1)
        return ops.concatenate([mean, ops.sqrt(variance + 1e-5)], axis=1)


def build(input_shape: tuple[int, ...], classes: int, settings: Mapping):
    """Return a ``keras.Model``; see :mod:`serflow.models.architectures`.

    Parameters
    ----------
    input_shape
        (bands, None, 1): any number of frames; NaN is behind the end of a clip.
    classes
        Number of emotions.
    settings
        ``filters`` of the stages; the first is a convolution, each of the others halves bands and frames and is a
        residual block. ``dropout`` before the output.
    """
    first, *others = settings["filters"]
    inputs = keras.Input(input_shape)
    mask = Halved()(TimeMask()(inputs))
    values = _convolved(ZeroPadded()(inputs), first, 5, strides=2)
    values = layers.Activation("silu")(_normalized(values)) * mask
    for filters in others:
        values, mask = _block(values, mask, filters)
    frames = FramesOf()(values)
    scores = layers.Dense(frames.shape[-1])(layers.Dense(64, activation="tanh")(frames))
    pooled = _normalized(WeightedStatistics()(frames, scores, mask))
    pooled = layers.Dropout(settings["dropout"])(pooled)
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(pooled))


def _normalized(values):
    # Keras' usual momentum of 0.99 is for trainings of far more steps than a corpus of speech has.
    return layers.BatchNormalization(momentum=0.9)(values)


def _convolved(values, filters: int, kernel: int, strides: int = 1):
    """Convolve with the same padding for any number of frames, so that what follows a clip does not shift it."""
    if strides > 1 and kernel > 1:  # here "same" would pad an even number of frames otherwise than an odd one
        values = layers.ZeroPadding2D(kernel // 2)(values)
    padding = "valid" if strides > 1 else "same"
    return layers.Conv2D(filters, kernel, strides, padding, use_bias=False)(values)


def _block(values, mask, filters: int):
    """Return a residual block that halves bands and frames, and the mask behind it."""
    halved = Halved()(mask)
    inner = _normalized(_convolved(values, filters, 3, strides=2))
    inner = layers.Activation("silu")(inner) * halved
    inner = _normalized(_convolved(inner, filters, 3))
    excited = layers.Dense(max(1, filters // 8), activation="silu")(MaskedMean()(inner, halved))
    excited = layers.Reshape((1, 1, filters))(layers.Dense(filters, activation="sigmoid")(excited))
    skipped = _normalized(_convolved(values, filters, 1, strides=2))
    return layers.Activation("silu")(inner * excited + skipped) * halved, halved
