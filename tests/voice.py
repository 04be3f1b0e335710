"""A signal that the detector of speech takes for a voice, made in a moment and without a synthesiser."""

import numpy as np


def voice(seconds, rate=16_000, level=0.3):
    """Return a vowel in syllables, four a second: harmonics of a voice of 120 Hz whose pitch goes up and down."""
    times = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * 120 * times - 3 * np.cos(2 * np.pi * 2 * times)
    harmonics = [np.sin(number * phase) / number for number in range(1, 25) if number * 140 < rate / 2]
    samples = sum(harmonics) * (0.55 - 0.45 * np.cos(2 * np.pi * 4 * times))
    return (level * samples / np.abs(samples).max()).astype(np.float32)
