"""A fold per corpus of a union: tested on it, trained on the others."""

from collections.abc import Mapping, Sequence

from serflow.corpus.copies import random_number
from serflow.corpus.ids import corpus_of, speaker_of
from serflow.runtime.errors import UserError
from serflow.splits import Row
from serflow.splits.folds import parts_of_speakers, rows_of_fold

TITLE = "each fold tests on one corpus with a model trained on the others, on the emotions that all have"
ORDER = 3
APART = ("speaker", "corpus")


def count_folds(speakers: Sequence[str], formats: Mapping[str, str], settings: Mapping) -> int:
    """Count the corpora of a union; ``UserError`` if there is one corpus only."""
    if len(formats) < 2:
        raise UserError(
            "protocol cross-corpus: needs several corpora, found one; set audio to a mapping such as "
            '{"crema-d": "/data/AudioWAV", "ravdess": "/data/ravdess"}, or leave the protocol out of runs'
        )
    return len(formats)


def split(labels: Mapping[str, str], copies: Sequence[tuple[str, str]], settings: Mapping) -> list[Row]:
    """Test on each corpus in turn, on the labels that all corpora have.

    About a fifth of the speakers of each other corpus validate, at least one if there are two.
    """
    count_folds([], settings["formats"], settings)
    corpora = sorted(settings["formats"])
    found: dict[str, set[str]] = {corpus: set() for corpus in corpora}
    for clip, label in labels.items():
        found[corpus_of(clip)].add(label)
    common = set.intersection(*found.values())
    if len(common) < 2:
        has = "; ".join(f"{corpus} has {', '.join(sorted(known)) or 'none'}" for corpus, known in found.items())
        raise UserError(f"protocol cross-corpus: needs two labels that all corpora have, found {len(common)}: {has}")
    shared = {clip: label for clip, label in labels.items() if label in common}
    speakers = sorted({speaker_of(clip) for clip in shared})
    validating = {}
    for corpus in corpora:
        own = [speaker for speaker in speakers if corpus_of(speaker) == corpus]
        order = {speaker: random_number(settings["random_state"], speaker, "validation") for speaker in own}
        validating[corpus] = sorted(own, key=order.__getitem__)[: max(1, round(len(own) / 5)) if own[1:] else 0]
    rows = []
    for fold, corpus in enumerate(corpora):
        tested = [speaker for speaker in speakers if corpus_of(speaker) == corpus]
        others = [speaker for other in corpora if other != corpus for speaker in validating[other]]
        parts = parts_of_speakers(shared, tested, others, settings)
        rows += rows_of_fold("cross-corpus", fold, parts, shared, copies)
    return rows
