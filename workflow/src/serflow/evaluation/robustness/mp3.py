"""A file in MP3."""

from serflow.evaluation.robustness.codec import coded

TITLE = "MP3"
KIND = "channel"
LEVELS = {
    "name": "kbit",
    "unit": "kbit/s",
    "items": {"enum": [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160]},
    "default": [32],
}
_DELAY = 1105  # samples, of the encoder LAME (576) and of any decoder (529)


def change(samples, level, rng, scene):
    """Code the clip at 16 kHz with a constant bit rate, and decode it."""
    return coded(samples, scene.rate, _DELAY, **how(level))


def how(kbit):
    """Return the options for a bit rate: libsndfile maps 0 to 1 to 160 to 8 kbit/s, which MP3 has at 16 kHz."""
    return {"format": "MP3", "bitrate_mode": "CONSTANT", "compression_level": min((160 - kbit) / 152, 0.999)}
