"""What the conditions with noise share."""

import numpy as np


def add_noise(samples: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """Add noise to a clip, both float32 of shape (samples,), at a ratio of their powers, ``snr`` in dB.

    The powers are those of the whole clip. A clip that is digitally silent stays so.
    """
    power, of_noise = (np.square(values, dtype=np.float64).mean() for values in (samples, noise))
    if not of_noise:
        return samples
    return (samples + np.sqrt(power / of_noise / 10 ** (snr / 10)) * noise).astype(np.float32)


def looped(recording: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """Return ``length`` samples of a recording from a random place, from its beginning again after its end."""
    return np.resize(np.roll(recording, -rng.integers(len(recording))), length)
