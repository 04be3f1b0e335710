"""A recording with some samples of silence before or after it."""

import numpy as np

TITLE = "silence added"
KIND = "small"
SETTINGS = {
    "samples": {
        "type": "array",
        "minItems": 2,
        "maxItems": 2,
        "items": {"type": "integer", "minimum": 1, "maximum": 1000000},
        "default": [100, 1000],
    },
}
THRESHOLDS = {"unchanged": 0.95}


def change(samples, level, rng, scene):
    """Add zeros at the beginning or the end; their number and the end are drawn."""
    count = rng.integers(*sorted(scene.settings["samples"]), endpoint=True)
    return np.pad(samples, (count, 0) if rng.integers(2) else (0, count))
