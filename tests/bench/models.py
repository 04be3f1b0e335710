"""Validation and test UAR of every model of a run.

    python tests/bench/models.py results/crema-d speaker-independent

prints a Markdown table: mean and standard deviation over folds and seeds of the UAR on validation clips, which settings
are chosen by, and on test clips. Copies do not count. The validation figures of a model that was fitted again after the
choice are those of the model before.
"""

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from serflow.evaluation.predictions import read_predictions
from serflow.metrics.scores import confusion_matrix, scores_from_confusion
from serflow.storage import read_json


def main(results: Path, protocol: str) -> None:
    """Print the table."""
    found = defaultdict(list)
    for path in sorted((results / "models" / protocol).glob("*/seed*/fold*/predictions.parquet")):
        classes = read_json(path.with_name("training.json"))["classes"]
        clips = read_predictions(path, classes)
        row = []
        for part in ("valid", "test"):
            chosen = (clips.parts == part) & (clips.clips == clips.origins)
            predicted = clips.probabilities[chosen].argmax(axis=1)
            row.append(scores_from_confusion(confusion_matrix(clips.truth[chosen], predicted, len(classes)))["uar"])
        found[path.parts[-4]].append(row)
    print("| model | validation UAR | test UAR |\n|---|---:|---:|")
    for model, rows in found.items():
        pairs = zip(np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1), strict=True)
        print(f"| `{model}` | {' | '.join(f'{100 * mean:.1f} ± {100 * spread:.1f}' for mean, spread in pairs)} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
