"""Reading recordings: any rate and number of channels in, 16 kHz mono float32 out."""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile as sf

from serflow.errors import UserError

_LFS_POINTER = b"version https://git-lfs"


class Recording(NamedTuple):
    """A decoded file: ``samples`` float32 of shape (samples, channels), full scale is ±1."""

    samples: np.ndarray
    rate: int
    subtype: str


def decode(path: str | Path, content: bytes | None = None) -> Recording:
    """Decode a recording.

    Parameters
    ----------
    path
        The file; named in errors.
    content
        Its bytes, where they have been read already.

    Raises
    ------
    UserError
        If the file is missing, empty, a Git LFS pointer, no audio, or without samples.
    """
    if content is None:
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions") from error
    if not content:
        raise UserError(f"{path}: the file is empty; copy it again from its source")
    if content.startswith(_LFS_POINTER):
        raise UserError(
            f"{path}: a Git LFS pointer, not the recording: a plain zip or clone of the CREMA-D repository holds "
            "130-byte text files in place of the audio; fetch the audio with 'git lfs pull'"
        )
    try:
        with sf.SoundFile(io.BytesIO(content)) as file:
            samples = file.read(dtype="float32", always_2d=True)
            recording = Recording(samples, file.samplerate, file.subtype)
    except (sf.LibsndfileError, RuntimeError) as error:
        reason = str(error).split(": ", 1)[-1].rstrip(".")
        raise UserError(f"{path}: not a readable audio file ({reason}); replace or remove it") from error
    if not len(samples):
        raise UserError(f"{path}: holds no samples; copy it again from its source")
    return recording


def mono(recording: Recording, sampling_rate: int) -> np.ndarray:
    """Mix a recording down and resample it, as ``librosa.load`` does.

    Parameters
    ----------
    recording
        What :func:`decode` gave.
    sampling_rate
        Rate wanted, in Hz.

    Returns
    -------
    ndarray
        float32 of shape (samples,). Resampled with soxr's "HQ" recipe where the rate differs.
    """
    samples = recording.samples[:, 0] if recording.samples.shape[1] == 1 else recording.samples.mean(axis=1)
    if recording.rate != sampling_rate:
        samples = resample(samples, recording.rate, sampling_rate)
    return np.ascontiguousarray(samples)


def resample(samples: np.ndarray, rate: float, target_rate: float) -> np.ndarray:
    """Resample with soxr's "HQ" recipe to ``ceil(samples · target_rate / rate)`` samples, as librosa does."""
    import soxr

    wanted = int(np.ceil(len(samples) * (target_rate / rate)))
    resampled = soxr.resample(samples, rate, target_rate, quality="HQ")[:wanted]
    return np.pad(resampled, (0, wanted - len(resampled)))


def read_clip(path: str | Path, sampling_rate: int) -> np.ndarray:
    """Read a recording as mono float32 at ``sampling_rate``; errors are those of :func:`decode`."""
    return mono(decode(path), sampling_rate)
