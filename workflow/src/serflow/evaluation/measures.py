"""Everything that is measured of a set of predictions, as plain dictionaries for ``evaluation.json``."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import NamedTuple

import numpy as np

from serflow.evaluation.predictions import Predictions
from serflow.metrics import calibration
from serflow.metrics.bootstrap import bootstrap_interval
from serflow.metrics.scores import STATISTICS, row_shares, scores_from_confusion

# Fewer clips than the first share of all are too few for a risk; the first are single clips.
_COVERAGES = np.linspace(0.05, 1, 48)


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
        "n_copies": int((predictions.clips != predictions.origins).sum()),
        "n_speakers": len(sums),
        **intervals(sums, resampling, predictions.strata),
        "per_class": [dict(zip(per_class, row, strict=True)) for row in zip(*per_class.values(), strict=True)],
        "confusion": {"counts": matrix.tolist(), "row_shares": row_shares(matrix).tolist()},
        "calibration": {
            "temperatures": predictions.temperatures,
            "before": _calibration(predictions.probabilities, predictions.truth, bins),
            "after": _calibration(predictions.calibrated, predictions.truth, bins),
        },
        "risk_coverage": _risk_coverage(predictions),
    }


def _risk_coverage(predictions: Predictions) -> dict:
    risk = calibration.expected_risk(predictions.probabilities.max(axis=1), predictions.correct)
    answered = np.unique(np.ceil(_COVERAGES * len(risk)).astype(int))
    return {
        "coverage": (answered / len(risk)).tolist(),
        "risk": risk[answered - 1].tolist(),
        "aurc": float(risk.mean()),
    }


def _calibration(probabilities: np.ndarray, truth: np.ndarray, bins: int) -> dict:
    diagram = asdict(calibration.reliability(probabilities, truth, bins))
    return {
        "brier": calibration.brier_score(probabilities, truth),
        "nll": calibration.negative_log_likelihood(probabilities, truth),
        "ece": diagram.pop("error"),
        "reliability": diagram,
    }
