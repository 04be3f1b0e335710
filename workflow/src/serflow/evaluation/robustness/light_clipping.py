"""A recording of which a few samples are clipped."""

from serflow.evaluation.robustness.filters import clipped

TITLE = "light clipping"
KIND = "small"
LEVELS = {
    "name": "percent",
    "unit": "% of samples",
    "items": {"type": "number", "exclusiveMinimum": 0, "maximum": 99},
    "default": [0.2],
}
THRESHOLDS = {"unchanged": 0.95}


def change(samples, level, rng, scene):
    """Limit the clip so that this share of its samples is at the limit."""
    return clipped(samples, level)
