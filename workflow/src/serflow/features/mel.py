"""Log-mel-spectrograms for the 2D models."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from serflow.audio.stft import in_batches, mel_spectrum, power_spectrum, power_to_db
from serflow.storage import ArrayWriter, FileArray, read_table, write_table


def log_mel(
    clips: np.ndarray, *, sampling_rate: int, n_mels: int, n_fft: int, hop_length: int, threads: int = 1
) -> Iterator[np.ndarray]:
    """Compute mel-spectrograms of fixed-length clips in dB below each clip's maximum, batch by batch.

    Parameters
    ----------
    clips
        float32 of shape (clips, samples).
    sampling_rate
        In Hz.
    n_mels, n_fft, hop_length
        Bands, samples of a frame, samples from one frame to the next.
    threads
        Threads; the result does not depend on them.

    Returns
    -------
    iterator of ndarray
        float32 of shape (clips in the batch, n_mels, frames), from -80 to 0.
    """

    def compute(batch: np.ndarray) -> np.ndarray:
        power = power_spectrum(batch, n_fft, hop_length)
        decibels = power_to_db(mel_spectrum(power, sampling_rate, n_fft, n_mels), relative=True)
        return np.ascontiguousarray(decibels.transpose(0, 2, 1))

    return in_batches(compute, clips, threads)


def mel_frames(samples: int, n_fft: int, hop_length: int) -> int:
    """Count the frames of a clip of ``samples`` samples: 80 at 40,775 samples, n_fft 1569 and hop 512."""
    return 1 + (samples + 2 * (n_fft // 2) - n_fft) // hop_length


def extract_mel(
    fixed: Path,
    index: Path,
    *,
    sampling_rate: int,
    n_mels: int,
    n_fft: int,
    hop_length: int,
    threads: int,
    output: Path,
    output_index: Path,
) -> None:
    """Write the mel-spectrograms of a shard and the names of their clips.

    Parameters
    ----------
    fixed, index
        A shard of fixed-length clips.
    sampling_rate, n_mels, n_fft, hop_length, threads
        As in :func:`log_mel`.
    output, output_index
        float32 of shape (clips, n_mels, frames), and the clips in the same order.
    """
    clips = FileArray(fixed)
    with ArrayWriter(output, (n_mels, mel_frames(clips.shape[1], n_fft, hop_length))) as out:
        for rows in log_mel(
            clips,
            sampling_rate=sampling_rate,
            n_mels=n_mels,
            n_fft=n_fft,
            hop_length=hop_length,
            threads=threads,
        ):
            out.write(rows)
    write_table(output_index, read_table(index))
