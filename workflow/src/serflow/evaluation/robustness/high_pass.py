"""A recording without its lowest frequencies."""

from serflow.evaluation.robustness.filters import butterworth

TITLE = "high-pass filter"
KIND = "small"
LEVELS = {"name": "cutoff", "unit": "Hz", "items": {"type": "number", "minimum": 1, "maximum": 1900}, "default": [100]}
THRESHOLDS = {"unchanged": 0.95}


def change(samples, level, rng, scene):
    """Filter the clip."""
    return butterworth(samples, scene.rate, level, "highpass")
