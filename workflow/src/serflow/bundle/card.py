"""Model cards: what a model was trained on, how good it is and for whom, and what it must not be used for."""

from collections.abc import Mapping
from pathlib import Path

import jinja2

from serflow.metrics.scores import STATISTICS

DATA_FILES = ("card.md",)  # Mitchell et al., "Model Cards for Model Reporting", FAT* 2019


def model_card(about: Mapping, measures: Mapping, groups: Mapping, n_speakers: int, leak: str | None) -> str:
    """Return the card in Markdown.

    Parameters
    ----------
    about
        Content of ``bundle.json``.
    measures
        Name of each metric on the test clips → its value and interval.
    groups
        What :func:`serflow.evaluation.measures.by_group` returned.
    n_speakers
        Number of test speakers.
    leak
        Why the protocol is leaky; None if it is not.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True)
    environment.globals |= {"percent": _percent, "with_interval": _with_interval, "statistics": STATISTICS}
    template = environment.from_string(Path(__file__).with_name("card.md").read_text(encoding="utf-8"))
    return template.render(about=about, measures=measures, groups=groups, n_speakers=n_speakers, leak=leak)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _with_interval(found: Mapping) -> str:
    interval = "" if found["low"] is None else f" ({100 * found['low']:.1f} to {100 * found['high']:.1f})"
    return _percent(found["value"]) + interval
