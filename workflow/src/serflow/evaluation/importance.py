"""Permutation importance of the features of a run, over all of its folds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from serflow.evaluation.predictions import RunKey, key_of
from serflow.metrics.scores import uar
from serflow.storage import read_json


def load_importances(paths: Sequence[Path]) -> list[dict]:
    """Return the importance of each feature of each run, from ``importance.json`` of its folds.

    Each run has its key, ``uar``, that of the recordings among the test clips of all folds, and ``features``: each
    with its ``name`` and ``importance``, by how much UAR is lower if its values are shuffled among the clips of a fold,
    the greatest first.
    """
    folds_of: dict[RunKey, list[dict]] = {}
    for path in paths:
        fold = read_json(path)
        folds_of.setdefault(key_of(fold), []).append(fold)
    runs = []
    for key, folds in folds_of.items():
        whole = float(uar(np.sum([fold["confusion"] for fold in folds], axis=0)))
        shuffled = np.sum([[row["confusion"] for row in fold["features"]] for fold in folds], axis=0)
        rows = [
            {"name": row["name"], "importance": whole - lower}
            for row, lower in zip(folds[0]["features"], uar(shuffled).tolist(), strict=True)
        ]
        features = sorted(rows, key=lambda row: -row["importance"])
        runs.append(key._asdict() | {"uar": whole, "features": features})
    return runs
