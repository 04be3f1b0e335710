"""Comparing the trials of a search on one fold."""

import math
from collections.abc import Sequence
from pathlib import Path

from serflow.models.search.trial import trial_backup
from serflow.storage import read_json, write_json


def rank_trials(trials: Sequence[Path], *, fold: int, rung: int, keep: float | None = None, output: Path) -> None:
    """Order trials by the UAR of the validation clips, and choose those that are trained further.

    Successive halving: Jamieson & Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization",
    AISTATS 2016.

    Parameters
    ----------
    trials
        Results of the trials that have reached the rung.
    fold
        Number of the fold.
    rung
        Number of the rung, from 0.
    keep
        Share of the trials that is trained further, rounded up; by default none, since the rung is the last.
    output
        The JSON file to write: ``fold``, ``rung``, the results in ``ranking``, the best first and of equal ones that
        with the lower number, and the numbers of the ``kept`` trials.
    """
    results = [read_json(path) for path in trials]
    ranking = sorted(results, key=lambda result: (-result["valid_uar"], result["trial"]))
    kept = [result["trial"] for result in ranking[: math.ceil((keep or 0) * len(ranking))]]
    write_json(output, {"fold": fold, "rung": rung, "ranking": ranking, "kept": kept})
    for path, result in zip(trials, results, strict=True):
        if result["trial"] not in kept:
            trial_backup(path).unlink(missing_ok=True)
