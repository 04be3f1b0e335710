"""A microphone or room that favours high or low frequencies."""

import numpy as np

from serflow.evaluation.robustness.filters import as_loud

TITLE = "spectral tilt"
KIND = "channel"
LEVELS = {
    "name": "slopes",
    "unit": "dB per octave",
    "items": {"type": "number", "minimum": -24, "maximum": 24},
    "default": [-3, 3],
}
THRESHOLDS = {"change": -0.02}
_LOWEST = 50  # Hz; the gain below is that at this frequency


def change(samples, level, rng, scene):
    """Give the spectrum a slope and keep the level."""
    frequencies = np.maximum(np.fft.rfftfreq(len(samples), 1 / scene.rate), _LOWEST)
    gain = 10 ** (level * np.log2(frequencies / 1000) / 20)
    return as_loud(np.fft.irfft(gain * np.fft.rfft(samples), len(samples)), samples)
