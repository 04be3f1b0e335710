"""What the conditions that code and decode a clip share."""

import io

import numpy as np

from serflow.audio.io import resample

_RATE = 16_000  # which MP3 and Opus both know; speech is coded at it


def coded(samples: np.ndarray, rate: int, delay: int = 0, **how) -> np.ndarray:
    """Write a clip as a file in memory, and return what a decoder reads of it.

    Parameters
    ----------
    samples
        float32 of shape (samples,).
    rate
        Sampling rate in Hz; the file has 16,000.
    delay
        Number of samples that coding puts before the clip, where the file has no room to say so and its decoder leaves
        them there.
    **how
        Options of ``soundfile.write``.

    Returns
    -------
    ndarray
        float32 of the shape of ``samples``.
    """
    import soundfile as sf

    written = resample(samples, rate, _RATE)
    decoded, _ = sf.read(encoded(written, **how), dtype="float32")
    found = resample(decoded[delay if len(decoded) > len(written) else 0 :], _RATE, rate)[: len(samples)]
    return np.pad(found, (0, len(samples) - len(found)))


def encoded(samples: np.ndarray, **how) -> io.BytesIO:
    """Return the file that :func:`coded` writes, for samples at its rate."""
    import soundfile as sf

    file = io.BytesIO()
    sf.write(file, samples, _RATE, **how)
    file.seek(0)
    return file
