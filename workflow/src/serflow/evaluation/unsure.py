"""What a run gains and costs if it answers "unsure" below a confidence that was chosen on validation clips."""

from collections.abc import Sequence

import numpy as np

from serflow.evaluation.predictions import EvaluatedRun
from serflow.metrics.selective import MIN_ANSWERS, threshold_for


def unsure(run: EvaluatedRun, accuracies: Sequence[float]) -> list[dict]:
    """Return what each wanted accuracy leads to, with a threshold for each fold from its validation clips.

    ``thresholds`` are of the calibrated confidence; None for a fold where no threshold reaches the accuracy, all of
    whose clips are then unanswered. ``validation`` and ``test`` have ``accuracy`` (None if nothing is answered) and
    ``coverage`` of all folds together. ``reason`` says why no fold has a threshold.
    """
    return [_unsure(run, wanted) for wanted in accuracies]


def _unsure(run: EvaluatedRun, wanted: float) -> dict:
    thresholds, validation, test = [], [], []
    for fold, known in zip(run.folds, run.metrics, strict=True):
        row = threshold_for(known["accuracy_by_confidence"], wanted)
        thresholds.append(row and row["threshold"])
        answered = round(row["coverage"] * known["n_valid"]) if row else 0
        validation.append((known["n_valid"], answered, answered * row["accuracy"] if row else 0))
        confident = fold.calibrated.max(axis=1) >= (row["threshold"] if row else np.inf)
        test.append((len(fold.clips), confident.sum(), (confident & fold.correct).sum()))
    reason = None
    if thresholds.count(None) == len(thresholds):
        reason = f"no confidence with {MIN_ANSWERS} or more validation clips above it reaches this accuracy"
    known = {"validation": _answers(validation), "test": _answers(test)}
    return {"accuracy": wanted, "thresholds": thresholds, **known, "reason": reason}


def _answers(folds: Sequence[tuple]) -> dict:
    """Return accuracy and coverage from the numbers of clips, of answers and of correct ones of each fold."""
    clips, answered, correct = (float(sum(column)) for column in zip(*folds, strict=True))
    return {"accuracy": correct / answered if answered else None, "coverage": answered / clips}
