"""A microphone that is overdriven."""

from serflow.evaluation.robustness.filters import clipped

TITLE = "clipping"
KIND = "channel"
LEVELS = {
    "name": "percent",
    "unit": "% of samples",
    "items": {"type": "number", "exclusiveMinimum": 0, "maximum": 99},
    "default": [20],
}


def change(samples, level, rng, scene):
    """Limit the clip so that this share of its samples is at the limit."""
    return clipped(samples, level)
