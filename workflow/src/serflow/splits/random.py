"""A random 70/30 split of the recordings, with copies of training clips only."""

from collections.abc import Mapping, Sequence

from serflow.splits import Row
from serflow.splits.folds import with_copies
from serflow.splits.stratified import stratified_parts

TITLE = "a random split of the recordings"
ORDER = 1


def split(labels: Mapping[str, str], copies: Sequence[tuple[str, str]], settings: Mapping) -> list[Row]:
    """Split recordings at random; pieces of a file that overlap stay together."""
    overlaps = settings.get("overlaps", {})
    groups: dict[str, list[str]] = {}
    for clip in sorted(labels):
        groups.setdefault(overlaps.get(clip, clip), []).append(clip)
    parts = stratified_parts([labels[clips[0]] for clips in groups.values()], settings)
    part_of = {clip: part for clips, part in zip(groups.values(), parts, strict=True) for clip in clips}
    return with_copies(dict(sorted(part_of.items())), 0, labels, copies)
