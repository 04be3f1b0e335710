"""Log-mel-spectrograms in dB, for 2D models."""

from collections.abc import Iterator, Mapping

import numpy as np

from serflow.audio.stft import in_batches, mel_spectrum, power_spectrum, power_to_db
from serflow.runtime.errors import UserError

READS = "fixed"
WRITES = "npy"
SPECTROGRAM = True
SETTINGS = {
    "n_mels": {"type": "integer", "minimum": 1, "maximum": 4096, "default": 128},
    "n_fft": {"type": "integer", "minimum": 16, "maximum": 1048576, "default": 1569},
    "hop_length": {"type": "integer", "minimum": 1, "maximum": 1048576, "default": 512},
}


def check_settings(config: Mapping) -> None:
    """Raise ``UserError`` if there are more bands than frequencies."""
    mel = config["mel"]
    if mel["n_mels"] > mel["n_fft"] // 2 + 1:
        raise UserError(
            f"config: mel.n_mels is {mel['n_mels']}, but mel.n_fft ({mel['n_fft']}) has only {mel['n_fft'] // 2 + 1} "
            "frequencies; lower n_mels or raise n_fft"
        )


def compute(rows: np.ndarray, settings: Mapping, threads: int = 1) -> Iterator[np.ndarray]:
    """Compute mel-spectrograms of clips, float32 of shape (clips, samples), batch by batch.

    Batches are float32 of shape (clips, n_mels, frames), in dB below the maximum of each clip, from -80 to 0. There are
    1 + (samples + 2 · (n_fft // 2) - n_fft) // hop_length frames.
    """
    rate, n_mels, n_fft, hop_length = (settings[key] for key in ("sampling_rate", *SETTINGS))

    def log_mel(batch: np.ndarray) -> np.ndarray:
        power = power_spectrum(batch, n_fft, hop_length)
        decibels = power_to_db(mel_spectrum(power, rate, n_fft, n_mels), relative=True)
        return np.ascontiguousarray(decibels.transpose(0, 2, 1))

    return in_batches(log_mel, rows, threads)
