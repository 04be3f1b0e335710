"""Folds of whole speakers: tested on one group, validated on the next, trained on the others."""

from collections.abc import Mapping, Sequence

from serflow.splits import Row
from serflow.splits.folds import parts_of_speakers, rows_of_fold, speaker_folds

TITLE = "each fold tests on speakers that its model was not trained on"
ORDER = 2
APART = ("speaker",)
HEADLINE = True


def count_folds(speakers: Sequence[str], formats: Mapping[str, str], table: str | None) -> int:
    """Count the groups of speakers."""
    return len(speaker_folds(speakers, formats))


def split(labels: Mapping[str, str], copies: Sequence[tuple[str, str]], settings: Mapping) -> list[Row]:
    """Test on each group of speakers in turn.

    With two groups none is left to train on. Then the last fifth of the other group's speakers validate or, if it has
    a single speaker, a share of their clips.
    """
    members = speaker_folds(settings["speakers"], settings["formats"])
    rows = []
    for fold, tested in enumerate(members):
        following = members[(fold + 1) % len(members)]
        fifth = following[-max(1, len(following) // 5) :] if following[1:] else []
        parts = parts_of_speakers(labels, tested, following if members[2:] else fifth, settings)
        rows += rows_of_fold("speaker-independent", fold, parts, labels, copies)
    return rows
