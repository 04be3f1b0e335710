"""Folds: groups of speakers, and the rows of a split table."""

from collections.abc import Collection, Mapping, Sequence

from serflow.corpus.copies import random_number
from serflow.corpus.formats import load_formats
from serflow.corpus.ids import speaker_of
from serflow.corpus.listing import Person, documented_people
from serflow.runtime.errors import UserError
from serflow.splits import PARTS, Row

FOLDS = 5  # at most, for corpora without published folds
PUBLISHED, ONE_EACH = "published", "leave-one-speaker-out"


def speaker_folds(speakers: Sequence[str], formats: Mapping[str, str], folds: str | int) -> list[list[str]]:
    """Divide speakers into folds.

    Folds that are dealt out depend on who speaks and not on how much, so that a lost clip does not change them, and
    each has about as many women as the others.

    Parameters
    ----------
    speakers
        All speakers.
    formats
        Name of each corpus of a union (empty for a single corpus) → its format.
    folds
        ``split.folds``: a number, ``leave-one-speaker-out``, or ``published``, the folds of the format. For a union
        and for a format without such folds, ``published`` is :data:`FOLDS`, or fewer with fewer speakers.

    Raises
    ------
    UserError
        If there are too few speakers.
    """
    modules = load_formats(formats)
    if folds == PUBLISHED and "" in modules and hasattr(modules[""], "published_folds"):
        return modules[""].published_folds(speakers)
    if len(speakers) < 2:
        raise UserError(
            f"protocol speaker-independent: needs at least two speakers, found {len(speakers)}; leave it out of runs"
        )
    if folds == ONE_EACH:
        return [[speaker] for speaker in sorted(speakers)]
    if isinstance(folds, int) and folds > len(speakers):
        raise UserError(f"config: split.folds is {folds}, but the corpus has {len(speakers)} speakers; lower it")
    people, unknown = documented_people(modules), Person(None, None)
    ordered = sorted(speakers, key=lambda speaker: (people.get(speaker, unknown).sex or "", speaker))
    count = min(FOLDS, len(ordered)) if folds == PUBLISHED else folds
    return [sorted(ordered[fold::count]) for fold in range(count)]


def parts_of_speakers(
    labels: Mapping[str, str], tested: Collection[str], validating: Collection[str], settings: Mapping
) -> dict[str, str]:
    """Return the part of each clip by its speaker; speakers who are not ``tested`` or ``validating`` are trained on.

    If nobody validates, since a single speaker is left, the share ``valid`` of their clips of each label does, at least
    one if there are two.
    """
    part_of = dict.fromkeys(validating, "valid") | dict.fromkeys(tested, "test")
    parts = {clip: part_of.get(speaker_of(clip), "train") for clip in sorted(labels)}
    return parts if validating else _with_valid_clips(parts, labels, settings)


def with_validation(parts: Mapping[str, str], labels: Mapping[str, str], settings: Mapping) -> dict[str, str]:
    """Return the part of each clip, where none validates, with a fifth of the training speakers to validate on.

    They are drawn by ``random_state``. A single training speaker validates on the share ``valid`` of the clips of each
    label.
    """
    seed = settings["random_state"]
    trained = {speaker_of(clip) for clip, part in parts.items() if part == "train"}
    if len(trained) < 2:
        return _with_valid_clips(dict(parts), labels, settings)
    order = sorted(trained, key=lambda speaker: (random_number(seed, speaker, "validation"), speaker))
    validating = set(order[: max(1, round(len(order) / 5))])
    return {
        clip: "valid" if part == "train" and speaker_of(clip) in validating else part for clip, part in parts.items()
    }


def _with_valid_clips(parts: dict[str, str], labels: Mapping[str, str], settings: Mapping) -> dict[str, str]:
    by_label: dict[str, list[str]] = {}
    for clip, part in parts.items():
        if part == "train":
            by_label.setdefault(labels[clip], []).append(clip)
    for clips in by_label.values():
        count = max(1, round(settings["valid"] * len(clips))) if clips[1:] else 0
        order = sorted(clips, key=lambda clip: random_number(settings["random_state"], clip, "validation"))
        parts |= dict.fromkeys(order[:count], "valid")
    # What overlaps a piece that validates, validates too.
    overlaps = settings.get("overlaps", {})
    validated = {overlaps.get(clip) for clip, part in parts.items() if part == "valid"} - {None}
    parts |= {clip: "valid" for clip, part in parts.items() if part == "train" and overlaps.get(clip) in validated}
    return parts


def rows_of_fold(
    protocol: str, fold: int, parts: Mapping[str, str], labels: Mapping[str, str], copies: Sequence[tuple[str, str]]
) -> list[Row]:
    """Return the rows of a fold with copies of its training clips; every part must have clips."""
    missing = [part for part in PARTS if part not in parts.values()]
    if missing:
        verb = {"valid": "validate"}.get(missing[0], missing[0])
        raise UserError(f"protocol {protocol}: fold {fold} has no clips to {verb} on; add speakers")
    return with_copies(parts, fold, labels, copies)


def with_copies(
    parts: Mapping[str, str], fold: int, labels: Mapping[str, str], copies: Sequence[tuple[str, str]]
) -> list[Row]:
    """Return the rows of a fold: every clip with its part, and the copies of training clips."""
    rows = [(clip, clip, fold, part, labels[clip]) for clip, part in parts.items()]
    made = [copy for copy in copies if parts.get(copy[1]) == "train"]
    return rows + [(clip, origin, fold, "train", labels[origin]) for clip, origin in made]
