"""The measures of one run, from its predictions."""

from pathlib import Path

import numpy as np

from serflow.metrics.calibration import fit_temperature
from serflow.metrics.scores import confusion_matrix, most_confusing_class, scores_from_confusion
from serflow.models.predict import PROBABILITY
from serflow.splits.split_clips import LEAKY, PARTS
from serflow.storage import read_json, read_table, write_json


def evaluate_model(predictions: Path, training: Path, *, protocol: str, seed: int, fold: int, output: Path) -> None:
    """Write ``metrics.json`` of a run.

    Parameters
    ----------
    predictions
        The table of :func:`serflow.models.predict.predict_test`.
    training
        ``training.json`` of the run.
    protocol, seed, fold
        What the run is.
    output
        Accuracies and F1 are fractions; the confusion matrix is rows = truth, columns = prediction,
        in the order of ``classes``.
    """
    trained = read_json(training)
    classes = trained["classes"]
    table = read_table(predictions)
    parts = table["part"].to_numpy(zero_copy_only=False)
    labels = table["label"].to_numpy(zero_copy_only=False)
    truth = np.searchsorted(classes, labels)
    probabilities = np.column_stack([table[PROBABILITY.format(name)].to_numpy() for name in classes])
    predicted = probabilities.argmax(axis=1)
    confusion = {part: confusion_matrix(truth[parts == part], predicted[parts == part], len(classes)) for part in PARTS}
    accuracy = {part: float(np.trace(matrix) / matrix.sum()) for part, matrix in confusion.items()}
    matrix = confusion["test"]
    scores = scores_from_confusion(matrix)
    write_json(
        output,
        {
            "protocol": protocol,
            "leaky": protocol in LEAKY,
            "model": trained["model"],
            "seed": seed,
            "fold": fold,
            "classes": classes,
            **{key: scores[key] for key in ("accuracy", "f1_weighted", "f1_macro", "uar")},
            "recall": scores["recall"],
            "precision": scores["precision"],
            "confusion_matrix": matrix.tolist(),
            "temperature": fit_temperature(probabilities[parts == "valid"], truth[parts == "valid"]),
            "most_confusing_class": most_confusing_class(matrix, classes),
            **{f"{part}_accuracy": accuracy[part] for part in PARTS},
            **{f"n_{part}": int(confusion[part].sum()) for part in PARTS},
            **{key: trained[key] for key in ("parameters", "epochs", "best_epoch", "seconds")},
        },
    )
