"""Reading recordings of any sampling rate and number of channels as mono float32 of one rate."""

import contextlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import soundfile as sf

from serflow.audio.containers import PlainWav, length_fault, plain_wav
from serflow.audio.mpeg import find_uncounted
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
_AT_ONCE = 1 << 20  # samples of all channels
_LFS_POINTER = b"version https://git-lfs"


class Recording(NamedTuple):
    """A decoded file: ``samples`` is float32 of shape (samples, channels) with a full scale of ±1.

    ``warnings`` say what is odd about the file.
    """

    samples: np.ndarray
    rate: int
    subtype: str
    warnings: Sequence[str] = ()


def read_content(path: str | Path) -> bytes:
    """Read a file; raise ``UserError`` if it is too large, not regular (a pipe might never end) or not readable."""
    path = Path(path)
    with _reading(path, path):
        size = check_regular(path).st_size
        if size > LARGEST_FILE:
            raise UserError(
                f"{path}: {size / 1e6:.0f} MB, above the limit of {LARGEST_FILE / 1e6:.0f} MB; cut it into "
                "utterances or remove it"
            )
        return path.read_bytes()


@contextlib.contextmanager
def open_recording(
    name: str | Path, source: bytes | str | Path, *, clip: bool = True, whole: bool = True
) -> Iterator[tuple[sf.SoundFile, list[str]]]:
    """Open and check a recording: WAV of any kind, FLAC, Ogg or MP3, whatever the suffix of its name.

    Whole files, parts of files, and what `predict` and the demo label are opened here.

    Parameters
    ----------
    name
        Its name in messages.
    source
        Its bytes, or the path of the file.
    clip
        Whether it must be usable in a corpus. If not, any format of libsndfile and any rate are allowed.
    whole
        Whether all of it will be read at once, so that its length is limited.

    Yields
    ------
    (soundfile.SoundFile, list of str)
        The file at its beginning, whose number of frames is exact, and what is odd about it.

    Raises
    ------
    UserError
        If the file cannot be read, is empty, a Git LFS pointer, not audio, truncated, too short or too long. An error
        of the decoder inside the block becomes one, too.
    """
    with _reading(name, source):
        if isinstance(source, bytes):
            warnings, counted = _check_content(name, source)
            raw = Content(counted or source)
        else:
            size = check_regular(source).st_size
            with Path(source).open("rb") as opened, _mapped(opened, size) as content:
                warnings, counted = _check_content(name, content)
            raw = Content(counted) if counted else os.fsencode(source)
        with sf.SoundFile(raw) as file:
            _check_header(name, file, clip, whole)
            yield file, warnings


def _mapped(file: BinaryIO, size: int) -> contextlib.AbstractContextManager[mmap | bytes]:
    """Map a file to memory, which an empty one cannot be."""
    return mmap(file.fileno(), 0, access=ACCESS_READ) if size else contextlib.nullcontext(b"")


@contextlib.contextmanager
def _reading(name: str | Path, source: bytes | str | Path) -> Iterator[None]:
    """Turn errors of the file system and the decoder into a ``UserError`` of one line."""
    try:
        yield
    except (sf.LibsndfileError, RuntimeError) as error:
        reason = str(error).split(": ", 1)[-1].rstrip(".")
        raise UserError(f"{name}: not a readable audio file ({reason}); replace or remove it") from error
    except OSError as error:
        if isinstance(error, FileNotFoundError) and Path(source).is_symlink():
            raise UserError(f"{name}: a broken link to {Path(source).readlink()}; fix or remove it") from error
        raise UserError(f"{name}: cannot be read ({error.strerror}); check the file and its permissions") from error


def _check_content(name: str | Path, content: bytes | mmap) -> tuple[list[str], bytes | None]:
    """Refuse a file that is empty, a pointer or truncated.

    Return what is odd about its length and, of an MP3 stream that does not say how many frames it has, one that does.
    """
    if not content:
        raise UserError(f"{name}: the file is empty; copy it again from its source")
    if content[: len(_LFS_POINTER)] == _LFS_POINTER:
        raise UserError(
            f"{name}: a Git LFS pointer, not the recording: a plain zip or clone of the CREMA-D repository has text "
            "files of 130 bytes in place of the audio; fetch the audio with 'git lfs pull'"
        )
    fault, stream = length_fault(content), find_uncounted(content)
    if fault and not fault.readable:
        raise UserError(f"{name}: {fault.text}")
    if stream and stream.fault:
        raise UserError(f"{name}: {stream.fault}")
    counted = stream.tag + content[stream.start : stream.stop] if stream else None
    return [fault.text] if fault else [], counted


def decode(path: str | Path, content: bytes | None = None) -> Recording:
    """Decode a recording of a corpus.

    Parameters
    ----------
    path
        The file, for messages too.
    content
        Its bytes, if they have been read already.

    Raises
    ------
    UserError
        As :func:`open_recording`, and if it contains samples that are not numbers.
    """
    content = read_content(path) if content is None else content
    if plain := plain_wav(content):
        _check_content(path, content)
        _check_header(path, plain, clip=True, whole=True)
        samples = np.frombuffer(content, "<i2", plain.frames * plain.channels, plain.start)
        samples = np.multiply(samples.reshape(-1, plain.channels), np.float32(2.0**-15), dtype=np.float32)
        return Recording(samples, plain.samplerate, plain.subtype)
    with open_recording(path, content) as (file, warnings):
        return Recording(read_samples(path, file, file.frames), file.samplerate, file.subtype, warnings)


def read_samples(name: str | Path, file: sf.SoundFile, count: int, before: int = 0) -> np.ndarray:
    """Read samples from where a file is, ``before`` from its beginning: float32 of shape (count, channels).

    Raises
    ------
    UserError
        If there are fewer, or some are NaN, infinite or above :data:`LOUDEST`.
    """
    samples = file.read(count, dtype="float32", always_2d=True)
    if len(samples) < count:
        raise UserError(
            f"{name}: truncated: its header announces {file.frames} samples, {before + len(samples)} are present; copy "
            "it again from its source"
        )
    check_samples(name, samples, before)
    return samples


def read_mixed(
    name: str | Path,
    file: sf.SoundFile,
    first: int,
    count: int,
    hear: Callable[[np.ndarray, np.ndarray], object] = lambda read, mixed: None,
) -> Iterator[np.ndarray]:
    """Yield samples of a file block by block, mixed down, so that a long recording needs little memory.

    Parameters
    ----------
    name, file
        As in :func:`read_samples`.
    first
        Where the file is, in samples from its beginning.
    count
        Number of samples.
    hear
        Called with each block, float32 of shape (samples, channels), and the mix of its channels.
    """
    done, stop = first, first + count
    while done < stop:
        block = read_samples(name, file, min(stop - done, max(1, _AT_ONCE // file.channels)), done)
        done += len(block)
        mixed = mix_down(block)
        hear(block, mixed)
        yield mixed


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


def _check_header(name: str | Path, file: sf.SoundFile | PlainWav, clip: bool, whole: bool) -> None:
    """Refuse a file that is unusable by its header, before anything is decoded or allocated."""
    rate, fault = file.samplerate, None
    if clip and file.format not in FORMATS:
        fault = f"{file.format} audio is not supported; convert it to WAV or FLAC"
    elif clip and not RATES[0] <= rate <= RATES[1]:
        fault = f"a rate of {rate} Hz, outside {RATES[0]} to {RATES[1]}; replace or remove it"
    elif file.frames <= 0:
        fault = "contains no samples; copy it again from its source"
    if fault:
        raise UserError(f"{name}: {fault}")
    if whole:
        check_length(name, file, file.frames, clip=clip)


def check_length(name: str | Path, file: sf.SoundFile | PlainWav, count: int, *, clip: bool = True) -> None:
    """Refuse to read so many samples of a file at once if they are too few or too many.

    ``clip`` is whether they are a recording of a corpus.
    """
    rate, channels, fault = file.samplerate, file.channels, None
    if count < SHORTEST_SECONDS * rate:
        fault = f"{count} samples, less than {SHORTEST_SECONDS:g} s; replace or remove it"
    elif clip and count > LONGEST_SECONDS * rate:
        known = " by its header" if count == file.frames else ""
        fault = (
            f"{count / rate:.0f} s long{known}, above {LONGEST_SECONDS}; cut it into utterances, or rewrite it with "
            "ffmpeg or sox if it is not that long"
        )
    elif count * channels > MOST_SAMPLES:
        fault = f"{count} samples in {channels} channels, above {MOST_SAMPLES} in all; mix it down or remove it"
    if fault:
        raise UserError(f"{name}: {fault}")


def mono(recording: Recording, sampling_rate: int) -> np.ndarray:
    """Return a recording as mono float32 of shape (samples,) at ``sampling_rate`` Hz, as ``librosa.load`` does."""
    return resample(mix_down(recording.samples), recording.rate, sampling_rate)


def mix_down(samples: np.ndarray) -> np.ndarray:
    """Return the mean of the channels, float32 of shape (samples,)."""
    return np.ascontiguousarray(samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1))


def resample(samples: np.ndarray, rate: float, target_rate: float) -> np.ndarray:
    """Resample to ``ceil(samples · target_rate / rate)`` samples with soxr's "HQ" recipe, as librosa does."""
    if rate == target_rate:
        return samples
    import soxr

    wanted = int(np.ceil(len(samples) * (target_rate / rate)))
    resampled = soxr.resample(samples, rate, target_rate, quality="HQ")[:wanted]
    return np.pad(resampled, (0, wanted - len(resampled)))


def read_clip(path: str | Path, sampling_rate: int) -> np.ndarray:
    """Read a recording as mono float32 at ``sampling_rate``; errors are those of :func:`decode`."""
    return mono(decode(path), sampling_rate)
