"""A voice call over the internet, in Opus."""

from serflow.evaluation.robustness.codec import coded

TITLE = "Opus"
KIND = "channel"
LEVELS = {"name": "kbit", "unit": "kbit/s", "items": {"type": "number", "minimum": 6, "maximum": 256}, "default": [12]}


def change(samples, level, rng, scene):
    """Code the clip at 16 kHz with a variable bit rate around this one, and decode it."""
    return coded(samples, scene.rate, **how(level))


def how(kbit):
    """Return the options for a bit rate: libsndfile maps 0 to 1 to 256 to 6 kbit/s."""
    return {"format": "OGG", "subtype": "OPUS", "compression_level": (256 - kbit) / 250}
