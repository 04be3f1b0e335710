"""A recording without its highest frequencies."""

from serflow.evaluation.robustness.filters import butterworth

TITLE = "low-pass filter"
KIND = "small"
LEVELS = {
    "name": "cutoff",
    "unit": "Hz",
    "items": {"type": "number", "minimum": 1000, "maximum": 96000},
    "default": [7000],
}
THRESHOLDS = {"unchanged": 0.95}


def impossible(scene):
    """Return why the rate is too low for a cutoff."""
    highest = max(scene.settings["cutoff"])
    return None if highest < scene.rate / 2 else f"at {scene.rate} Hz there is nothing above {highest:g} Hz"


def change(samples, level, rng, scene):
    """Filter the clip."""
    return butterworth(samples, scene.rate, level, "lowpass")
