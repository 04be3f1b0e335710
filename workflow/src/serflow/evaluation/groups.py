"""How good a run is for each group of speakers, and whether groups differ by more than chance."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from serflow.evaluation.measures import Resampling
from serflow.evaluation.predictions import EvaluatedRun, Predictions
from serflow.metrics.bootstrap import bootstrap_interval
from serflow.metrics.group_differences import chance_thresholds, group_differences, group_figures

GROUPINGS = ("sex", "age", "race", "ethnicity", "language", "sentence", "level", "corpus")
FURTHER = "group_"  # how columns of the catalogue begin that are further columns of a manifest
MIN_SPEAKERS = 5  # a group of fewer is shown and not judged
DRAWS = 1000
_NOT_STATED = "not stated"
_ROUNDING = 1e-9


def by_group(predictions: Predictions, catalog, resampling: Resampling) -> dict[str, list[dict]]:
    """Return the UAR of each group of clips, with its interval and size.

    Parameters
    ----------
    predictions
        On test clips.
    catalog
        ``pandas.DataFrame`` of the catalogue, indexed by clip. A copy belongs to the groups of its origin.
    resampling
        For the intervals.

    Returns
    -------
    dict
        For each of :data:`GROUPINGS` and each further column of a manifest its groups in sorted order. UAR is the mean
        over the classes that occur in the group, ``classes`` is their number. A grouping without any known value is an
        empty list.
    """
    return {
        name: [] if groups is None else _by_group(predictions, groups, resampling)
        for name, groups in _groupings(predictions, catalog).items()
    }


def _groupings(predictions: Predictions, catalog) -> dict[str, np.ndarray | None]:
    """Return the group of each clip by grouping, None where nothing is known."""
    further = [name for name in catalog if name.startswith(FURTHER)]
    rows = catalog.reindex(columns=[*GROUPINGS, *further]).loc[predictions.origins]
    rows["age"] = rows["age"].map(lambda age: f"{age // 10 * 10:.0f}–{age // 10 * 10 + 9:.0f}", na_action="ignore")
    known = rows.dropna(axis=1, how="all").astype(object).fillna(_NOT_STATED)
    return {name: known[name].to_numpy() if name in known else None for name in rows}


def _by_group(predictions: Predictions, groups: np.ndarray, resampling: Resampling) -> list[dict]:
    measured = []
    for group in sorted(set(groups)):
        within = predictions.where(groups == group)
        measured.append(
            {
                "group": group,
                "n_clips": len(within.clips),
                "n_speakers": len(set(within.speakers)),
                "classes": len(set(within.truth)),
                "uar": asdict(bootstrap_interval(within.confusions(), "uar", *resampling)),
            }
        )
    return measured


def compare_groups(run: EvaluatedRun, catalog, resampling: Resampling) -> dict:
    """Return how far the figures of a run differ between groups of speakers, and how far they would by chance.

    Parameters
    ----------
    run
        The run. The test clips of its folds are pooled.
    catalog
        As in :func:`by_group`.
    resampling
        For the intervals; its seed also for the thresholds.

    Returns
    -------
    dict
        ``by`` has for each grouping with known values the recall and precision of each class in each of its ``groups``
        (null where they are not defined), whether a group is ``judged``, and the ``differences`` between those that
        are: of two groups, or of each of more from all others, each with its interval and ``threshold``. ``reason``
        says why there are none. ``speakers`` has the share of each class in the truth and in the answers of each
        speaker, ``class_shares`` the mean and the greatest difference of both for each class.
    """
    predictions = run.pooled
    names, first = np.unique(predictions.speakers, return_index=True)
    sums, compared, found = predictions.confusions(), [], {}
    for name, groups in _groupings(predictions, catalog).items():
        if groups is None:
            continue
        of_speaker = groups[first]
        mixed = (of_speaker[np.searchsorted(names, predictions.speakers)] != groups).any()
        found[name] = _described(predictions, groups, run.classes, mixed=mixed)
        judged = [row["group"] for row in found[name]["groups"] if row["judged"]]
        if not found[name]["reason"]:
            compared += _pairs(name, judged, of_speaker)
    if compared:
        inside, outside = (np.array(members) for members in zip(*(pair[2:] for pair in compared), strict=True))
        thresholds = chance_thresholds(sums, inside, outside, DRAWS, resampling.seed)
        for (name, labels, *members), limits in zip(compared, thresholds, strict=True):
            differences = group_differences(*(sums[member] for member in members), *resampling)
            found[name]["differences"] += _rows(labels, differences, limits, run.classes)
    return {"draws": DRAWS, "min_speakers": MIN_SPEAKERS, "by": found, **_class_shares(names, sums, run.classes)}


def _described(predictions: Predictions, groups: np.ndarray, classes: Sequence[str], *, mixed: bool) -> dict:
    rows = []
    for group in sorted(set(groups)):
        within = predictions.where(groups == group)
        sums = within.confusions()
        _, *figures = group_figures(sums.sum(0)).tolist()
        shares = [None if math.isnan(value) else value for value in figures]
        rows.append(
            {
                "group": group,
                "n_clips": len(within.clips),
                "n_speakers": len(sums),
                "judged": not mixed and len(sums) >= MIN_SPEAKERS and group != _NOT_STATED,
                "recall": dict(zip(classes, shares[: len(classes)], strict=True)),
                "precision": dict(zip(classes, shares[len(classes) :], strict=True)),
            }
        )
    reason = None
    if mixed:
        reason = "clips of one speaker are in several of these groups"
    elif sum(row["judged"] for row in rows) < 2:
        reason = f"fewer than two groups have {MIN_SPEAKERS} speakers"
    return {"groups": rows, "reason": reason, "differences": []}


def _pairs(name: str, judged: Sequence[str], of_speaker: np.ndarray) -> list[tuple]:
    """Return grouping, names, and the speakers in either group, for two groups or for each of more and all others."""
    if len(judged) == 2:
        a, b = judged
        return [(name, (a, b), of_speaker == a, of_speaker == b)]
    known = np.isin(of_speaker, judged)
    return [(name, (group, None), of_speaker == group, known & (of_speaker != group)) for group in judged]


def _rows(labels: Sequence[str], differences: Sequence, limits: np.ndarray, classes: Sequence[str]) -> list[dict]:
    figures = [("uar", None), *(("recall", each) for each in classes), *(("precision", each) for each in classes)]
    rows = []
    for (figure, class_), difference, limit in zip(figures, differences, limits.tolist(), strict=True):
        known = not math.isnan(difference.value)
        rows.append(
            {"a": labels[0], "b": labels[1], "figure": figure, "class": class_}
            | asdict(difference)
            | {"value": difference.value if known else None, "threshold": None if math.isnan(limit) else limit}
            | {"more_than_chance": known and abs(difference.value) > limit + _ROUNDING}
        )
    return rows


def _class_shares(names: np.ndarray, sums: np.ndarray, classes: Sequence[str]) -> dict:
    clips = sums.sum(axis=(1, 2))
    true, predicted = (sums.sum(axis=axis) / clips[:, None] for axis in (2, 1))
    apart = np.abs(predicted - true)
    return {
        "speakers": [
            {"speaker": str(name), "n_clips": int(count), "true": of_truth, "predicted": of_answers}
            for name, count, of_truth, of_answers in zip(names, clips, true.tolist(), predicted.tolist(), strict=True)
        ],
        "class_shares": [
            {
                "class": class_,
                "true": float(true[:, code].mean()),
                "predicted": float(predicted[:, code].mean()),
                "mean_difference": float(apart[:, code].mean()),
                "greatest": {
                    "speaker": str(names[most]),
                    "true": float(true[most, code]),
                    "predicted": float(predicted[most, code]),
                },
            }
            for code, class_ in enumerate(classes)
            for most in [int(apart[:, code].argmax())]
        ],
    }


def greatest_difference(compared: Mapping) -> dict | None:
    """Return the difference of :func:`compare_groups` that is greatest beside its threshold, with ``by``; None without.

    It is above its threshold if any is.
    """
    rows = [
        row | {"by": name}
        for name, grouping in compared["by"].items()
        for row in grouping["differences"]
        if row["value"] is not None and row["threshold"] is not None
    ]
    return max(rows, key=_beside_threshold, default=None)


def _beside_threshold(row: Mapping) -> float:
    if row["threshold"]:
        return abs(row["value"]) / row["threshold"]
    return math.inf if row["more_than_chance"] else 0.0
