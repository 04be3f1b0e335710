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
        Number of samples that coding puts before the clip.
    **how
        Options of ``soundfile.write``.

    Returns
    -------
    ndarray
        float32 of the shape of ``samples``.
    """
    import soundfile as sf

    decoded, _ = sf.read(encoded(samples, rate, **how), dtype="float32")
    found = resample(decoded[delay:], _RATE, rate)[: len(samples)]
    return np.pad(found, (0, len(samples) - len(found)))


def encoded(samples: np.ndarray, rate: int, **how) -> io.BytesIO:
    """Return the file that :func:`coded` writes."""
    import soundfile as sf

    file = io.BytesIO()
    sf.write(file, resample(samples, rate, _RATE), _RATE, **how)
    file.seek(0)
    return file
