"""Model cards: what a model was trained on, how good it is and for whom, and what it must not be used for."""

from collections.abc import Mapping
from pathlib import Path

import jinja2

from serflow.features import pads
from serflow.metrics.scores import STATISTICS

DATA_FILES = ("card.md",)  # Mitchell et al., "Model Cards for Model Reporting", FAT* 2019


def model_card(
    about: Mapping, measures: Mapping, groups: Mapping, n_speakers: int, data: Mapping, leak: str | None
) -> str:
    """Return the card in Markdown.

    Parameters
    ----------
    about
        Content of ``bundle.json``.
    measures
        Name of each metric on the test clips → its value and interval.
    groups
        What :func:`serflow.evaluation.groups.by_group` returned.
    n_speakers
        Number of test speakers.
    data
        ``corpus`` and ``language``: names of those that it was trained on, as far as they are known.
    leak
        Why the protocol is leaky; None if it is not.
    """
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True, trim_blocks=True
    )
    template = environment.from_string(Path(__file__).with_name("card.md").read_text(encoding="utf-8"))
    how = {"groups": groups, "n_speakers": n_speakers, "data": data, "leak": leak, "statistics": STATISTICS}
    how["padded"] = "features" in about and pads(about["features"])
    return template.render(about=about, measures=measures, **how)
