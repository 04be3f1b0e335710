"""White noise that nobody hears."""

from serflow.evaluation.robustness.noise import add_noise

TITLE = "faint white noise"
KIND = "small"
LEVELS = {"name": "snr", "unit": "dB", "items": {"type": "number", "minimum": -100, "maximum": 100}, "default": [40]}
THRESHOLDS = {"unchanged": 0.95}


def change(samples, level, rng, scene):
    """Add noise of this signal-to-noise ratio."""
    return add_noise(samples, rng.standard_normal(len(samples)), level)
