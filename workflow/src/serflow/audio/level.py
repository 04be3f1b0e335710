"""Changing the level of recordings before anything is computed from them, as the configuration asks for it."""

from collections.abc import Mapping

import numpy as np

QUIETEST = -70.0  # LUFS or dB of full scale: below, there is nothing but noise to amplify (absolute gate of BS.1770)
_BLOCK = 0.4  # seconds, of BS.1770


def adjust_level(samples: np.ndarray, sampling_rate: int, reading: Mapping) -> np.ndarray:
    """Return samples without a DC offset and at one loudness, where the settings ask for it.

    Parameters
    ----------
    samples
        Mono, float32 of shape (samples,), in full scale.
    sampling_rate
        Sampling rate in Hz.
    reading
        ``remove_dc``: whether the mean is subtracted. ``loudness``: None, or ``measure`` (``ebu-r128`` or ``rms``) and
        ``target`` in LUFS or dB of full scale.

    Returns
    -------
    ndarray
        float32 of shape (samples,). Samples may exceed full scale. A recording below :data:`QUIETEST` keeps its level.

    Notes
    -----
    ``ebu-r128`` is the integrated loudness of ITU-R BS.1770-4, gated in blocks of 0.4 s. A recording that is shorter
    is one block.
    """
    if reading["remove_dc"]:
        samples = samples - samples.mean(dtype=np.float64).astype(np.float32)
    if loudness := reading["loudness"]:
        level = _MEASURES[loudness["measure"]](samples, sampling_rate)
        if level >= QUIETEST:
            samples = samples * np.float32(10 ** ((loudness["target"] - level) / 20))
    return samples


def _integrated_loudness(samples: np.ndarray, sampling_rate: int) -> float:
    import pyloudnorm  # its SciPy takes a second to import

    meter = pyloudnorm.Meter(sampling_rate, block_size=min(_BLOCK, len(samples) / sampling_rate))
    return meter.integrated_loudness(samples.astype(np.float64))


def _root_mean_square(samples: np.ndarray, sampling_rate: int) -> float:
    power = np.square(samples, dtype=np.float64).mean()
    return 10 * np.log10(power) if power else -np.inf


_MEASURES = {"ebu-r128": _integrated_loudness, "rms": _root_mean_square}
