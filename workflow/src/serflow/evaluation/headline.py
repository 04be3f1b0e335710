"""The result of a report in one line, for the terminal."""

from collections.abc import Mapping

from serflow.evaluation.predictions import best_run


def headline(evaluated: Mapping) -> str:
    """Return the UAR of the model that validation chose, with its interval, from ``evaluation.json``."""
    best = best_run(evaluated["models"])
    uar = best["interval"]["uar"]
    interval = "" if uar["low"] is None else f" [{100 * uar['low']:.1f}, {100 * uar['high']:.1f}]"
    who = "speakers that it was not trained on" if best["unknown_speakers"] else "speakers that it was trained on"
    return f"{best['model']}, {100 * uar['value']:.1f} % UAR{interval} on {who}, protocol {best['protocol']}"
