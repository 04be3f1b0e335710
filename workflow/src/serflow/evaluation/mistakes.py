"""The mistakes of the headline run that the report shows, and which part of each clip decides."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from serflow.audio.length import truncate_or_pad
from serflow.audio.read_recordings import Recordings
from serflow.evaluation.predictions import EvaluatedRun, headline_run, key_of, load_runs
from serflow.features import KINDS
from serflow.inference.classifier import Classifier
from serflow.inference.occlusion import occlude
from serflow.inference.trained import TrainedNetwork
from serflow.models.keras_run import prepare
from serflow.storage import read_json, read_table, write_json

NOT_EXPLAINED = "ensembles, models that are adapted, and those on a table of features are not explained"


def explain_mistakes(
    metrics: Sequence[Path],
    predictions: Sequence[Path],
    *,
    explained: Sequence[Path],
    models: Sequence[Path],
    trainings: Sequence[Path],
    catalog: Path,
    samples: Sequence[Path],
    indices: Sequence[Path],
    length: Path,
    encoders: Sequence[Path],
    descriptions: Sequence[Path],
    preprocessing: Mapping,
    count: int,
    threads: int,
    output: Path,
) -> None:
    """Choose mistakes of the headline run, and measure which parts of these clips decide.

    Parameters
    ----------
    metrics
        ``metrics.json`` of every fold of every run.
    predictions
        ``predictions.parquet`` of the same folds, in the same order.
    explained, models, trainings
        ``metrics.json``, ``model.keras`` and ``training.json`` of those folds whose models can be explained, in one
        order.
    catalog
        ``clips.parquet``.
    samples, indices
        Arrays and indices of the recordings of all shards.
    length
        ``target.json``.
    encoders, descriptions
        ONNX files and descriptions of the encoders that these models read, in one order.
    preprocessing
        The settings of each kind of features that these models read, with ``sampling_rate``.
    count
        Maximum number of clips; fewer if fewer predictions are wrong.
    threads
        Number of threads of TensorFlow and of the features.
    output
        JSON file to write: the run and its number of folds, the number of recordings and copies that it was tested
        on, the number of recordings with a wrong prediction, the clips with their ``occlusion``, and the ``reason``
        if that is null.
    """
    run = headline_run(load_runs(metrics, predictions))
    wrong, rows = wrong_predictions(run), read_table(catalog).to_pandas().set_index("clip")
    mistakes = choose_mistakes(wrong, rows["speaker"], count)
    files = zip(explained, models, trainings, strict=True)
    known = ((read_json(path), model, training) for path, model, training in files)
    trained = {
        about["fold"]: (model, read_json(training)) for about, model, training in known if key_of(about) == run.key
    }
    names = dict(zip(run.fold_names, [fold["fold"] for fold in run.metrics], strict=True))
    of_encoder = {read_json(path)["name"]: (onnx, path) for onnx, path in zip(encoders, descriptions, strict=True)}
    recorded, shown, lengths = Recordings(samples, indices), [], {}
    if trained:
        prepare(0, threads)
        lengths = {key: read_json(length)[key] for key in ("target_length", "frame_size")}
    for name, of_fold in mistakes.groupby("fold", sort=False):
        classifier = None
        if trained:
            model, about = trained[names[name]]
            kind = about["features"]
            encoder = KINDS[kind].load().open_encoder(*of_encoder[about["encoder"]]) if about["encoder"] else None
            network = TrainedNetwork(model, about["architecture"])
            classifier = Classifier(network, kind, {**preprocessing[kind], **lengths}, threads, encoder)
        for mistake in of_fold.to_dict("records"):
            found = classifier and _occlusion(classifier, recorded[mistake["clip"]])
            shown.append({**mistake, "occlusion": found})
    recordings = int((run.pooled.clips == run.pooled.origins).sum())
    counts = {"n_clips": recordings, "n_copies": len(run.pooled.clips) - recordings, "wrong": len(wrong)}
    reason = None if trained else NOT_EXPLAINED
    write_json(output, {**run.key._asdict(), **counts, "n_folds": len(run.folds), "reason": reason, "clips": shown})


def _occlusion(classifier: Classifier, samples: np.ndarray) -> dict:
    whole = len(samples)
    if classifier.pads:
        (samples,) = truncate_or_pad([samples], classifier.preprocessing["target_length"])
    found = occlude(classifier, samples, whole)
    return {name: getattr(found, name).tolist() for name in ("edges", "parts", "bands", "levels")}


def wrong_predictions(run: EvaluatedRun):
    """Return the wrong predictions on recordings (not on augmented copies), the highest confidence first.

    The ``pandas.DataFrame`` has the columns clip, fold (its name), truth, predicted, and, both after temperature
    scaling, confidence and probabilities (a dict by class).
    """
    import pandas as pd

    tables, classes = [], np.array(run.classes)
    for name, fold in zip(run.fold_names, run.folds, strict=True):
        wrong = fold.where(~fold.correct & (fold.clips == fold.origins))
        table = pd.DataFrame({"clip": wrong.clips, "fold": name, "confidence": wrong.calibrated.max(axis=1)})
        table["truth"], table["predicted"] = classes[wrong.truth], classes[wrong.predicted]
        table["probabilities"] = [dict(zip(run.classes, row, strict=True)) for row in wrong.calibrated.tolist()]
        tables.append(table)
    return pd.concat(tables).sort_values(["confidence", "clip"], ascending=[False, True], ignore_index=True)


def choose_mistakes(mistakes, speakers: Mapping[str, str], count: int):
    """Return mistakes of each fold, speaker and confusion in turn, of those left the one with the highest confidence.

    Parameters
    ----------
    mistakes
        ``pandas.DataFrame`` with the columns clip, fold, truth and predicted, the highest confidence first.
    speakers
        Clip → its speaker.
    count
        Maximum number.
    """
    confusions = zip(mistakes["truth"], mistakes["predicted"], strict=True)
    of_mistake = list(zip(mistakes["fold"], [speakers[clip] for clip in mistakes["clip"]], confusions, strict=True))
    shown, left = [], list(range(len(mistakes)))
    times: Counter = Counter()
    while left and len(shown) < count:
        place = min(left, key=lambda row: [times[kind] for kind in enumerate(of_mistake[row])])
        times.update(enumerate(of_mistake[place]))
        shown.append(place)
        left.remove(place)
    return mistakes.loc[shown]
