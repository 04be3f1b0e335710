"""Runs against each other: seeds together, models pairwise, and one model under several protocols."""

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from serflow.evaluation.measures import Resampling, intervals
from serflow.evaluation.predictions import EvaluatedRun
from serflow.metrics.bootstrap import Difference, mcnemar_exact, paired_difference
from serflow.metrics.scores import STATISTICS

NO_EVIDENCE = "no evidence of a difference"
# From the leakiest to the strictest.
ORDER = ("notebook", "random", "speaker-independent", "cross-corpus", "custom")


def over_seeds(runs: Sequence[EvaluatedRun], resampling: Resampling) -> list[dict]:
    """Sum up each model under each protocol over its seeds.

    Returns
    -------
    list of dict
        ``mean`` and ``sd`` (None for one seed) of each measure over seeds, and ``interval``: the measure of
        all seeds' answers together with its interval over speakers. Of UAR and accuracy that is the mean over
        seeds.
    """
    found = []
    for (protocol, model), members in _grouped(runs, lambda run: run.key[:2]).items():
        values = {
            name: [float(statistic(run.pooled.confusions().sum(0))) for run in members]
            for name, statistic in STATISTICS.items()
        }
        together = sum(run.pooled.confusions() for run in members)
        found.append(
            {
                "protocol": protocol,
                "leaky": members[0].leaky,
                "model": model,
                "seeds": [run.key.seed for run in members],
                "folds": len(members[0].folds),
                "n_clips": len(members[0].pooled.clips),
                "mean": {name: statistics.mean(numbers) for name, numbers in values.items()},
                "sd": {name: statistics.stdev(numbers) if numbers[1:] else None for name, numbers in values.items()},
                "interval": intervals(together, resampling),
            }
        )
    return found


def compare_pairs(runs: Sequence[EvaluatedRun], resampling: Resampling) -> list[dict]:
    """Compare every two runs of different models that were tested on the same clips.

    Returns
    -------
    list of dict
        The runs ``a`` and ``b``, the difference a - b of UAR and accuracy with its interval, McNemar's exact
        test, and the verdict, which is on UAR. The intervals are not corrected for the number of pairs.
    """
    found = []
    for a, b in itertools.combinations(runs, 2):
        same = a.classes == b.classes and np.array_equal(a.pooled.clips, b.pooled.clips)
        if a.key.model == b.key.model or not same:
            continue
        sums = a.pooled.confusions(), b.pooled.confusions()
        differences = {
            name: paired_difference(*sums, name, resampling.resamples, resampling.seed) for name in ("uar", "accuracy")
        }
        found.append(
            {
                "protocol": a.key.protocol if a.key.protocol == b.key.protocol else None,
                "a": a.key._asdict(),
                "b": b.key._asdict(),
                "n_clips": len(a.pooled.clips),
                "difference": {name: asdict(value) for name, value in differences.items()},
                "mcnemar": asdict(mcnemar_exact(a.pooled.right, b.pooled.right)),
                "verdict": verdict(differences["uar"], a.key.model, b.key.model),
            }
        )
    return found


def verdict(difference: Difference, a: str, b: str) -> str:
    """Say in words what a difference a - b of UAR, a fraction, is evidence of."""
    if difference.low is None:
        return f"{NO_EVIDENCE}: there is no interval ({difference.reason})"
    if not difference.evidence:
        return NO_EVIDENCE
    better, sign = (a, 1) if difference.value > 0 else (b, -1)
    low, high = sorted((sign * 100 * difference.low, sign * 100 * difference.high))
    return f"{better} is better by {100 * abs(difference.value):.1f} points of UAR [{low:.1f}, {high:.1f}]"


def leakage(summaries: Sequence[dict]) -> list[dict]:
    """Put each model's UAR under the protocols beside each other, the leakiest first.

    Parameters
    ----------
    summaries
        Of :func:`over_seeds`.
    """
    found = []
    for model, members in _grouped(summaries, lambda row: row["model"]).items():
        members = sorted(members, key=lambda row: ORDER.index(row["protocol"]))
        found.append(
            {
                "model": model,
                "protocols": [
                    {key: row[key] for key in ("protocol", "leaky", "seeds", "n_clips")}
                    | {"uar": row["interval"]["uar"]}
                    for row in members
                ],
            }
        )
    return found


def _grouped(items: Sequence, key) -> dict:
    groups: dict = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups
