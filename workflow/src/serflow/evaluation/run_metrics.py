"""Metrics of one run, computed from its predictions."""

from pathlib import Path

import numpy as np

from serflow.evaluation.predictions import read_predictions
from serflow.metrics.calibration import apply_temperature, fit_temperature
from serflow.metrics.scores import STATISTICS, confusion_matrix, most_confusing_class, scores_from_confusion, uar
from serflow.metrics.selective import accuracy_by_confidence
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
        predictions, in the order of ``classes``. ``n_{part}`` counts recordings and copies, ``n_{part}_copies`` the
        copies alone. ``temperature`` is fitted on the validation clips, and ``accuracy_by_confidence`` measured on
        them with calibrated confidences. ``fit_temperature`` is one that the fit of the model already divided its
        logits by, on the same clips; null for most models.
    """
    trained = read_json(training)
    classes = trained["classes"]
    clips = read_predictions(predictions, classes)
    predicted = clips.probabilities.argmax(axis=1)
    parts = {part: clips.parts == part for part in PARTS}
    counts = {part: confusion_matrix(clips.truth[rows], predicted[rows], len(classes)) for part, rows in parts.items()}
    scores = scores_from_confusion(counts["test"])
    validated = clips.probabilities[parts["valid"]], clips.truth[parts["valid"]]
    temperature = fit_temperature(*validated)
    confidence = apply_temperature(validated[0], temperature).max(axis=1)
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
            "temperature": temperature,
            "fit_temperature": (trained["chosen"] or {}).get("temperature"),
            "accuracy_by_confidence": accuracy_by_confidence(confidence, predicted[parts["valid"]] == validated[1]),
            **{f"{part}_accuracy": float(np.trace(matrix) / matrix.sum()) for part, matrix in counts.items()},
            "valid_uar": float(uar(counts["valid"])),
            **{f"n_{part}": int(matrix.sum()) for part, matrix in counts.items()},
            **{f"n_{part}_copies": int((clips.clips != clips.origins)[rows].sum()) for part, rows in parts.items()},
            **{key: trained[key] for key in ("standardize", "refit", "parameters", "epochs", "best_epoch", "seconds")},
        },
    )
