"""The common length of all clips: measured, chosen so that it divides into frames, and applied."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from serflow import storage
from serflow.corpus.copies import NOTEBOOK
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
        Indices of the recordings and copies of all shards; not read if the length is set. Of the copies those of the
        kinds that the notebook has are measured.
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
        usable = (_usable(storage.read_table(index).to_pylist(), NOTEBOOK) for index in indices)
        lengths = np.array([row["length"] for rows in usable for row in rows])
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


def _usable(rows: Sequence[dict], copies: Sequence[str]) -> list[dict]:
    """Return rows of an index without recordings that cannot be used, and without copies of other kinds."""
    return [row for row in rows if row["length"] and row.get("kind", copies[0]) in copies]


def truncate_or_pad(clips: Sequence[np.ndarray], length: int) -> np.ndarray:
    """Truncate or zero-pad clips of shape (samples,) to a float32 array of shape (clips, ``length``)."""
    fixed = np.zeros((len(clips), length), dtype=np.float32)
    for row, clip in zip(fixed, clips, strict=True):
        row[: len(clip)] = clip[:length]
    return fixed


def fix_length(
    samples: Sequence[Path],
    indices: Sequence[Path],
    length: Path,
    *,
    copies: Sequence[str],
    output: Path,
    output_index: Path,
) -> None:
    """Truncate or pad every recording and copy of a shard to the common length.

    Parameters
    ----------
    samples, indices
        Arrays of clips end to end, the recordings and the copies of a shard, and their indices.
    length
        ``target.json``.
    copies
        Kinds of copies to take.
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
            known, recorded = storage.read_table(index).to_pylist(), storage.FileArray(path)
            clips = _usable(known, copies)
            if len(recorded) != sum(row["length"] for row in known):
                raise UserError(f"{path}: does not hold the clips of {index}; delete both to have them made again")
            for place in range(0, len(clips), CLIPS_AT_ONCE):
                batch = clips[place : place + CLIPS_AT_ONCE]
                first = batch[0]["offset"]
                held = recorded[first : batch[-1]["offset"] + batch[-1]["length"]]
                taken = [held[row["offset"] - first :][: row["length"]] for row in batch]
                out.write(truncate_or_pad(taken, target))
            rows += [(row["clip"], row.get("origin", row["clip"]), row.get("kind", "original")) for row in clips]
    storage.write_table(output_index, storage.table_of(rows, dict.fromkeys(("clip", "origin", "kind"), "string")))
