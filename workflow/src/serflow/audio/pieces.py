"""Recordings that are a part of a file, given by start and end in a manifest."""

from pathlib import Path

import soundfile as sf

from serflow.audio.io import LONGEST_SECONDS, Recording, check_samples, decode
from serflow.runtime.errors import UserError
from serflow.storage import check_regular

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
        As :func:`serflow.audio.io.decode`, and if the part does not lie in the file.
    """
    path = Path(path)
    try:
        check_regular(path)
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
        decode(path)  # raises what is wrong with the file
        raise UserError(f"{path}: the piece from {start or 0:g} s cannot be read ({error}); replace it") from error
