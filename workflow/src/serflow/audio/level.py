"""How loud a recording is."""

import numpy as np

_STEPS = 10  # in a second


def loudest_second(samples: np.ndarray, rate: int) -> float:
    """Return the root mean square of the loudest second of a recording, of all of it if it is shorter.

    Unlike that of the whole recording, it does not depend on silence around the speech.

    Parameters
    ----------
    samples
        Mono, shape (samples,), in full scale.
    rate
        Sampling rate in Hz.

    Notes
    -----
    The seconds begin at every tenth of a second; the last second is one of them.
    """
    step = max(1, rate // _STEPS)
    powers = [_power(samples[-_STEPS * step :])]
    whole = len(samples) // step
    if whole > _STEPS:
        blocks = np.square(samples[: whole * step], dtype=np.float64).reshape(whole, step).mean(axis=1)
        powers.append(np.lib.stride_tricks.sliding_window_view(blocks, _STEPS).mean(axis=1).max())
    return float(np.sqrt(max(powers)))


def _power(samples: np.ndarray) -> float:
    return float(np.square(samples, dtype=np.float64).mean())
