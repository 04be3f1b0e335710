"""Packing a trained run into one file that holds all that is needed to use the model."""

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
from serflow.bundle.reader import BUNDLE_FORMAT
from serflow.evaluation.measures import Resampling, by_group, intervals
from serflow.evaluation.predictions import load_runs
from serflow.inference.onnx_model import TOLERANCE, Network
from serflow.metrics.scores import STATISTICS
from serflow.models.architectures import ARCHITECTURES
from serflow.models.data import Features
from serflow.models.keras_run import load_model
from serflow.models.predict import PROBABILITY
from serflow.runtime.errors import UserError
from serflow.splits import PROTOCOLS
from serflow.storage import read_json, read_table, replacing

_CHECKED = 64
_RUN = ("protocol", "leaky", "model", "seed", "fold", "classes")
_METRICS = (*STATISTICS, "recall", "confusion_matrix", "n_train", "n_valid", "n_test")
# The same content gives the same bytes at any time.
_DATE = (1980, 1, 1, 0, 0, 0)


def bundle_model(
    model: Path,
    architecture: str,
    features: Sequence[Path],
    *,
    indices: Sequence[Path],
    predictions: Path,
    metrics: Path,
    length: Path,
    clips: Path,
    corpus: str,
    preprocessing: Mapping,
    resampling: Mapping,
    output: Path,
) -> None:
    """Write a bundle: the model, how its input is prepared, what its output means, and how good it is.

    Parameters
    ----------
    model
        Trained model, ``model.keras``.
    architecture
        Name of the model's architecture.
    features
        Feature shards, on which the converted model is compared with the original.
    indices
        Index tables of the feature shards, in the same order, where these are ``.npy`` arrays.
    predictions
        ``predictions.parquet`` of the run.
    metrics
        ``metrics.json`` of the run.
    length
        ``length.json``.
    clips
        ``clips.parquet``: durations of the recordings and the groups that their speakers belong to.
    corpus
        Name of the corpus.
    preprocessing
        ``sampling_rate``, and the settings of the features that the model reads.
    resampling
        ``resamples`` and ``seed`` of the intervals in the model card.
    output
        A zip archive: ``bundle.json``, ``model.keras``, ``model.onnx``, ``card.md``.

    Raises
    ------
    UserError
        If the probabilities of the converted model differ from those of the original.
    """
    measured, lengths = read_json(metrics), read_json(length)
    catalog = read_table(clips).to_pandas().set_index("clip")
    converted = to_onnx(load_model(model, architecture))
    difference = _difference(converted, Features(features, indices), predictions, measured["classes"])
    if difference > TOLERANCE:
        raise UserError(f"{model}: as ONNX its probabilities differ by {difference:.1e}, more than {TOLERANCE:g}")
    longest = catalog["duration"].max() * preprocessing["sampling_rate"]
    about = {
        "bundle_format": BUNDLE_FORMAT,
        "serflow": __version__,
        "corpus": corpus,
        **{key: measured[key] for key in _RUN},
        "architecture": architecture,
        "features": ARCHITECTURES[architecture].features,
        "preprocessing": {
            **preprocessing,
            **{key: lengths[key] for key in ("target_length", "frame_size")},
            # Longer recordings are split into windows; up to here they are truncated or padded, as in training.
            "longest": max(math.ceil(longest), 2 * lengths["target_length"]),
        },
        "temperature": measured["temperature"],
        "metrics": {key: measured[key] for key in _METRICS},
        "onnx_difference": difference,
    }
    (run,) = load_runs([metrics], [predictions])
    confusions, how = run.pooled.confusions(), Resampling(**resampling)
    card = model_card(
        about,
        intervals(confusions, how),
        by_group(run.pooled, catalog, how),
        n_speakers=len(confusions),
        leak=PROTOCOLS[measured["protocol"]].leaky,
    )
    content = {
        "bundle.json": json.dumps(about, indent=1, ensure_ascii=False).encode(),
        "card.md": card.encode(),
        "model.keras": Path(model).read_bytes(),
        "model.onnx": converted,
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), data)
    with replacing(output) as partial:
        partial.write_bytes(packed.getvalue())


def _difference(converted: bytes, features: Features, predictions: Path, classes: Sequence[str]) -> float:
    """Return the greatest difference from the probabilities that the original gave to test clips."""
    table = read_table(predictions)
    test = table.take(np.flatnonzero(table["part"].to_numpy(zero_copy_only=False) == "test")[:_CHECKED])
    rows = features.rows(test["clip"].to_pylist(), test["label"].to_pylist(), classes)
    expected = np.column_stack([test[PROBABILITY.format(name)].to_numpy() for name in classes])
    return float(np.abs(Network(converted).probabilities(features.take(rows.places)) - expected).max())
