"""Every measure of a set of answers, as plain dictionaries for ``evaluation.json``."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import NamedTuple

import numpy as np

from serflow.evaluation.predictions import Predictions
from serflow.evaluation.references import chance, human_reference, majority_class, majority_shares, votes_on
from serflow.metrics import calibration
from serflow.metrics.bootstrap import bootstrap_interval, speaker_confusions
from serflow.metrics.scores import STATISTICS, row_shares, scores_from_confusion

_CURVE_POINTS = 50
_NOT_STATED = "not stated"


class Resampling(NamedTuple):
    """How many resamples of speakers, and the seed that they are drawn with."""

    resamples: int
    seed: int


def intervals(sums: np.ndarray, resampling: Resampling) -> dict[str, dict]:
    """Give UAR, accuracy and both F1 with their intervals, of confusion matrices by speaker (A, K, K)."""
    return {name: interval(sums, name, resampling) for name in STATISTICS}


def interval(sums: np.ndarray, statistic: str, resampling: Resampling) -> dict:
    """Give one statistic with its interval."""
    return asdict(bootstrap_interval(sums, statistic, resampling.resamples, resampling.seed))


def measure(answers: Predictions, classes: Sequence[str], bins: int, resampling: Resampling) -> dict:
    """Measure a set of answers.

    Parameters
    ----------
    answers
        On test clips.
    classes
        Names of the K classes.
    bins
        Of the reliability diagrams.
    resampling
        For the intervals.
    """
    sums = answers.confusions()
    matrix = sums.sum(0).astype(int)
    scores = scores_from_confusion(matrix)
    per_class = zip(classes, *(scores[key] for key in ("recall", "precision", "f1", "support")), strict=True)
    return {
        "n_clips": len(answers.clips),
        "n_speakers": len(sums),
        **intervals(sums, resampling),
        "per_class": [
            {"class": name, "recall": recall, "precision": precision, "f1": f1, "support": support}
            for name, recall, precision, f1, support in per_class
        ],
        "confusion": {"counts": matrix.tolist(), "row_shares": row_shares(matrix).tolist()},
        "calibration": {
            "temperatures": answers.temperatures,
            "before": _calibration(answers.probabilities, answers.truth, bins),
            "after": _calibration(answers.scaled, answers.truth, bins),
        },
        "risk_coverage": asdict(
            calibration.risk_coverage(answers.probabilities.max(axis=1), answers.right, _CURVE_POINTS)
        ),
    }


def _calibration(probabilities: np.ndarray, truth: np.ndarray, bins: int) -> dict:
    diagram = asdict(calibration.reliability(probabilities, truth, bins))
    return {
        "brier": calibration.brier_score(probabilities, truth),
        "nll": calibration.negative_log_likelihood(probabilities, truth),
        "ece": diagram.pop("error"),
        "reliability": diagram,
    }


def age_band(age: int | None) -> str | None:
    """Give an age's decade, such as ``"20–29"``."""
    return None if age is None else f"{age // 10 * 10}–{age // 10 * 10 + 9}"


GROUPINGS = {
    "sex": lambda row: row["sex"],
    "age": lambda row: age_band(row["age"]),
    "race": lambda row: row["race"],
    "ethnicity": lambda row: row["ethnicity"],
    "sentence": lambda row: row["sentence"],
    "level": lambda row: row["level"],
    "corpus": lambda row: row.get("corpus"),
}


def by_group(answers: Predictions, catalog: Mapping[str, Mapping], resampling: Resampling) -> dict[str, list[dict]]:
    """Give the UAR of each group of clips, with its interval and size.

    Parameters
    ----------
    answers
        On test clips.
    catalog
        Clip → its row in the catalogue; a copy is of its origin's group.
    resampling
        For the intervals.

    Returns
    -------
    dict
        For each of :data:`GROUPINGS` its groups in sorted order. UAR is the mean over the classes that a group
        has; ``classes`` says how many those are. A grouping of which the corpus knows nothing is an empty list.
    """
    found = {}
    for name, group_of in GROUPINGS.items():
        groups = np.array([group_of(catalog[origin]) or _NOT_STATED for origin in answers.origins])
        names = sorted(set(groups))
        found[name] = [] if names == [_NOT_STATED] else [_group(answers, groups, group, resampling) for group in names]
    return found


def _group(answers: Predictions, groups: np.ndarray, group: str, resampling: Resampling) -> dict:
    within = answers.where(groups == group)
    return {
        "group": group,
        "n_clips": len(within.clips),
        "n_speakers": len(set(within.speakers)),
        "classes": len(set(within.truth)),
        "uar": interval(within.confusions(), "uar", resampling),
    }


def references(
    answers: Predictions,
    fold_answers: Sequence[Predictions],
    votes: Mapping,
    classes: Sequence[str],
    resampling: Resampling,
) -> dict:
    """Measure what a model is compared with, on its own test clips.

    Parameters
    ----------
    answers, fold_answers
        Pooled and by fold.
    votes
        Clip → counts, in the order of ``classes``.
    classes, resampling
        As in :func:`measure`.

    Returns
    -------
    dict
        ``chance``; ``majority_class``: each fold's most frequent training class; ``human``: one listener and
        the majority, on those test clips that have votes, ``n_clips`` of ``n_test``. Nobody listened to an
        augmented copy, so copies are not among them. None where no test clip has votes.
    """
    guessed = [
        np.full(len(fold.truth), majority_class(fold.train_truth[0], fold.truth, len(classes))[0])
        for fold in fold_answers
    ]
    sums = speaker_confusions(answers.speakers, answers.truth, np.concatenate(guessed), len(classes))
    return {
        "chance": chance(len(classes)),
        "majority_class": {
            "classes": [classes[codes[0]] for codes in guessed],
            "n_clips": len(answers.clips),
            **intervals(sums, resampling),
        },
        "human": _human(answers, votes, classes, resampling),
    }


def _human(answers: Predictions, votes: Mapping, classes: Sequence[str], resampling: Resampling) -> dict | None:
    voted, counts = votes_on(votes, list(answers.clips))
    if not voted.any():
        return None
    truth, speakers = answers.truth[voted], answers.speakers[voted]
    scores = human_reference(counts, truth)
    shares = {"listener": counts, "majority": majority_shares(counts)}
    return {"n_clips": int(voted.sum()), "n_test": len(voted)} | {
        name: {
            **intervals(speaker_confusions(speakers, truth, given, len(classes)), resampling),
            "recall": dict(zip(classes, scores[name]["recall"], strict=True)),
        }
        for name, given in shares.items()
    }
