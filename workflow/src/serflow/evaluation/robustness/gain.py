"""A recording that is a little louder or quieter."""

import numpy as np

TITLE = "gain"
KIND = "small"
LEVELS = {
    "name": "decibels",
    "unit": "dB",
    "items": {"type": "number", "minimum": -60, "maximum": 60},
    "default": [-2, 2],
}
THRESHOLDS = {"unchanged": 0.95}


def change(samples, level, rng, scene):
    """Multiply the clip; samples may exceed full scale."""
    return samples * np.float32(10 ** (level / 20))
