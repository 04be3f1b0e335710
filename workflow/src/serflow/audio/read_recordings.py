"""Reading the recordings of a shard: decoded once, described, and kept at the common sampling rate."""

import functools
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from serflow import storage
from serflow.audio.io import decode, mix_down, read_content, resample
from serflow.audio.level import adjust_level
from serflow.audio.meter import LevelMeter, loudest_second
from serflow.audio.pieces import decode_piece, find_speech
from serflow.corpus.formats import FORMATS
from serflow.corpus.policy import apply_policy
from serflow.runtime.errors import UserError, printable
from serflow.runtime.progress import tell

SCHEMA = {
    "clip": "string",
    "recording": "string",
    "file": "string",
    "speaker": "string",
    "sentence": "string",
    "emotion": "string",
    "level": "string",
    "corpus": "string",
    "start": "float64",
    "end": "float64",
    "samples": "int64",
    "rate": "int32",
    "channels": "int32",
    "subtype": "string",
    "duration": "float64",
    "peak": "float32",
    "rms": "float32",
    "loudest_rms": "float32",
    "dc_offset": "float32",
    "clipped": "float32",
    "sha256": "string",
    "audio_sha256": "string",
    "problem": "string",
    "offset": "int64",
    "length": "int64",
}


def read_recordings(
    listing: Path, *, sampling_rate: int, reading: Mapping, segments: str, policy: str, output: Path, index: Path
) -> None:
    """Decode the recordings of a shard and write them end to end.

    Parameters
    ----------
    listing
        The shard's listing, ``listing/{shard}.parquet``.
    sampling_rate
        Sampling rate of the output in Hz.
    reading
        Settings of :func:`serflow.audio.level.adjust_level`.
    segments
        What a clip is: ``recordings`` for each recording, or ``speech`` for each segment of speech in it, named after
        the recording, start and end in milliseconds: ``anna_interview[1250-3875]``.
    policy
        What an unusable recording means: ``fail`` or ``exclude``.
    output
        float32 array of shape (samples,): the recordings as mono, one after the other.
    index
        One row per clip: the recording that it is or is a part of, what the file name says, rate and channels of the
        file, its level (:class:`serflow.audio.meter.LevelMeter`), RMS of the loudest second of its mixed channels
        (``loudest_rms``), sha256 of the file and of the mix of its decoded channels, ``problem`` if it is unusable, and
        where it lies in the output (``offset``, ``length``). The level is that of the file,
        before it is adjusted.

    Raises
    ------
    UserError
        Under the policy ``fail``: the first problem and their number.
    """
    rows, problems, odd = [], [], []
    with storage.ArrayWriter(output) as out:
        for row in storage.read_table(listing).to_pylist():
            for clip in _clips_of(row | {"recording": row["clip"]}, segments):
                found, samples, warnings = _read(clip, sampling_rate, reading)
                odd += [f"{os.fsdecode(row['path'])}: {'; '.join(warnings)}"] if warnings else []
                if found["problem"]:
                    problems.append(found["problem"])
                rows.append(found | {"offset": out.rows, "length": len(samples)})
                out.write(samples)
        apply_policy(policy, problems)
    if odd:
        tell(printable(f"{odd[0]}{f' (and {len(odd) - 1} more recordings of this shard are odd)' if odd[1:] else ''}"))
    storage.write_table(index, storage.table_of(rows, SCHEMA))


@functools.lru_cache(maxsize=1)  # the pieces of a file follow each other
def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _clips_of(row: dict, segments: str) -> Iterator[dict]:
    """Yield the rows of the clips that a recording is or holds; one with a problem if it holds none."""
    if segments == "recordings" or row["problem"]:
        yield row
        return
    path = Path(os.fsdecode(row["path"]))
    try:
        if not (spoken := find_speech(path, row["start"], row["end"])):
            raise UserError(f"{path}: no speech was found in it; remove it, or set segments to recordings")
    except UserError as error:
        yield _refused(row, error)
        return
    for start, end in spoken:
        name = f"{row['clip']}[{round(1000 * start)}-{round(1000 * end)}]"
        yield row | {"clip": name, "start": start, "end": end}


def _refused(row: dict, error: UserError) -> dict:
    """Return the row with the error as its problem, and where it is listed if that is a row of a table."""
    where = ""
    if row["table"] is not None:
        clip = row["recording"].removeprefix(f"{row['corpus']}:")
        where = FORMATS["manifest"].load().describe_row(Path(os.fsdecode(row["table"])), clip)
    return row | {"problem": f"{where}{error}"}


def _read(row: Mapping, sampling_rate: int, reading: Mapping) -> tuple[dict, np.ndarray, Sequence[str]]:
    """Return the row of the index, the samples, and what is odd about the file."""
    row = dict(row)
    path, nothing = Path(os.fsdecode(row["path"])), np.empty(0, np.float32)
    if row["problem"]:
        return row, nothing, ()
    try:
        if row["start"] is None and row["end"] is None:
            content = read_content(path)
            row["sha256"] = hashlib.sha256(content).hexdigest()
            recording = decode(path, content)
            del content  # as large as the samples
        else:
            recording = decode_piece(path, row["start"], row["end"])
            row["sha256"] = _digest(path)
    except UserError as error:
        return _refused(row, error), nothing, ()
    samples, mixed, level = recording.samples, mix_down(recording.samples), LevelMeter()
    level.add(samples, mixed)
    described = {
        "samples": len(samples),
        "rate": recording.rate,
        "channels": samples.shape[1],
        "subtype": recording.subtype,
        "duration": len(samples) / recording.rate,
        "peak": level.peak,
        "rms": level.rms,
        "loudest_rms": loudest_second(mixed, recording.rate),
        "dc_offset": level.dc_offset,
        "clipped": level.clipped,
        "audio_sha256": hashlib.sha256(mixed).hexdigest(),
    }
    samples = adjust_level(resample(mixed, recording.rate, sampling_rate), sampling_rate, reading)
    return row | described, samples, recording.warnings


class Recordings:
    """The recordings of some shards, each read from its array when it is asked for.

    Parameters
    ----------
    arrays, indices
        Outputs of :func:`read_recordings`, in the same order.
    """

    def __init__(self, arrays: Sequence[Path], indices: Sequence[Path]):
        self._places = {}
        for path, index in zip(arrays, indices, strict=True):
            array = storage.FileArray(path)
            columns = storage.read_table(index, ["clip", "offset", "length"]).to_pydict()
            for clip, offset, length in zip(*columns.values(), strict=True):
                self._places[clip] = array, offset, length

    def __getitem__(self, clip: str) -> np.ndarray:
        """Return a recording, float32 of shape (samples,)."""
        array, offset, length = self._places[clip]
        return array[offset : offset + length]
