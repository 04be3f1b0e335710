"""Recordings that are a part of a file, given by start and end in a manifest or by where there is speech."""

from pathlib import Path

import soundfile as sf

from serflow.audio.io import Recording, check_length, open_recording, read_mixed, read_samples
from serflow.audio.speech import SpeechDetector
from serflow.runtime.errors import UserError

# How far an end may lie beyond the end of the file, in seconds: times are often rounded to hundredths.
TOLERANCE = 0.01


def decode_piece(path: str | Path, start: float | None, end: float | None) -> Recording:
    """Decode a part of a file without reading the rest.

    Parameters
    ----------
    path
        The file; named in errors.
    start, end
        In seconds; None for the beginning and the end of the file.

    Raises
    ------
    UserError
        As :func:`serflow.audio.io.open_recording`, and if the part does not lie in the file.
    """
    with open_recording(path, path, whole=False) as (file, warnings):
        first, count = find_piece(path, file, start, end)
        check_length(path, file, count)
        file.seek(first)
        samples = read_samples(path, file, count, first)
        return Recording(samples, file.samplerate, file.subtype, warnings)


def find_speech(path: str | Path, start: float | None, end: float | None) -> list[tuple[float, float]]:
    """Return start and end of each segment of speech in a file, or in a part of it.

    Parameters
    ----------
    path
        The file; named in errors.
    start, end
        In seconds; None for the beginning and the end of the file.

    Returns
    -------
    list of (float, float)
        In seconds from the beginning of the file, in whole milliseconds.

    Raises
    ------
    UserError
        As :func:`serflow.audio.io.open_recording`, and if the part does not lie in the file.
    """
    with open_recording(path, path, whole=False) as (file, _):
        first, count = find_piece(path, file, start, end)
        detector = SpeechDetector(file.samplerate)
        if first:
            file.seek(first)
        for mixed in read_mixed(path, file, first, count):
            detector.add(mixed)
        offset = first / file.samplerate
        return [(round(offset + begin, 3), round(offset + stop, 3)) for begin, stop in detector.segments()]


def find_piece(name: str | Path, file: sf.SoundFile, start: float | None, end: float | None) -> tuple[int, int]:
    """Return the first sample of a part of a file, and the number of its samples.

    Parameters
    ----------
    name
        Of the file, in errors.
    file
        The file.
    start, end
        In seconds; None for the beginning and the end of the file.

    Raises
    ------
    UserError
        If the part does not lie in the file.
    """
    seconds = file.frames / file.samplerate
    first = round((start or 0) * file.samplerate)
    last = file.frames if end is None else min(round(end * file.samplerate), file.frames)
    if first >= file.frames:
        raise UserError(f"column start: {start:g} is beyond the end of {name}, which has {seconds:.3f} s")
    if end is not None and end > seconds + TOLERANCE:
        raise UserError(f"column end: {end:g} is beyond the end of {name}, which has {seconds:.3f} s")
    if last <= first:
        raise UserError(f"column end: {name} has no samples between {start or 0:g} and {end:g} s")
    return first, last - first
