"""The notebook's split: copies join the corpus, then 70/30 at random. Leaky."""

from collections.abc import Mapping, Sequence

from serflow.splits import Row
from serflow.splits.stratified import stratified_parts

TITLE = "the notebook's random split of recordings and their copies"
ORDER = 0
LEAKY = "copies of test clips, and the test speakers, are in training"
COPIES = ("pitch_shift", "time_stretch")
FORCES = {"standardize": "none"}  # the notebook feeds raw features


def split(labels: Mapping[str, str], copies: Sequence[tuple[str, str]], settings: Mapping) -> list[Row]:
    """Split recordings and copies, in the order in which the notebook appends them, together."""
    clips = [(clip, clip) for clip in sorted(labels)] + list(copies)
    parts = stratified_parts([labels[origin] for _, origin in clips], settings)
    return [(clip, origin, 0, part, labels[origin]) for (clip, origin), part in zip(clips, parts, strict=True)]
