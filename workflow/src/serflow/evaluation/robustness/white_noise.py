"""White noise: the same power at every frequency."""

from serflow.evaluation.robustness.noise import add_noise

TITLE = "white noise"
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
    return add_noise(samples, rng.standard_normal(len(samples)), level)
