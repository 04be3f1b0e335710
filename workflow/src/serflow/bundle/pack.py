"""Packing a trained run into one file that holds all that is needed to use it."""

import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from serflow import __version__
from serflow.bundle.card import model_card
from serflow.bundle.convert import to_onnx
from serflow.bundle.reader import BUNDLE_FORMAT, TOLERANCE, Network
from serflow.models.data import Features
from serflow.models.keras_run import load_model
from serflow.models.predict import PROBABILITY
from serflow.models.registry import MODELS
from serflow.runtime.errors import UserError
from serflow.storage import read_json, read_table, replacing

_CHECKED = 64
_MEASURES = ("accuracy", "uar", "f1_weighted", "f1_macro", "recall", "confusion_matrix", "n_train", "n_valid", "n_test")
# The same content gives the same bytes at any time.
_DATE = (1980, 1, 1, 0, 0, 0)


def bundle_model(
    model: Path,
    features: Sequence[Path],
    *,
    predictions: Path,
    metrics: Path,
    evaluation: Path,
    length: Path,
    clips: Path,
    corpus: str,
    preprocessing: Mapping,
    output: Path,
) -> None:
    """Write a bundle: the model, how its input is prepared, what its output means, and what it is good for.

    Parameters
    ----------
    model
        ``model.keras``.
    features
        Feature files of all shards, on which the converted model is compared with the original.
    predictions, metrics
        Of the same run.
    evaluation
        ``evaluation.json``, for the run's intervals and groups in the model card.
    length
        ``length.json``.
    clips
        ``clips.parquet``: how long the corpus' recordings are.
    corpus
        Name of the corpus.
    preprocessing
        ``sampling_rate``, and the settings of the features that the model reads.
    output
        A zip archive: ``bundle.json``, ``model.keras``, ``model.onnx``, ``card.md``.

    Raises
    ------
    UserError
        If the converted model gives other probabilities than the original did.
    """
    measured, lengths = read_json(metrics), read_json(length)
    classes = measured["classes"]
    converted = to_onnx(load_model(model))
    difference = _difference(converted, features, predictions, classes)
    if difference > TOLERANCE:
        raise UserError(f"{model}: as ONNX its probabilities differ by {difference:.1e}, more than {TOLERANCE:g}")
    described = {
        "bundle_format": BUNDLE_FORMAT,
        "serflow": __version__,
        "corpus": corpus,
        **{key: measured[key] for key in ("protocol", "leaky", "model", "seed", "fold", "classes")},
        "features": MODELS[measured["model"]].features,
        "preprocessing": {
            **preprocessing,
            **{key: lengths[key] for key in ("target_length", "frame_size")},
            # What is longer than every recording of the corpus is taken window by window; the others are cut as it was.
            "longest": max(_longest(clips, preprocessing["sampling_rate"]), 2 * lengths["target_length"]),
        },
        "temperature": measured["temperature"],
        "metrics": {key: measured[key] for key in _MEASURES},
        "onnx_difference": difference,
    }
    run = _evaluated(read_json(evaluation), measured)
    content = {
        "bundle.json": json.dumps(described, indent=1, ensure_ascii=False).encode(),
        "card.md": model_card(described, run).encode(),
        "model.keras": Path(model).read_bytes(),
        "model.onnx": converted,
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), data)
    with replacing(output) as partial:
        partial.write_bytes(packed.getvalue())


def _longest(clips: Path, sampling_rate: int) -> int:
    return math.ceil(max(read_table(clips, ["duration"])["duration"].to_pylist()) * sampling_rate)


def _difference(converted: bytes, features: Sequence[Path], predictions: Path, classes: Sequence[str]) -> float:
    """Give the greatest difference from the probabilities that the original gave to test clips."""
    table = read_table(predictions)
    places = np.flatnonzero(table["part"].to_numpy(zero_copy_only=False) == "test")[:_CHECKED]
    kept = table.take(places)
    data = Features(features)
    rows = data.rows(kept["clip"].to_pylist(), kept["label"].to_pylist(), classes)
    expected = np.column_stack([kept[PROBABILITY.format(name)].to_numpy() for name in classes])
    return float(np.abs(Network(converted).probabilities(data.take(rows.places)) - expected).max())


def _evaluated(evaluation: Mapping, measured: Mapping) -> Mapping:
    key = ("protocol", "model", "seed")
    return next(run for run in evaluation["runs"] if all(run[name] == measured[name] for name in key))
