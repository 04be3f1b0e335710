"""A random 70/30 split of the recordings, with copies of training clips only."""

from collections.abc import Mapping, Sequence

from serflow.splits import Row
from serflow.splits.folds import with_copies
from serflow.splits.stratified import stratified_parts

TITLE = "a random split of the recordings"
ORDER = 1


def split(labels: Mapping[str, str], copies: Sequence[tuple[str, str]], settings: Mapping) -> list[Row]:
    """Split recordings at random."""
    clips = sorted(labels)
    parts = stratified_parts([labels[clip] for clip in clips], settings)
    return with_copies(dict(zip(clips, parts, strict=True)), 0, labels, copies)
