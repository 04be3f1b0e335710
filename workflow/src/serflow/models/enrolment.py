"""Adapting a model that standardises by speaker to a new speaker, with unlabelled clips: the enrolment.

In training, features are standardised by all recordings of their speaker. Of a new speaker only some clips are known:
their mean and standard deviation are shrunk to those of the training clips.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from serflow.corpus.copies import random_number
from serflow.corpus.ids import is_copy, speaker_of
from serflow.metrics.scores import confusion_matrix, scores_from_confusion
from serflow.models.keras_run import load_model, prepare
from serflow.models.moments import Moments, moments_of, shrink
from serflow.models.standardize import mean_and_sd, plain_features
from serflow.storage import read_json, read_table, write_json

COUNTS = (0, 1, 3, 5, 10, 20)  # clips to enrol
ALL = None
DRAWS = 5
ANY, NEUTRAL, TWO_CLASSES = "any", "neutral", "two classes"
SHRINKAGES = (1, 3, 10)


def choose_shrinkage(network, features, valid: Mapping[str, list], codes: np.ndarray, training: Moments) -> float:
    """Return the shrinkage with the best UAR on validation speakers, on average over numbers of enrolled clips."""
    uars = []
    for shrinkage in SHRINKAGES:
        tested = _predictions(network, features, valid, codes, training, shrinkage, {ANY: None}, COUNTS[1:], draws=1)
        by_count: dict[int, list] = {}
        for _, count, _, truth, predicted in tested:
            by_count.setdefault(count, []).append((truth, predicted))
        classes = network.output_shape[-1]
        uars.append(
            np.mean([
                scores_from_confusion(confusion_matrix(*map(np.concatenate, zip(*pairs, strict=True)), classes))["uar"]
                for pairs in by_count.values()
            ])
        )  # fmt: skip
    return SHRINKAGES[int(np.argmax(uars))]


def trained_recordings(predictions: Path, settings: Mapping) -> list[str]:
    """Return the recordings that the model of a run was trained on, by its ``predictions.parquet``."""
    columns = read_table(predictions, ["clip", "part"]).to_pydict()
    parts = ("train", "valid") if settings.get("refit") else ("train",)
    return [clip for clip, part in zip(*columns.values(), strict=True) if part in parts and not is_copy(clip)]


def evaluate_enrolment(
    model: Path,
    architecture: str,
    features: Sequence[Path],
    *,
    indices: Sequence[Path],
    predictions: Path,
    metrics: Path,
    training: Path,
    settings: Mapping,
    threads: int,
    output: Path,
) -> None:
    """Test an adapted model with a few unlabelled clips of each test speaker.

    Parameters
    ----------
    model
        Trained model, ``model.keras``.
    architecture
        Name of the model's architecture.
    features
        Feature shards.
    indices
        Index tables of the feature shards, in the same order, where these are ``.npy`` arrays.
    predictions
        ``predictions.parquet`` of the run, with its clips.
    metrics
        ``metrics.json`` of the run.
    training
        ``training.json`` of the run, with the shrinkage.
    settings
        All settings of the model.
    threads
        Number of threads of TensorFlow.
    output
        ``enrolment.json``: protocol, model, seed, fold, and in ``tests`` for each speaker what was ``enrolled``
        (``any`` clips, ``neutral`` ones or those of ``two classes``; the last two use labels), how many ``clips`` (null
        for all of the speaker), and the ``confusion`` matrix. The clips are drawn several times; matrices are sums over
        the draws. Enrolled clips are not tested, except if all are enrolled.
    """
    prepare(0, threads)
    trained = read_json(training)
    classes, chosen = trained["classes"], trained["chosen"]
    data, network = plain_features(architecture, features, indices, settings), load_model(model, architecture)
    rows = read_table(predictions, ["clip", "origin", "part", "label"]).to_pylist()
    rows = [row for row in rows if row["part"] == "test" and row["clip"] == row["origin"]]
    tested = {"clip": [row["clip"] for row in rows]}
    codes = np.searchsorted(classes, [row["label"] for row in rows])
    moments = mean_and_sd(data, data.places(trained_recordings(predictions, settings)))
    kinds = {ANY: None, TWO_CLASSES: (0, len(classes) - 1)}
    if "NEU" in classes:
        kinds[NEUTRAL] = (classes.index("NEU"),)
    tests: dict[tuple, np.ndarray] = {}
    for *what, truth, predicted in _predictions(
        network, data, tested, codes, moments, chosen["shrinkage"], kinds, (*COUNTS, ALL), draws=DRAWS
    ):
        counts = confusion_matrix(truth, predicted, len(classes))
        tests[tuple(what)] = tests.get(tuple(what), 0) + counts
    run = read_json(metrics)
    write_json(
        output,
        {key: run[key] for key in ("protocol", "model", "seed", "fold")}
        | {
            "shrinkage": chosen["shrinkage"],
            "tests": [
                dict(zip(("enrolled", "clips", "speaker"), what, strict=True)) | {"confusion": counts.tolist()}
                for what, counts in tests.items()
            ],
        },
    )


def _predictions(
    network,
    features,
    columns: Mapping[str, list],
    codes,
    training: Moments,
    shrinkage,
    kinds: Mapping,
    counts,
    draws: int,
) -> Iterator[tuple]:
    """Yield kind and number of enrolled clips, speaker, true and predicted class codes of the clips that are tested.

    ``kinds`` has for each kind the class codes that enrolled clips are drawn from, or None for all.
    """
    from keras.ops import convert_to_numpy

    clips = np.array(columns["clip"])
    speakers = np.array([speaker_of(clip) for clip in clips])
    for speaker in np.unique(speakers):
        of_speaker = np.flatnonzero(speakers == speaker)
        truth, values = codes[of_speaker], features.take(features.places(clips[of_speaker]))
        for kind, wanted in kinds.items():
            eligible = np.arange(len(truth)) if wanted is None else np.flatnonzero(np.isin(truth, wanted))
            for count in counts:
                if (wanted is not None) if count is ALL else (0 < count >= len(eligible)):
                    continue  # all clips of some classes; more clips than there are
                for draw in range(1 if count in (0, ALL) else draws):
                    numbers = [random_number(draw, clip, f"enrol {kind}") for clip in clips[of_speaker][eligible]]
                    enrolled = eligible[np.argsort(numbers)][: len(eligible) if count is ALL else count]
                    tested = np.arange(len(truth))
                    if count is not ALL:
                        tested = np.setdiff1d(tested, enrolled)
                    moments = training
                    if len(enrolled):
                        known = moments_of([values[enrolled]], features.columns)
                        moments = known if count is ALL else shrink(known, len(enrolled), training, shrinkage)
                    answers = convert_to_numpy(network(moments.standardize(values[tested])))
                    yield kind, count, str(speaker), truth[tested], answers.argmax(axis=1)
