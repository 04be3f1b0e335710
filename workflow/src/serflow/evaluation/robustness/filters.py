"""What the conditions that filter or limit a clip share."""

import numpy as np

_ORDER = 4  # 24 dB per octave


def butterworth(samples: np.ndarray, rate: int, cutoff: float | tuple[float, float], kind: str) -> np.ndarray:
    """Filter a clip by a Butterworth filter of fourth order; ``kind`` is ``highpass``, ``lowpass`` or ``bandpass``."""
    from scipy.signal import butter, sosfilt  # takes half a second to import

    return sosfilt(butter(_ORDER, cutoff, kind, fs=rate, output="sos"), samples).astype(np.float32)


def clipped(samples: np.ndarray, percent: float) -> np.ndarray:
    """Limit a clip so that this share of its samples, those with the greatest magnitude, is at the limit."""
    count = round(percent / 100 * len(samples))
    if not count:
        return samples
    limit = np.partition(np.abs(samples), -count)[-count]
    return np.clip(samples, -limit, limit)


def as_loud(changed: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Give a changed clip the root mean square of the clip before, so that its level is not what is tested."""
    powers = [np.square(values, dtype=np.float64).mean() for values in (samples, changed)]
    return (changed * np.sqrt(powers[0] / powers[1])).astype(np.float32) if powers[1] else changed.astype(np.float32)
