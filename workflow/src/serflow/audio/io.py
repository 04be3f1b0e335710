"""Reading recordings: any rate and number of channels in, 16 kHz mono float32 out."""

import io
import stat
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile as sf

from serflow.audio.containers import PlainWav, length_fault, plain_wav
from serflow.runtime.errors import UserError

# What is longer is no clip of one emotion. A job takes some 120 bytes per sample to stretch it: 300 MB for this, at
# 16 kHz and the default rates.
LONGEST_SECONDS = 120
SHORTEST_SECONDS = 0.01
RATES = (4000, 192_000)
# Samples of all channels, which take 96 MB; this is LONGEST_SECONDS of two channels at 96 kHz.
MOST_SAMPLES = 24_000_000
LARGEST_FILE = 8 * MOST_SAMPLES
# In multiples of full scale: what a program writes that puts 32-bit integers into a float file. More overflows.
LOUDEST = 2.0**31
FORMATS = ("WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "MP3")
_LFS_POINTER = b"version https://git-lfs"


class Recording(NamedTuple):
    """A decoded file: ``samples`` float32 of shape (samples, channels), full scale is ±1."""

    samples: np.ndarray
    rate: int
    subtype: str


def read_content(path: str | Path) -> bytes:
    """Read a file of at most LARGEST_FILE bytes.

    Raises
    ------
    UserError
        If it is missing, larger, no regular file (a pipe would never end), or may not be read.
    """
    path = Path(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UserError(f"{path}: a folder, not a recording; rename or remove it")
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{path}: a pipe, socket or device, not a recording; remove it")
        if status.st_size > LARGEST_FILE:
            raise UserError(
                f"{path}: {status.st_size / 1e6:.0f} MB, more than the {LARGEST_FILE / 1e6:.0f} that a clip may have; "
                "cut it into utterances or remove it"
            )
        return path.read_bytes()
    except OSError as error:
        if isinstance(error, FileNotFoundError) and path.is_symlink():
            raise UserError(f"{path}: a link to {path.readlink()}, which is not there; mend or remove it") from error
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions") from error


def decode(path: str | Path, content: bytes | None = None, *, clip: bool = True) -> Recording:
    """Decode a recording: WAV of any kind, FLAC, Ogg or MP3, whatever its name ends in.

    Parameters
    ----------
    path
        The file; named in errors.
    content
        Its bytes, where they have been read already.
    clip
        Whether it must be fit for a corpus. If not, it may be of any format that libsndfile knows, any rate and length.

    Raises
    ------
    UserError
        If the file cannot be read, is empty, a Git LFS pointer, no audio, truncated, too short, too long, or
        holds samples that are no numbers.
    """
    content = read_content(path) if content is None else content
    if not content:
        raise UserError(f"{path}: the file is empty; copy it again from its source")
    if content.startswith(_LFS_POINTER):
        raise UserError(
            f"{path}: a Git LFS pointer, not the recording: a plain zip or clone of the CREMA-D repository holds "
            "130-byte text files in place of the audio; fetch the audio with 'git lfs pull'"
        )
    if fault := length_fault(content):
        raise UserError(f"{path}: {fault}")
    if plain := plain_wav(content):
        if fault := _header_fault(plain, clip):
            raise UserError(f"{path}: {fault}")
        samples = np.frombuffer(content, "<i2", plain.frames * plain.channels, plain.start)
        return Recording(_as_float(samples.reshape(-1, plain.channels)), plain.samplerate, plain.subtype)
    try:
        with sf.SoundFile(Content(content)) as file:
            if fault := _header_fault(file, clip):
                raise UserError(f"{path}: {fault}")
            announced = file.frames
            samples = _samples_of(file)
            recording = Recording(samples, file.samplerate, file.subtype)
    except (sf.LibsndfileError, RuntimeError) as error:
        reason = str(error).split(": ", 1)[-1].rstrip(".")
        raise UserError(f"{path}: not a readable audio file ({reason}); replace or remove it") from error
    if len(samples) < announced:
        raise UserError(
            f"{path}: truncated: {announced} samples announced, {len(samples)} there; copy it again from its source"
        )
    check_samples(path, samples)
    return recording


def _samples_of(file: sf.SoundFile) -> np.ndarray:
    """Read all samples as float32; libsndfile takes twice as long to convert 16-bit ones, to the same values."""
    if file.subtype != "PCM_16":
        return file.read(file.frames, dtype="float32", always_2d=True)
    return _as_float(file.read(file.frames, dtype="int16", always_2d=True))


def _as_float(samples: np.ndarray) -> np.ndarray:
    """Bring 16-bit integers to a full scale of ±1, float32."""
    return np.multiply(samples, np.float32(2.0**-15), dtype=np.float32)


def check_samples(path: str | Path, samples: np.ndarray, before: int = 0) -> None:
    """Refuse samples that are no numbers, or beyond all that a program writes; shape (samples, channels).

    ``before`` is how many samples of the file come before these.
    """
    usable = (np.abs(samples) <= LOUDEST).all(axis=1)  # which NaN is not either
    if not usable.all():
        first = before + int(usable.argmin())
        raise UserError(f"{path}: sample {first} is NaN, infinite or absurdly large; replace or remove it")


class Content(io.BytesIO):
    """Bytes as a file. Broken ones make libsndfile seek to before the start, which must not raise in its callback."""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, or to the start if that is before it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: len(self.getbuffer())}[whence]
        return super().seek(max(0, start + offset))


def _header_fault(file: sf.SoundFile | PlainWav, clip: bool) -> str | None:
    """Say what the header shows to be unusable, before anything is decoded or allocated."""
    rate, channels, count = file.samplerate, file.channels, file.frames
    if clip and file.format not in FORMATS:
        return f"{file.format} audio, which serflow does not read; convert it to WAV or FLAC"
    if clip and not RATES[0] <= rate <= RATES[1]:
        return f"a rate of {rate} Hz, outside {RATES[0]} to {RATES[1]}; replace or remove it"
    if count <= 0:
        return "holds no samples; copy it again from its source"
    if count < SHORTEST_SECONDS * rate:
        return f"{count} samples, less than {SHORTEST_SECONDS:g} s; replace or remove it"
    if clip and count > LONGEST_SECONDS * rate:
        return (
            f"{count / rate:.0f} s long by its header, above {LONGEST_SECONDS}; cut it into utterances, or have ffmpeg "
            "or sox write it anew if it is not that long"
        )
    if count * channels > MOST_SAMPLES:
        return f"{count} samples in {channels} channels, above {MOST_SAMPLES} in all; mix it down or remove it"
    return None


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
