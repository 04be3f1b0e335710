"""Folds of whole speakers: tested on one group, validated on the next, trained on the others."""

from collections.abc import Mapping, Sequence

from serflow.splits import Row
from serflow.splits.folds import parts_of_speakers, rows_of_fold, speaker_folds

TITLE = "each fold tests on speakers that its model was not trained on"
ORDER = 2
APART = ("speaker",)
SETTINGS = ("valid", "random_state", "folds")


def count_folds(speakers: Sequence[str], formats: Mapping[str, str], settings: Mapping) -> int:
    """Count the groups of speakers."""
    return len(speaker_folds(speakers, formats, settings["folds"]))


def split(labels: Mapping[str, str], copies: Sequence[tuple[str, str]], settings: Mapping) -> list[Row]:
    """Test on each group of speakers in turn; the next group validates.

    If each group is one speaker, the next fifth of the other speakers validates. With two groups none would be left to
    train on. Then the last fifth of the other group's speakers validates or, if it has a single speaker, a share of
    their clips.
    """
    members = speaker_folds(settings["speakers"], settings["formats"], settings["folds"])
    one_each = all(len(group) == 1 for group in members)
    rows = []
    for fold, tested in enumerate(members):
        others = [*members[fold + 1 :], *members[:fold]]
        validating = others[0]
        if not members[2:]:
            validating = validating[-max(1, len(validating) // 5) :] if validating[1:] else []
        elif one_each:
            validating = [speaker for (speaker,) in others[: max(1, round(len(others) / 5))]]
        parts = parts_of_speakers(labels, tested, validating, settings)
        rows += rows_of_fold("speaker-independent", fold, parts, labels, copies)
    return rows
