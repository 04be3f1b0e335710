"""A room with echoes."""

import numpy as np

from serflow.evaluation.robustness.filters import as_loud

TITLE = "reverberation"
KIND = "room"
LEVELS = {
    "name": "rt60",
    "unit": "s",
    "items": {"type": "number", "minimum": 0.01, "maximum": 20},
    "default": [0.3, 0.8],
}
SETTINGS = {
    # Ratio of the direct sound to all echoes together, in dB.
    "direct": {"type": "number", "minimum": -60, "maximum": 60, "default": 0},
}
THRESHOLDS = {"unchanged": 0.8}


def change(samples, level, rng, scene):
    """Let the clip sound in a room of this reverberation time, and end it where it ended."""
    from scipy.signal import fftconvolve

    response = impulse_response(level, scene.settings["direct"], scene.rate, rng)
    return as_loud(fftconvolve(samples, response)[: len(samples)], samples)


def impulse_response(rt60, direct, rate, rng):
    """Return the impulse response of a room, float64 of shape (samples,): the direct sound, then the echoes.

    The echoes are Gaussian noise whose level falls by 60 dB in ``rt60`` seconds, where it ends. ``direct`` is the
    ratio of the direct sound to them, in dB.

    References
    ----------
    Polack, "La transmission de l'énergie sonore dans les salles", thesis, Université du Maine, 1988.
    """
    time = np.arange(1, max(2, round(rt60 * rate))) / rate
    echoes = rng.standard_normal(len(time)) * 10 ** (-3 * time / rt60)
    echoes *= 10 ** (-direct / 20) / np.sqrt(np.square(echoes).sum())
    return np.concatenate([[1.0], echoes])
