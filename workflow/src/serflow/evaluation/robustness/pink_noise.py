"""Pink noise: the same power in every octave."""

import numpy as np

from serflow.evaluation.robustness.noise import add_noise

TITLE = "pink noise"
KIND = "noise"
LEVELS = {
    "name": "snr",
    "unit": "dB",
    "items": {"type": "number", "minimum": -100, "maximum": 100},
    "default": [20, 10, 0],
}
THRESHOLDS = {"unchanged": 0.9, "change": -0.05, "levels": [20]}


def change(samples, level, rng, scene):
    """Add noise of this signal-to-noise ratio."""
    return add_noise(samples, pink(len(samples), rng), level)


def pink(length, rng):
    """Return noise of shape (length,): the power of white noise divided by the frequency, without a mean."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[0] = 0
    return np.fft.irfft(spectrum, length)
