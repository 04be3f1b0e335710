"""Recordings that are a piece of a file, as the rows of a manifest may say."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile as sf

from serflow.audio.io import LONGEST_SECONDS, Recording, check_samples, decode, mono, read_clip
from serflow.corpus.locations import Location, places_of, recording_path
from serflow.runtime.errors import UserError

# How far an end may lie beyond the file's, in seconds: times are often rounded to hundredths.
TOLERANCE = 0.01


def decode_piece(path: str | Path, start: float | None, end: float | None) -> Recording:
    """Decode a piece of a file, and read no more than that of it.

    Parameters
    ----------
    path
        The file; named in errors.
    start, end
        In seconds; None for the beginning and the end of the file.

    Raises
    ------
    UserError
        Beside the errors of :func:`serflow.audio.io.decode`, if the piece does not lie in the file.
    """
    path = Path(path)
    try:
        with path.open("rb") as opened, sf.SoundFile(opened) as file:
            seconds = file.frames / file.samplerate
            first = round((start or 0) * file.samplerate)
            last = file.frames if end is None else min(round(end * file.samplerate), file.frames)
            if first >= file.frames:
                raise UserError(f"column start: {start:g} is beyond the end of {path}, which has {seconds:.3f} s")
            if end is not None and end > seconds + TOLERANCE:
                raise UserError(f"column end: {end:g} is beyond the end of {path}, which has {seconds:.3f} s")
            if last <= first:
                raise UserError(f"column end: from {start or 0:g} to {end:g} s of {path} there is no sample")
            if last - first > LONGEST_SECONDS * file.samplerate:
                piece = (last - first) / file.samplerate
                raise UserError(f"{path}: a piece of {piece:.0f} s, above {LONGEST_SECONDS}; cut it into utterances")
            file.seek(first)
            samples = file.read(last - first, dtype="float32", always_2d=True)
            if len(samples) != last - first:
                raise UserError(f"{path}: ends before its header says; copy it again from its source")
            check_samples(path, samples)
            return Recording(samples, file.samplerate, file.subtype)
    except (sf.LibsndfileError, RuntimeError, OSError) as error:
        decode(path)  # which says what is wrong with the file
        raise UserError(f"{path}: the piece from {start or 0:g} s cannot be read ({error}); replace it") from error


def read_row(source: Location, row: Mapping, sampling_rate: int) -> np.ndarray:
    """Read the recording of a table's row as mono float32 at ``sampling_rate``.

    Parameters
    ----------
    source
        See :func:`serflow.corpus.locations.places_of`.
    row
        Has ``file`` and, where there are pieces, ``start`` and ``end``.
    sampling_rate
        In Hz.
    """
    path, start, end = recording_path(places_of(source), row["file"]), row.get("start"), row.get("end")
    if start is None and end is None:
        return read_clip(path, sampling_rate)
    return mono(decode_piece(path, start, end), sampling_rate)
