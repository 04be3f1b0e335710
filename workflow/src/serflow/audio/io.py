"""Reading recordings of any sampling rate and number of channels as mono float32 of one rate."""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile as sf

from serflow.audio.containers import PlainWav, length_fault, plain_wav
from serflow.runtime.errors import UserError
from serflow.storage import check_regular

LONGEST_SECONDS = 120  # stretching takes about 120 bytes per sample: 300 MB for this length at 16 kHz
SHORTEST_SECONDS = 0.01
RATES = (4000, 192_000)
MOST_SAMPLES = 24_000_000  # over all channels: 96 MB, or LONGEST_SECONDS of two channels at 96 kHz
LARGEST_FILE = 8 * MOST_SAMPLES
# In multiples of full scale. Programs that write 32-bit integers into a float file reach it; larger values overflow.
LOUDEST = 2.0**31
FORMATS = ("WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "MP3")
_LFS_POINTER = b"version https://git-lfs"


class Recording(NamedTuple):
    """A decoded file: ``samples`` is float32 of shape (samples, channels) with a full scale of ±1."""

    samples: np.ndarray
    rate: int
    subtype: str


def read_content(path: str | Path) -> bytes:
    """Read a file; raise ``UserError`` if it is too large, not regular (a pipe might never end) or not readable."""
    path = Path(path)
    try:
        size = check_regular(path).st_size
        if size > LARGEST_FILE:
            raise UserError(
                f"{path}: {size / 1e6:.0f} MB, above the limit of {LARGEST_FILE / 1e6:.0f} MB; cut it into "
                "utterances or remove it"
            )
        return path.read_bytes()
    except OSError as error:
        if isinstance(error, FileNotFoundError) and path.is_symlink():
            raise UserError(f"{path}: a broken link to {path.readlink()}; fix or remove it") from error
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions") from error


def decode(path: str | Path, content: bytes | None = None, *, clip: bool = True) -> Recording:
    """Decode a recording: WAV of any kind, FLAC, Ogg or MP3, whatever the suffix of its name.

    Parameters
    ----------
    path
        The file, for messages too.
    content
        Its bytes, if they have been read already.
    clip
        Whether it must be usable in a corpus. If not, any format of libsndfile, any rate and any length are allowed.

    Raises
    ------
    UserError
        If the file cannot be read, is empty, a Git LFS pointer, not audio, truncated, too short or too long, or
        contains samples that are not numbers.
    """
    content = read_content(path) if content is None else content
    if not content:
        raise UserError(f"{path}: the file is empty; copy it again from its source")
    if content.startswith(_LFS_POINTER):
        raise UserError(
            f"{path}: a Git LFS pointer, not the recording: a plain zip or clone of the CREMA-D repository has text "
            "files of 130 bytes in place of the audio; fetch the audio with 'git lfs pull'"
        )
    if fault := length_fault(content):
        raise UserError(f"{path}: {fault}")
    if plain := plain_wav(content):
        if fault := _header_fault(plain, clip):
            raise UserError(f"{path}: {fault}")
        samples = np.frombuffer(content, "<i2", plain.frames * plain.channels, plain.start)
        samples = np.multiply(samples.reshape(-1, plain.channels), np.float32(2.0**-15), dtype=np.float32)
        return Recording(samples, plain.samplerate, plain.subtype)
    try:
        with sf.SoundFile(Content(content)) as file:
            if fault := _header_fault(file, clip):
                raise UserError(f"{path}: {fault}")
            announced = file.frames
            samples = file.read(announced, dtype="float32", always_2d=True)
            recording = Recording(samples, file.samplerate, file.subtype)
    except (sf.LibsndfileError, RuntimeError) as error:
        reason = str(error).split(": ", 1)[-1].rstrip(".")
        raise UserError(f"{path}: not a readable audio file ({reason}); replace or remove it") from error
    if len(samples) < announced:
        raise UserError(
            f"{path}: truncated: its header announces {announced} samples, {len(samples)} are present; copy it again "
            "from its source"
        )
    check_samples(path, samples)
    return recording


def check_samples(path: str | Path, samples: np.ndarray, before: int = 0) -> None:
    """Raise ``UserError`` for samples, shape (samples, channels), that are NaN, infinite or above :data:`LOUDEST`.

    ``before`` is the number of samples of the file before these.
    """
    usable = (np.abs(samples) <= LOUDEST).all(axis=1)  # False for NaN too
    if not usable.all():
        first = before + int(usable.argmin())
        raise UserError(f"{path}: sample {first} is NaN, infinite or far beyond full scale; replace or remove it")


class Content(io.BytesIO):
    """Bytes as a file. libsndfile seeks before the start of broken files, and its callback must not raise an error."""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Seek to a position, or to the start if the position is before it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: len(self.getbuffer())}[whence]
        return super().seek(max(0, start + offset))


def _header_fault(file: sf.SoundFile | PlainWav, clip: bool) -> str | None:
    """Return why a file is unusable by its header, before anything is decoded or allocated."""
    rate, channels, count = file.samplerate, file.channels, file.frames
    if clip and file.format not in FORMATS:
        return f"{file.format} audio is not supported; convert it to WAV or FLAC"
    if clip and not RATES[0] <= rate <= RATES[1]:
        return f"a rate of {rate} Hz, outside {RATES[0]} to {RATES[1]}; replace or remove it"
    if count <= 0:
        return "contains no samples; copy it again from its source"
    if count < SHORTEST_SECONDS * rate:
        return f"{count} samples, less than {SHORTEST_SECONDS:g} s; replace or remove it"
    if clip and count > LONGEST_SECONDS * rate:
        return (
            f"{count / rate:.0f} s long by its header, above {LONGEST_SECONDS}; cut it into utterances, or rewrite it "
            "with ffmpeg or sox if it is not that long"
        )
    if count * channels > MOST_SAMPLES:
        return f"{count} samples in {channels} channels, above {MOST_SAMPLES} in all; mix it down or remove it"
    return None


def mono(recording: Recording, sampling_rate: int) -> np.ndarray:
    """Return a recording as mono float32 of shape (samples,) at ``sampling_rate`` Hz, as ``librosa.load`` does."""
    samples = recording.samples[:, 0] if recording.samples.shape[1] == 1 else recording.samples.mean(axis=1)
    if recording.rate != sampling_rate:
        samples = resample(samples, recording.rate, sampling_rate)
    return np.ascontiguousarray(samples)


def resample(samples: np.ndarray, rate: float, target_rate: float) -> np.ndarray:
    """Resample to ``ceil(samples · target_rate / rate)`` samples with soxr's "HQ" recipe, as librosa does."""
    import soxr

    wanted = int(np.ceil(len(samples) * (target_rate / rate)))
    resampled = soxr.resample(samples, rate, target_rate, quality="HQ")[:wanted]
    return np.pad(resampled, (0, wanted - len(resampled)))


def read_clip(path: str | Path, sampling_rate: int) -> np.ndarray:
    """Read a recording as mono float32 at ``sampling_rate``; errors are those of :func:`decode`."""
    return mono(decode(path), sampling_rate)
