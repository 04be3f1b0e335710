"""The common length of all clips: measured, chosen so that it divides into frames, and applied."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from serflow import storage
from serflow.runtime.errors import UserError

FIRST_FACTOR = 15
LAST_USUAL_FACTOR = 24
LAST_FACTOR = 60
SHORTEST_FRAME = 64
CLIPS_AT_ONCE = 32  # some 5 MB


def choose_length(wanted: int) -> tuple[int, int]:
    """Return the common length for a ``wanted`` one, both in samples, and the number of frames that divides it.

    The notebook takes the smallest factor from 15 upwards of the average length, and finds none for a prime such as
    40,697. Its factor is kept if it is at most 60; otherwise the nearest shorter length with a factor from 15 to 24 is
    taken, which is at most 14 samples shorter. ``UserError`` if the frames would be too short to hold a spectrum.
    """
    length, frames = wanted, _factor(wanted, LAST_FACTOR)
    while frames is None:
        length -= 1
        frames = _factor(length, LAST_USUAL_FACTOR)
    if length // frames < SHORTEST_FRAME:
        raise UserError(
            f"a clip length of {wanted} samples gives frames of {length // frames}, fewer than {SHORTEST_FRAME}: "
            "too short for features; use longer recordings or set 'length'"
        )
    return length, frames


def _factor(length: int, last: int) -> int | None:
    return next((factor for factor in range(FIRST_FACTOR, last + 1) if length % factor == 0), None)


def measure_length(indices: Sequence[Path], *, setting: str, output: Path, target: Path) -> None:
    """Choose the common length of all clips and the frames that divide it.

    Parameters
    ----------
    indices
        Indices of the recordings and copies of all shards; not read if the length is set.
    setting
        ``average``, or the length in samples.
    output
        ``length.json``: the common length and how it was chosen.
    target
        ``target.json``: the length alone. Later steps read this file, so that another corpus with the same length
        makes none of them stale.

    Raises
    ------
    UserError
        If there are no clips.
    """
    found = {}
    if setting == "average":
        lengths = np.concatenate([storage.read_table(index, ["length"])["length"].to_numpy() for index in indices])
        lengths = lengths[lengths > 0]  # unusable recordings have no samples
        if not len(lengths):
            raise UserError("no clips to measure: the corpus is empty")
        wanted = int(lengths.sum() // len(lengths))
        found = {"clips": len(lengths), "shortest": int(lengths.min()), "longest": int(lengths.max())}
        origin = f"average over {len(lengths)} recordings and copies, rounded down: {wanted}"
    else:
        wanted = int(setting)
        origin = f"set to {wanted}"
    length, frames = choose_length(wanted)
    if length == wanted:
        rule = f"{frames} is the smallest factor from {FIRST_FACTOR} upwards, as in the notebook"
    else:
        rule = (
            f"{wanted} has no factor from {FIRST_FACTOR} to {LAST_FACTOR}; {length} is the nearest shorter length with "
            f"one from {FIRST_FACTOR} to {LAST_USUAL_FACTOR}: {frames}"
        )
    size = length // frames
    chosen = {"target_length": length, "frames": frames, "frame_size": size, "hop_length": size // 2}
    reasons = {"measured_length": wanted, "adjusted": length != wanted, "origin": origin, "rule": rule}
    storage.write_json(output, chosen | reasons | found)
    storage.write_json(target, chosen)


def truncate_or_pad(clips: Sequence[np.ndarray], length: int) -> np.ndarray:
    """Truncate or zero-pad clips of shape (samples,) to a float32 array of shape (clips, ``length``)."""
    fixed = np.zeros((len(clips), length), dtype=np.float32)
    for row, clip in zip(fixed, clips, strict=True):
        row[: len(clip)] = clip[:length]
    return fixed


def fix_length(
    samples: Sequence[Path], indices: Sequence[Path], length: Path, *, output: Path, output_index: Path
) -> None:
    """Truncate or pad every recording and copy of a shard to the common length.

    Parameters
    ----------
    samples, indices
        Arrays of clips end to end, the recordings and the copies of a shard, and their indices.
    length
        ``target.json``.
    output, output_index
        float32 array of shape (clips, common length), and the names of the clips in the same order with their
        ``origin`` and ``kind`` (``original`` for a recording).

    Raises
    ------
    UserError
        If an array does not hold the clips of its index.
    """
    target = storage.read_json(length)["target_length"]
    rows = []
    with storage.ArrayWriter(output, (target,)) as out:
        for path, index in zip(samples, indices, strict=True):
            clips = [row for row in storage.read_table(index).to_pylist() if row["length"]]
            recorded, ends = storage.FileArray(path), np.cumsum([row["length"] for row in clips], dtype=np.int64)
            if len(recorded) != (ends[-1] if len(ends) else 0):
                raise UserError(f"{path}: does not hold the clips of {index}; delete both to have them made again")
            for batch in range(0, len(ends), CLIPS_AT_ONCE):
                start = ends[batch - 1] if batch else 0
                stops = ends[batch : batch + CLIPS_AT_ONCE] - start
                out.write(truncate_or_pad(np.split(recorded[start : start + stops[-1]], stops[:-1]), target))
            rows += [(row["clip"], row.get("origin", row["clip"]), row.get("kind", "original")) for row in clips]
    storage.write_table(output_index, storage.table_of(rows, dict.fromkeys(("clip", "origin", "kind"), "string")))
