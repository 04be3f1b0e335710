"""Other people who talk: test clips of other speakers of the fold."""

import numpy as np

from serflow.evaluation.robustness.noise import add_noise, looped

TITLE = "babble"
KIND = "noise"
LEVELS = {
    "name": "snr",
    "unit": "dB",
    "items": {"type": "number", "minimum": -100, "maximum": 100},
    "default": [20, 10, 0],
}
SETTINGS = {
    # Number of people who talk, or as many others as there are.
    "voices": {"type": "integer", "minimum": 1, "maximum": 100, "default": 5},
}
THRESHOLDS = {"unchanged": 0.9, "change": -0.05, "levels": [20]}


def impossible(scene):
    """Return why nobody else talks."""
    return "there is no other test speaker to talk" if scene.speakers < 2 else None


def change(samples, level, rng, scene):
    """Add a clip of each of some other speakers, which are equally loud, at this signal-to-noise ratio."""
    together = np.zeros(len(samples))
    for clip in scene.others(rng, scene.settings["voices"]):
        voice = looped(clip, len(samples), rng)
        together += voice / max(np.sqrt(np.square(voice, dtype=np.float64).mean()), 1e-9)
    return add_noise(samples, together, level)
