"""Metrics of one run, computed from its predictions."""

from pathlib import Path

import numpy as np

from serflow.evaluation.predictions import read_predictions
from serflow.metrics.calibration import fit_temperature
from serflow.metrics.scores import STATISTICS, confusion_matrix, most_confusing_class, scores_from_confusion
from serflow.splits import PARTS, PROTOCOLS
from serflow.storage import read_json, write_json


def evaluate_model(predictions: Path, training: Path, *, protocol: str, seed: int, fold: int, output: Path) -> None:
    """Write the metrics of one fold of a run.

    Parameters
    ----------
    predictions
        ``predictions.parquet`` of the fold.
    training
        ``training.json`` of the fold.
    protocol
        Protocol of the run.
    seed
        Seed of the run.
    fold
        Number of the fold.
    output
        ``metrics.json`` to write. Scores are fractions. Rows of the confusion matrix are the truth, columns the
        predictions, in the order of ``classes``. ``temperature`` is fitted on the validation clips.
    """
    trained = read_json(training)
    classes = trained["classes"]
    clips = read_predictions(predictions, classes)
    predicted = clips.probabilities.argmax(axis=1)
    parts = {part: clips.parts == part for part in PARTS}
    counts = {part: confusion_matrix(clips.truth[rows], predicted[rows], len(classes)) for part, rows in parts.items()}
    scores = scores_from_confusion(counts["test"])
    write_json(
        output,
        {
            "protocol": protocol,
            "leaky": PROTOCOLS[protocol].leaky is not None,
            "model": trained["model"],
            "seed": seed,
            "fold": fold,
            "classes": classes,
            **{name: scores[name] for name in (*STATISTICS, "recall", "precision")},
            "confusion_matrix": counts["test"].tolist(),
            "most_confusing_class": most_confusing_class(counts["test"], classes),
            "temperature": fit_temperature(clips.probabilities[parts["valid"]], clips.truth[parts["valid"]]),
            **{f"{part}_accuracy": float(np.trace(matrix) / matrix.sum()) for part, matrix in counts.items()},
            **{f"n_{part}": int(matrix.sum()) for part, matrix in counts.items()},
            **{key: trained[key] for key in ("standardize", "refit", "parameters", "epochs", "best_epoch", "seconds")},
        },
    )
