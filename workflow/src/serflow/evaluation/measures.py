"""Everything that is measured of a set of predictions, as plain dictionaries for ``evaluation.json``."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import NamedTuple

import numpy as np

from serflow.evaluation.predictions import Predictions
from serflow.metrics import calibration
from serflow.metrics.bootstrap import bootstrap_interval
from serflow.metrics.scores import STATISTICS, row_shares, scores_from_confusion

GROUPINGS = ("sex", "age", "race", "ethnicity", "language", "sentence", "level", "corpus")
FURTHER = "group_"  # how columns of the catalogue begin that are further columns of a manifest
_CURVE_POINTS = 50
_NOT_STATED = "not stated"


class Resampling(NamedTuple):
    """Number of resamples of the speakers, and their seed."""

    resamples: int
    seed: int


def intervals(sums: np.ndarray, resampling: Resampling, strata: np.ndarray | None = None) -> dict[str, dict]:
    """Return every metric with its interval, from confusion matrices per speaker (A, K, K) and strata of speakers."""
    return {name: asdict(bootstrap_interval(sums, name, *resampling, strata=strata)) for name in STATISTICS}


def measure(predictions: Predictions, classes: Sequence[str], bins: int, resampling: Resampling) -> dict:
    """Return everything that is measured of predictions; the reliability diagrams have ``bins`` bins."""
    sums = predictions.confusions()
    matrix = sums.sum(0).astype(int)
    scores = scores_from_confusion(matrix)
    per_class = {"class": classes} | {key: scores[key] for key in ("recall", "precision", "f1", "support")}
    return {
        "n_clips": len(predictions.clips),
        "n_speakers": len(sums),
        **intervals(sums, resampling, predictions.strata),
        "per_class": [dict(zip(per_class, row, strict=True)) for row in zip(*per_class.values(), strict=True)],
        "confusion": {"counts": matrix.tolist(), "row_shares": row_shares(matrix).tolist()},
        "calibration": {
            "temperatures": predictions.temperatures,
            "before": _calibration(predictions.probabilities, predictions.truth, bins),
            "after": _calibration(predictions.calibrated, predictions.truth, bins),
        },
        "risk_coverage": asdict(
            calibration.risk_coverage(predictions.probabilities.max(axis=1), predictions.correct, _CURVE_POINTS)
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
    further = [name for name in catalog if name.startswith(FURTHER)]
    rows = catalog.reindex(columns=[*GROUPINGS, *further]).loc[predictions.origins]
    rows["age"] = rows["age"].map(lambda age: f"{age // 10 * 10:.0f}–{age // 10 * 10 + 9:.0f}", na_action="ignore")
    known = rows.dropna(axis=1, how="all").astype(object).fillna(_NOT_STATED)
    return {name: _groups(predictions, known[name].to_numpy(), resampling) if name in known else [] for name in rows}


def _groups(predictions: Predictions, groups: np.ndarray, resampling: Resampling) -> list[dict]:
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
