"""The headline run: the one that the checks at the top of the report are about, and its result in one line."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from serflow.evaluation.predictions import best_run, headline_run, load_runs
from serflow.storage import write_json


def choose_headline(metrics: Sequence[Path], predictions: Sequence[Path], *, output: Path) -> None:
    """Write which run has the highest UAR on validation clips, as the report chooses it.

    Parameters
    ----------
    metrics, predictions
        ``metrics.json`` and ``predictions.parquet`` of every fold of every run, in the same order.
    output
        JSON file to write, with ``protocol``, ``model`` and ``seed``.
    """
    write_json(output, headline_run(load_runs(metrics, predictions)).key._asdict())


def headline(evaluated: Mapping) -> str:
    """Return the UAR of the model that validation chose, with its interval, from ``evaluation.json``."""
    best = best_run(evaluated["models"])
    uar = best["interval"]["uar"]
    interval = "" if uar["low"] is None else f" [{100 * uar['low']:.1f}, {100 * uar['high']:.1f}]"
    who = "speakers that it was not trained on" if best["unknown_speakers"] else "speakers that it was trained on"
    return f"{best['model']}, {100 * uar['value']:.1f} % UAR{interval} on {who}, protocol {best['protocol']}"
