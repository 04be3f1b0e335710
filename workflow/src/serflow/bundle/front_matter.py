"""The metadata of a model card that the Hugging Face Hub reads."""

import re
from collections.abc import Mapping

from serflow.metrics.scores import STATISTICS

# Names of metrics on the Hugging Face Hub, where they differ.
_ON_THE_HUB = {"uar": "recall", "f1_weighted": "f1", "f1_macro": "f1"}
_LANGUAGE_CODE = re.compile("[a-z]{2,3}")


def without_front_matter(card: str) -> str:
    """Return the text of a card."""
    return re.sub(r"\A---\n.*?\n---\n", "", card, flags=re.DOTALL)


def front_matter(about: Mapping, measures: Mapping, data: Mapping) -> str:
    """Return the metadata of a card in YAML, as https://huggingface.co/docs/hub/model-cards describes it.

    Parameters are those of :func:`serflow.bundle.card.model_card`.
    """
    import yaml

    corpora = data["corpus"] or [about["corpus"]]
    how = {"protocol": about["protocol"], "fold": about["fold"], "seed": about["seed"]}
    metrics = [
        {
            "type": _ON_THE_HUB.get(name, name),
            "name": STATISTICS[name].title,
            "value": found["value"],
            "args": {"low": found["low"], "high": found["high"], "level": found["level"], "resampled": "speakers"},
        }
        for name, found in measures.items()
    ]
    result = {
        "task": {"type": "audio-classification", "name": "Speech emotion recognition"},
        "dataset": {"type": about["corpus"], "name": about["corpus"], "split": "test", "args": how},
        "metrics": metrics,
    }
    languages = [name for name in data["language"] if _LANGUAGE_CODE.fullmatch(name)]
    fields = {
        "license": about["licence"] or "other",
        **({} if about["licence"] else {"license_name": "not-stated"}),
        **({"language": languages} if languages else {}),
        "library_name": "serflow",
        "pipeline_tag": "audio-classification",
        "tags": ["speech-emotion-recognition", "audio-classification", "onnx", "serflow"],
        "datasets": corpora,
        "metrics": list(dict.fromkeys(metric["type"] for metric in metrics)),
        "model-index": [{"name": about["model"], "results": [result]}],
    }
    return f"---\n{yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)}---\n\n"
