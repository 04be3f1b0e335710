"""Which speakers are tested on, validated on and trained on, fold by fold."""

from collections.abc import Collection, Mapping, Sequence

from serflow.corpus.copies import draw
from serflow.corpus.formats import load_format
from serflow.corpus.formats.base import Person, deal_speakers
from serflow.corpus.ids import corpus_of, of_corpus, speaker_of
from serflow.runtime.errors import UserError


def people_of(formats: Mapping[str, str]) -> dict[str, Person]:
    """Give what formats document of their speakers; ``formats`` are by name, as of a :class:`~.sources.Source`."""
    return {
        of_corpus(name, speaker): person
        for name, format_ in formats.items()
        for speaker, person in load_format(format_).people.items()
    }


def speaker_folds(speakers: Sequence[str], formats: Mapping[str, str]) -> list[list[str]]:
    """Divide speakers into folds as their format does; in a union all are dealt out, corpus by corpus.

    Raises
    ------
    UserError
        If there are too few.
    """
    if "" in formats:
        return load_format(formats[""]).speaker_folds(speakers)
    return deal_speakers(speakers, people_of(formats))


def corpora_of(formats: Mapping[str, str]) -> list[str]:
    """Give the names of the corpora of a union, each of which is a fold of ``cross-corpus``.

    Raises
    ------
    UserError
        If there is one corpus only.
    """
    if len(formats) < 2:
        raise UserError(
            "protocol cross-corpus: needs several corpora, found one; set audio to a mapping such as "
            '{"crema-d": "/data/AudioWAV", "ravdess": "/data/ravdess"}, or leave the protocol out of runs'
        )
    return sorted(formats)


def parts_of_speakers(
    labels: Mapping[str, str], tested: Collection[str], validating: Collection[str], settings: Mapping
) -> dict[str, str]:
    """Give each clip its part, by its speaker.

    Parameters
    ----------
    labels
        Clip → label.
    tested, validating
        Speakers; all others are trained on.
    settings
        ``valid`` and ``random_state`` of the section ``split``: where nobody validates since a single speaker is left,
        that share of their clips of each label does, at least one of those with two.
    """
    part_of = dict.fromkeys(validating, "valid") | dict.fromkeys(tested, "test")
    parts = {clip: part_of.get(speaker_of(clip), "train") for clip in sorted(labels)}
    if not validating:
        by_label: dict[str, list[str]] = {}
        for clip, part in parts.items():
            if part == "train":
                by_label.setdefault(labels[clip], []).append(clip)
        for clips in by_label.values():
            count = max(1, round(settings["valid"] * len(clips))) if clips[1:] else 0
            drawn = sorted(clips, key=lambda clip: draw(settings["random_state"], clip, "validation"))
            parts |= dict.fromkeys(drawn[:count], "valid")
    return parts


def cross_corpus_parts(labels: Mapping[str, str], settings: Mapping) -> list[dict[str, str]]:
    """Test on each corpus of a union in turn, and train on the others.

    Parameters
    ----------
    labels
        Clip → label.
    settings
        ``valid`` and ``random_state`` of the section ``split``, and ``formats``: about that share of the speakers who
        are not tested on validate, at least one.

    Returns
    -------
    list of dict
        For each corpus, by name, clip → part; of clips only whose label every corpus has.

    Raises
    ------
    UserError
        If there is one corpus only, or fewer than two labels are in all.
    """
    corpora = corpora_of(settings["formats"])
    found: dict[str, set[str]] = {corpus: set() for corpus in corpora}
    for clip, label in labels.items():
        found[corpus_of(clip)].add(label)
    common = set.intersection(*found.values())
    if len(common) < 2:
        has = "; ".join(f"{corpus} has {', '.join(sorted(known)) or 'none'}" for corpus, known in found.items())
        raise UserError(f"protocol cross-corpus: needs two labels that all corpora have, found {len(common)}: {has}")
    shared = {clip: label for clip, label in labels.items() if label in common}
    speakers = sorted({speaker_of(clip) for clip in shared})
    folds = []
    for corpus in corpora:
        tested = [speaker for speaker in speakers if corpus_of(speaker) == corpus]
        others = [speaker for speaker in speakers if corpus_of(speaker) != corpus]
        drawn = sorted(others, key=lambda speaker: draw(settings["random_state"], speaker, "validation"))
        count = max(1, round(settings["valid"] * len(others))) if others[1:] else 0
        folds.append(parts_of_speakers(shared, tested, drawn[:count], settings))
    return folds
