"""The common length of all clips: measured, chosen so that it divides into frames, and applied."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from serflow.runtime.errors import UserError
from serflow.storage import ArrayWriter, FileArray, read_json, read_table, write_json, write_table

FIRST_FACTOR = 15
LAST_USUAL_FACTOR = 24
LAST_FACTOR = 60
SHORTEST_FRAME = 64
CLIPS_AT_ONCE = 32  # some 5 MB


def choose_length(wanted: int) -> tuple[int, int]:
    """Choose the target length and the number of frames that divides it.

    The notebook takes the smallest factor from 15 upwards of the average length, without end when
    there is none: 40,697 is a prime. Its factor is kept where it is at most 60; otherwise the nearest
    shorter length with a factor from 15 to 24 is taken, which is at most 14 samples away.

    Parameters
    ----------
    wanted
        Average or configured length in samples.

    Returns
    -------
    length, frames : int
        Target length in samples and number of frames.

    Raises
    ------
    UserError
        If the frames would be too short to hold a spectrum.
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


def measure_length(indices: Sequence[Path], setting: str | int, output: Path, target: Path) -> None:
    """Measure the average length of originals and copies and choose the common one.

    Parameters
    ----------
    indices
        Index tables of all augmented shards; not read where the length is set.
    setting
        ``"average"``, or the length in samples.
    output
        ``length.json``: the common length and how it came about.
    target
        ``target.json``: the length alone. It is what later steps read, so that a corpus of other clips
        and the same length makes none of them stale.

    Raises
    ------
    UserError
        If there are no clips.
    """
    found: dict[str, int | float] = {}
    if setting == "average":
        lengths = np.concatenate([read_table(index, ["samples"])["samples"].to_numpy() for index in indices])
        if not len(lengths):
            raise UserError("no clips to measure: the corpus is empty")
        wanted = int(lengths.sum() // len(lengths))
        found = {"clips": len(lengths), "shortest": int(lengths.min()), "longest": int(lengths.max())}
        origin = f"average over {len(lengths)} originals and copies, rounded down: {wanted}"
    else:
        wanted = int(setting)
        origin = f"set to {wanted}"
    length, frames = choose_length(wanted)
    if length == wanted:
        rule = f"{frames} is the smallest factor from {FIRST_FACTOR} upwards, as in the notebook"
    else:
        rule = (
            f"{wanted} has no factor from {FIRST_FACTOR} to {LAST_FACTOR}, where the notebook's search fails or "
            f"goes astray; {length} is the nearest shorter length with one from {FIRST_FACTOR} to "
            f"{LAST_USUAL_FACTOR}: {frames}"
        )
    chosen = {
        "target_length": length,
        "frames": frames,
        "frame_size": length // frames,
        "hop_length": length // frames // 2,
    }
    reasons = {"measured_length": wanted, "adjusted": length != wanted, "origin": origin, "rule": rule}
    write_json(output, chosen | reasons | found)
    write_json(target, chosen)


def fit(clips: Sequence[np.ndarray], length: int) -> np.ndarray:
    """Truncate or zero-pad clips, each of shape (samples,), to a float32 array of shape (clips, ``length``)."""
    fixed = np.zeros((len(clips), length), dtype=np.float32)
    for row, clip in zip(fixed, clips, strict=True):
        row[: len(clip)] = clip[:length]
    return fixed


def check_lengths(lengths: Sequence[int], expected: int) -> None:
    """Fail where clips do not all have the expected length.

    Raises
    ------
    ValueError
        With the number of clips that differ and the lengths found.
    """
    wrong = sorted({length for length in lengths if length != expected})
    if wrong:
        count = sum(length != expected for length in lengths)
        raise ValueError(f"{count} clips are not {expected} samples long: {wrong[:5]}")


def fix_length(samples: Path, index: Path, length: Path, *, output: Path, output_index: Path) -> None:
    """Bring every clip of a shard to the target length.

    Parameters
    ----------
    samples, index
        An augmented shard.
    length
        ``target.json``.
    output, output_index
        float32 of shape (clips, target length), and the clips' names and origins in the same order.

    Raises
    ------
    UserError
        If the samples are not those of the index.
    """
    target = read_json(length)["target_length"]
    table = read_table(index)
    recorded = FileArray(samples)
    ends = np.cumsum(table["samples"].to_numpy())
    if len(recorded) != (ends[-1] if len(ends) else 0):
        raise UserError(f"{samples}: does not hold what {index} says; delete both to have them made again")
    with ArrayWriter(output, (target,)) as out:
        for batch in range(0, len(ends), CLIPS_AT_ONCE):
            start = ends[batch - 1] if batch else 0
            stops = ends[batch : batch + CLIPS_AT_ONCE] - start
            fixed = fit(np.split(recorded[start : start + stops[-1]], stops[:-1]), target)
            check_lengths([len(clip) for clip in fixed], target)
            out.write(fixed)
    write_table(output_index, table.select(["clip", "origin", "kind"]))
