"""Runs compared: each model over its seeds, pairs of models, and each model under several protocols."""

import itertools
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np

from serflow.evaluation.measures import Resampling, intervals
from serflow.evaluation.predictions import EvaluatedRun
from serflow.metrics.bootstrap import Difference, paired_difference, statistic_over
from serflow.metrics.mcnemar import mcnemar_exact
from serflow.metrics.scores import STATISTICS
from serflow.splits import PROTOCOLS

NO_EVIDENCE = "no evidence of a difference"


def summarize_seeds(runs: Sequence[EvaluatedRun], resampling: Resampling) -> list[dict]:
    """Return a summary of each model under each protocol over its seeds.

    ``mean`` and ``sd`` (None for one seed) of a metric are over seeds. ``interval`` is the metric of the predictions
    of all seeds together, with its interval over speakers. For UAR and accuracy its value is the mean over seeds.
    """
    summaries = []
    for (protocol, model), members in _grouped(runs, lambda run: run.key[:2]).items():
        sums, strata = [run.pooled.confusions() for run in members], members[0].pooled.strata
        values = {
            name: [statistic_over(matrices, metric.function, strata) for matrices in sums]
            for name, metric in STATISTICS.items()
        }
        summaries.append(
            {
                "protocol": protocol,
                "leaky": members[0].leaky,
                "adapted": members[0].adapted,
                "unknown_speakers": members[0].unknown_speakers,
                "model": model,
                "seeds": [run.key.seed for run in members],
                "valid_uar": statistics.mean(run.valid_uar for run in members),
                "folds": len(members[0].folds),
                "n_clips": len(members[0].pooled.clips),
                "mean": {name: statistics.mean(scores) for name, scores in values.items()},
                "sd": {name: statistics.stdev(scores) if scores[1:] else None for name, scores in values.items()},
                "interval": intervals(sum(sums), resampling, strata),
            }
        )
    return summaries


def compare_pairs(runs: Sequence[EvaluatedRun], resampling: Resampling) -> list[dict]:
    """Return the comparison of every two runs of different models with the same test clips.

    It has the difference a - b of each metric with its interval, McNemar's exact test, and the verdict, which is based
    on UAR. The intervals are not corrected for the number of pairs.
    """
    pairs = []
    for a, b in itertools.combinations(runs, 2):
        same_clips = a.classes == b.classes and np.array_equal(a.pooled.clips, b.pooled.clips)
        if a.key.model == b.key.model or not same_clips:
            continue
        sums = a.pooled.confusions(), b.pooled.confusions()
        strata = a.pooled.strata
        differences = {name: paired_difference(*sums, name, *resampling, strata=strata) for name in STATISTICS}
        pairs.append(
            {
                "protocol": a.key.protocol if a.key.protocol == b.key.protocol else None,
                "a": a.key._asdict(),
                "b": b.key._asdict(),
                "n_clips": len(a.pooled.clips),
                "difference": {name: asdict(difference) for name, difference in differences.items()},
                "mcnemar": asdict(mcnemar_exact(a.pooled.correct, b.pooled.correct)),
                "verdict": verdict(differences["uar"], a.key.model, b.key.model),
            }
        )
    return pairs


def verdict(difference: Difference, a: str, b: str) -> str:
    """Return in words what a difference a - b of UAR, a fraction, is evidence of."""
    if difference.low is None:
        return f"{NO_EVIDENCE}: there is no interval ({difference.reason})"
    if not difference.evidence:
        return NO_EVIDENCE
    better, sign = (a, 1) if difference.value > 0 else (b, -1)
    low, high = sorted((sign * 100 * difference.low, sign * 100 * difference.high))
    return f"{better} is better by {100 * abs(difference.value):.1f} points of UAR [{low:.1f}, {high:.1f}]"


def compare_protocols(runs: Sequence[EvaluatedRun], summaries: Sequence[dict], resampling: Resampling) -> list[dict]:
    """Return the UAR of each model of :func:`summarize_seeds` under each protocol, the leakiest protocol first.

    ``worth`` of a protocol that is leaky, or tests on known speakers, is what that is worth: its UAR less that under
    the first of the other protocols, on the recordings that both test on, with its interval over speakers; all seeds
    together.
    """
    keys = ("protocol", "leaky", "seeds", "n_clips")
    of_summary = _grouped(runs, lambda run: run.key[:2])
    return [
        {
            "model": model,
            "protocols": [
                {key: row[key] for key in keys}
                | {"uar": row["interval"]["uar"], "worth": _worth(of_summary, row, rows, resampling)}
                for row in sorted(rows, key=lambda row: PROTOCOLS[row["protocol"]].order)
            ],
        }
        for model, rows in _grouped(summaries, lambda row: row["model"]).items()
    ]


def _worth(of_summary: dict, row: dict, rows: Sequence[dict], resampling: Resampling) -> dict | None:
    """Return what a leak, or knowing the test speakers, is worth; None without that, or nothing to compare with."""
    honest = [other for other in rows if other["unknown_speakers"] and not other["leaky"]]
    if row in honest or not honest:
        return None
    honest = honest[0]
    known, unknown = (of_summary[each["protocol"], each["model"]] for each in (row, honest))
    clips = np.intersect1d(known[0].pooled.clips, unknown[0].pooled.clips)
    found = {"against": honest["protocol"], "n_clips": len(clips), "difference": None}
    if known[0].classes != unknown[0].classes or not len(clips):
        return found | {"reason": "the protocols test on no recordings in common"}
    low = row["interval"]["uar"]["low"]
    if low is None or low <= 1 / len(known[0].classes):
        return found | {"reason": "too little training: it is not better than chance even with the leak"}
    # UAR of a sum over seeds is the mean over seeds, however many there are.
    sums = [
        sum(run.pooled.where(np.isin(run.pooled.clips, clips)).confusions() for run in runs)
        for runs in (known, unknown)
    ]
    return found | {"difference": asdict(paired_difference(*sums, "uar", *resampling)), "reason": None}


def _grouped(items: Sequence, key: Callable) -> dict:
    groups: dict = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups
