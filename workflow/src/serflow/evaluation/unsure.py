"""What a run gains and costs if it answers "unsure" below a confidence that was chosen on validation clips."""

from collections.abc import Sequence

import numpy as np

from serflow.evaluation.predictions import EvaluatedRun
from serflow.metrics.selective import MIN_ANSWERS, accuracy_by_confidence, threshold_for


def unsure(run: EvaluatedRun, accuracies: Sequence[float]) -> list[dict]:
    """Return what each wanted accuracy leads to, with a threshold for each fold from its validation clips.

    ``thresholds`` are of the calibrated confidence; None for a fold where no threshold reaches the accuracy, all of
    whose clips are then unanswered. ``validation`` and ``test`` have ``accuracy`` (None if nothing is answered) and
    ``coverage`` of all folds together. ``reason`` says why no fold has a threshold.
    """
    return [_unsure(run, wanted) for wanted in accuracies]


def _unsure(run: EvaluatedRun, wanted: float) -> dict:
    thresholds, answered = [], {"validation": [], "test": []}
    correct = {
        "validation": np.concatenate(run.pooled.valid_correct),
        "test": np.concatenate([fold.correct for fold in run.folds]),
    }
    for fold in run.folds:
        confidence, known = fold.valid_confidence[0], fold.valid_correct[0]
        chosen = threshold_for(accuracy_by_confidence(confidence, known), wanted)
        thresholds.append(chosen and chosen["threshold"])
        lowest = np.inf if chosen is None else chosen["threshold"]
        answered["validation"].append(confidence >= lowest)
        answered["test"].append(fold.calibrated.max(axis=1) >= lowest)
    found = {name: _answers(np.concatenate(answered[name]), correct[name]) for name in answered}
    reason = None
    if thresholds.count(None) == len(thresholds):
        reason = f"no confidence with {MIN_ANSWERS} or more validation clips above it reaches this accuracy"
    return {"accuracy": wanted, "thresholds": thresholds, **found, "reason": reason}


def _answers(answered: np.ndarray, correct: np.ndarray) -> dict:
    return {
        "accuracy": float(correct[answered].mean()) if answered.any() else None,
        "coverage": float(answered.mean()) if answered.size else 0.0,
    }
