"""A telephone line: 300 to 3,400 Hz at 8 kHz, with the companding of G.711."""

import io

import numpy as np

from serflow.audio.io import resample
from serflow.evaluation.robustness.filters import butterworth

TITLE = "telephone"
KIND = "channel"
THRESHOLDS = {"unchanged": 0.5}
_RATE, _BAND = 8000, (300, 3400)


def change(samples, level, rng, scene):
    """Send the clip over the line.

    References
    ----------
    ITU-T G.711, "Pulse code modulation (PCM) of voice frequencies", 1988: eight bits by the mu-law.
    """
    import soundfile as sf

    line = butterworth(resample(samples, scene.rate, _RATE), _RATE, _BAND, "bandpass")
    with io.BytesIO() as file:
        sf.write(file, line, _RATE, format="WAV", subtype="ULAW")
        file.seek(0)
        heard, _ = sf.read(file, dtype="float32")
    found = resample(heard, _RATE, scene.rate)[: len(samples)]
    return np.pad(found, (0, len(samples) - len(found)))
