"""Model cards: what a model was trained on, how good it is and for whom, and what it must not be used for."""

from collections.abc import Mapping
from pathlib import Path

import jinja2

from serflow.bundle.front_matter import front_matter
from serflow.features import KINDS, pads
from serflow.metrics.scores import STATISTICS
from serflow.models.named import GROUPS

DATA_FILES = ("card.md",)  # the sections of Mitchell et al., "Model Cards for Model Reporting", FAT* 2019


def model_card(
    about: Mapping,
    measures: Mapping,
    groups: Mapping,
    n_speakers: int,
    data: Mapping,
    leak: str | None,
    *,
    listeners: Mapping | None,
    unknown_speakers: bool,
) -> str:
    """Return the card in Markdown, with the front matter that the Hugging Face Hub reads.

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
    listeners
        ``human`` of :func:`serflow.evaluation.references.reference_scores`.
    unknown_speakers
        Whether no test speaker is in training or validation.
    """
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True, trim_blocks=True
    )
    template = environment.from_string(Path(__file__).with_name("card.md").read_text(encoding="utf-8"))
    how = {"groups": groups, "n_speakers": n_speakers, "data": data, "leak": leak, "statistics": STATISTICS}
    how |= {"listeners": listeners, "unknown_speakers": unknown_speakers, "plain_onnx": _plain_onnx(about)}
    how["padded"] = "features" in about and pads(about["features"])
    how["onnx"] = "plain.onnx" if "plain" in about else "model.onnx"
    how["moments"] = about["standardize"] in GROUPS and "plain" not in about
    return front_matter(about, measures, data) + template.render(about=about, measures=measures, **how)


def _plain_onnx(about: Mapping) -> str | None:
    """Return what the model reads in onnxruntime alone: a waveform, or a file of features of one of several forms."""
    if "features" not in about:
        return None
    kind, settings = KINDS[about["features"]], about["preprocessing"]
    as_it_is = not settings["remove_dc"] and not settings["loudness"]
    if kind.encoder and as_it_is and settings["sampling_rate"] == about["encoder"]["sampling_rate"]:
        return "waveform"
    if kind.writes == "parquet":
        return "table"
    return "own length" if kind.own_length else "array" if kind.time else "vector"
