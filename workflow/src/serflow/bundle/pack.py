"""Packing a trained run into one file that holds all that is needed to use the model."""

import io
import json
import math
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from serflow import __version__
from serflow.bundle import BUNDLE_FORMAT, CARD
from serflow.bundle.card import model_card
from serflow.bundle.convert import to_onnx
from serflow.corpus.formats import FORMATS
from serflow.evaluation.groups import by_group
from serflow.evaluation.measures import Resampling, intervals
from serflow.evaluation.predictions import EvaluatedRun, load_runs
from serflow.evaluation.references import reference_scores
from serflow.inference.onnx_model import TOLERANCE, Network
from serflow.metrics.scores import STATISTICS
from serflow.models.architectures import ARCHITECTURES
from serflow.models.enrolment import trained_recordings
from serflow.models.keras_run import load_model
from serflow.models.named import GROUPS, features_of
from serflow.models.standardize import mean_and_sd, open_features
from serflow.runtime.errors import UserError
from serflow.splits import PARTS, PROTOCOLS
from serflow.storage import read_json, read_table, replacing

_CONFIDENCE = ("temperature", "accuracy_by_confidence")  # what predict needs of metrics.json


def bundle_model(
    model: Path,
    architecture: str,
    features: Sequence[Path],
    *,
    indices: Sequence[Path],
    encoder: Path | None = None,
    description: Path | None = None,
    plain: Path | None = None,
    plain_metrics: Path | None = None,
    settings: Mapping,
    training: Path,
    predictions: Path,
    metrics: Path,
    length: Path,
    clips: Path,
    corpus: str,
    preprocessing: Mapping,
    resampling: Mapping,
    contact: str | None = None,
    licence: str | None = None,
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
    encoder, description
        ONNX file and description of the encoder, for models that read embeddings. Without the file the bundle names
        the encoder by its sha256.
    plain, plain_metrics
        ``model.keras`` and ``metrics.json`` of the run of a model that is not adapted to speakers, for a bundle of one
        that is.
    settings
        All settings of the model.
    training
        ``training.json`` of the run.
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
        ``sampling_rate``, the settings that adjust the level, and the settings of the features that the model reads.
    resampling
        ``resamples`` and ``seed`` of the intervals in the model card.
    contact, licence
        Whom to ask about the model, and the licence that it is under, for the model card.
    output
        A zip archive: ``bundle.json``, ``model.keras``, ``model.onnx``, the model card ``README.md``; ``encoder.onnx``
        of a model that reads embeddings; ``moments.npy`` of one that standardises by speaker or corpus, and
        ``plain.onnx``.

    Raises
    ------
    UserError
        If the probabilities of the converted model differ from those of the original.
    """
    trained, lengths = read_json(training), read_json(length)
    (run,) = load_runs([metrics], [predictions])
    converted, data = to_onnx(load_model(model, architecture)), open_features(architecture, features, indices, settings)
    found = Network(converted).probabilities(data.take(data.places(run.pooled.clips[:64])))
    difference = float(np.abs(found - run.pooled.probabilities[:64]).max())
    if difference > TOLERANCE:
        raise UserError(f"{model}: probabilities of ONNX and Keras differ by {difference:.1e}, more than {TOLERANCE:g}")
    longest = max(read_table(clips, ["duration"])["duration"].to_pylist()) * preprocessing["sampling_rate"]
    about = described(run, training, corpus, contact, licence) | {
        "settings": settings,
        "training": {key: trained[key] for key in ("parameters", "epochs", "best_epoch", "chosen")},
        "features": features_of(ARCHITECTURES[architecture], settings),
        "preprocessing": {
            **preprocessing,
            **{key: lengths[key] for key in ("target_length", "frame_size")},
            # Longer recordings are split into windows; up to here they are truncated or padded, as in training.
            "longest": max(math.ceil(longest), 2 * lengths["target_length"]),
        },
        "onnx_difference": difference,
    }
    files = {"model.keras": Path(model).read_bytes(), "model.onnx": converted}
    if description is not None:
        about["encoder"] = read_json(description)
    if encoder is not None:
        files["encoder.onnx"] = encoder.read_bytes()
    if plain is not None:
        about["plain"] = {key: read_json(plain_metrics)[key] for key in ("model", *_CONFIDENCE)}
        files["plain.onnx"] = to_onnx(load_model(plain, architecture))
    if settings["standardize"] in GROUPS:
        places = data.original.places(trained_recordings(predictions, settings))
        moments = mean_and_sd(data.original, places)
        about["shrinkage"] = (trained["chosen"] or {}).get("shrinkage", 1)
        with io.BytesIO() as file:
            np.save(file, np.stack(moments), allow_pickle=False)
            files["moments.npy"] = file.getvalue()
    about["clips"] = count_clips(predictions)
    write_bundle(output, about, {CARD: model_card_of(about, run, clips, resampling), **files})


def described(run: EvaluatedRun, training: Path, corpus: str, contact: str | None, licence: str | None) -> dict:
    """Return what ``bundle.json`` says of every run, a single fold; parameters are those of :func:`bundle_model`."""
    (metrics,) = run.metrics
    counts = ("n_train", "n_valid", "n_test")
    trained, when = read_json(training), datetime.fromtimestamp(training.stat().st_mtime, UTC)
    return {
        "bundle_format": BUNDLE_FORMAT,
        "serflow": __version__,
        "date": f"{when:%Y-%m-%d}",
        "contact": contact,
        "licence": licence,
        "corpus": corpus,
        "fold_name": run.fold_names[0],
        **{key: metrics[key] for key in ("protocol", "leaky", "model", "seed", "fold", "classes", *_CONFIDENCE)},
        **{key: trained[key] for key in ("architecture", "standardize", "refit")},
        "metrics": {key: metrics[key] for key in (*STATISTICS, "recall", "confusion_matrix", *counts)},
    }


def count_clips(predictions: Path) -> dict[str, dict]:
    """Return the number of recordings, and of copies of each kind, in each part of a run."""
    table = read_table(predictions, ["part", "copy"])
    counts = Counter(zip(table["part"].to_pylist(), table["copy"].to_pylist(), strict=True))
    return {
        part: {
            "recordings": counts[part, None],
            "copies": {
                kind: count for (where, kind), count in sorted(counts.items(), key=str) if where == part and kind
            },
        }
        for part in PARTS
    }


def model_card_of(about: Mapping, run: EvaluatedRun, clips: Path, resampling: Mapping) -> str:
    """Return the model card of a run; ``about`` is its ``bundle.json``, the others are as in :func:`bundle_model`."""
    catalog, how = read_table(clips).to_pandas().set_index("clip"), Resampling(**resampling)
    confusions = run.pooled.confusions()
    return model_card(
        about,
        intervals(confusions, how),
        by_group(run.pooled, catalog, how),
        n_speakers=len(confusions),
        data=_data(run, catalog, about["corpus"]),
        leak=PROTOCOLS[about["protocol"]].leaky,
        listeners=reference_scores(run, catalog, how)["human"],
        unknown_speakers=run.unknown_speakers,
    )


def _data(run: EvaluatedRun, catalog, corpus: str) -> dict[str, list[str]]:
    """Return the corpora and the languages of the clips that a run may have been trained on, as far as known."""
    known = catalog.reindex(columns=["corpus", "language"])
    tested = known["corpus"].isin(known["corpus"].loc[run.pooled.origins]) & run.pooled.by_corpus
    data = {name: sorted(known.loc[~tested, name].dropna().unique()) for name in known}
    published = {FORMATS[name].language for name in data["corpus"] or [corpus] if name in FORMATS} - {None}
    return data | {"language": data["language"] or sorted(published)}


def write_bundle(output: Path, about: Mapping, files: Mapping[str, str | bytes]) -> None:
    """Write a bundle: ``bundle.json`` and other files by name."""
    content = {"bundle.json": json.dumps(about, indent=1, ensure_ascii=False), **files}
    with replacing(output) as partial, zipfile.ZipFile(partial, "w") as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name), data)  # of 1980, so that equal contents give equal bytes
