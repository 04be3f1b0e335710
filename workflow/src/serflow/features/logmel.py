"""Log-mel-spectrograms of clips at their own length, without their level, for networks that read any length."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from serflow.audio.stft import mel_spectrum, power_spectrum, power_to_db
from serflow.runtime.errors import UserError

READS = "audio"
WRITES = "npy"
OWN_LENGTH = True
SPECTROGRAM = True
SETTINGS = {
    "n_mels": {"type": "integer", "minimum": 1, "maximum": 4096, "default": 64},
    "window_ms": {"type": "number", "minimum": 1, "maximum": 1000, "default": 25},
    "hop_ms": {"type": "number", "minimum": 1, "maximum": 1000, "default": 20},
}


def check_settings(config: Mapping) -> None:
    """Raise ``UserError`` if there are more bands than frequencies."""
    logmel = config["logmel"]
    frequencies = _samples(logmel["window_ms"], config["sampling_rate"]) // 2 + 1
    if logmel["n_mels"] > frequencies:
        raise UserError(
            f"config: logmel.n_mels is {logmel['n_mels']}, but a window of logmel.window_ms ({logmel['window_ms']:g}) "
            f"has only {frequencies} frequencies; lower n_mels or raise window_ms"
        )


def compute(rows: Iterable[np.ndarray], settings: Mapping, threads: int = 1) -> Iterator[np.ndarray]:
    """Compute the mel-spectrogram of each clip, float32 of shape (samples,); ``threads`` are not used.

    Those of a clip are float32 of shape (frames, n_mels) in dB, at most 80 dB below the maximum of the clip, less the
    mean of the clip, so that they do not depend on its level. Frames are centred; there are 1 + samples // hop of them
    if the window is even.
    """
    rate, n_mels = settings["sampling_rate"], settings["n_mels"]
    n_fft, hop_length = (_samples(settings[key], rate) for key in ("window_ms", "hop_ms"))
    for samples in rows:
        power = power_spectrum(samples[None], n_fft, hop_length)
        (decibels,) = power_to_db(mel_spectrum(power, rate, n_fft, n_mels), relative=True)
        yield decibels - decibels.mean()


def _samples(milliseconds: float, rate: int) -> int:
    return round(milliseconds * rate / 1000)
