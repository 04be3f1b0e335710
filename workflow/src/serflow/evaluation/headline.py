"""The headline run: the one that the checks at the top of the report are about."""

from collections.abc import Sequence
from pathlib import Path

from serflow.evaluation.predictions import best_run, load_runs
from serflow.metrics.bootstrap import statistic_over
from serflow.metrics.scores import uar
from serflow.storage import write_json


def choose_headline(metrics: Sequence[Path], predictions: Sequence[Path], *, output: Path) -> None:
    """Write which run has the highest UAR on unknown speakers, as the report chooses it.

    Parameters
    ----------
    metrics, predictions
        ``metrics.json`` and ``predictions.parquet`` of every fold of every run, in the same order.
    output
        JSON file to write, with ``protocol``, ``model`` and ``seed``.
    """
    runs = [
        {
            **run.key._asdict(),
            "leaky": run.leaky,
            "adapted": run.adapted,
            "unknown_speakers": run.unknown_speakers,
            "pooled": {"uar": {"value": statistic_over(run.pooled.confusions(), uar, run.pooled.strata)}},
        }
        for run in load_runs(metrics, predictions)
    ]
    write_json(output, {key: best_run(runs)[key] for key in ("protocol", "model", "seed")})
