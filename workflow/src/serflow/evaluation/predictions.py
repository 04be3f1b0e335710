"""Predictions of runs, loaded once in the form that all measures use."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from serflow.corpus.ids import speaker_of
from serflow.metrics.bootstrap import speaker_confusions
from serflow.metrics.calibration import apply_temperature
from serflow.models.predict import PROBABILITY
from serflow.storage import read_json, read_table


class PredictedClips(NamedTuple):
    """The rows of ``predictions.parquet``, sorted by clip, as arrays of length n; ``probabilities`` is (n, K)."""

    clips: np.ndarray
    origins: np.ndarray
    parts: np.ndarray
    truth: np.ndarray
    probabilities: np.ndarray


def read_predictions(path: Path, classes: Sequence[str]) -> PredictedClips:
    """Read ``predictions.parquet``; class codes follow the order of ``classes``."""
    table = read_table(path).sort_by("clip")
    clips, origins, parts, labels = (
        table[name].to_numpy(zero_copy_only=False).astype(str) for name in ("clip", "origin", "part", "label")
    )
    probabilities = np.column_stack([table[PROBABILITY.format(name)].to_numpy() for name in classes])
    return PredictedClips(clips, origins, parts, np.searchsorted(classes, labels), probabilities)


@dataclass(frozen=True)
class Predictions:
    """Predictions on the test clips of one fold, or of all folds together.

    Attributes
    ----------
    clips
        Names, shape (n,).
    origins
        The recording that each clip is, or is a copy of, shape (n,).
    speakers
        Shape (n,).
    truth
        Class codes, shape (n,).
    probabilities, calibrated
        Shape (n, K): as predicted, and after temperature scaling.
    temperatures
        One per fold.
    train_truth
        Class codes of the training clips of each fold.
    """

    clips: np.ndarray
    origins: np.ndarray
    speakers: np.ndarray
    truth: np.ndarray
    probabilities: np.ndarray
    calibrated: np.ndarray
    temperatures: list[float]
    train_truth: list[np.ndarray]

    @property
    def predicted(self) -> np.ndarray:
        """Class codes, shape (n,); the first one if several have the greatest probability."""
        return self.probabilities.argmax(axis=1)

    @property
    def correct(self) -> np.ndarray:
        """Whether each prediction is correct, shape (n,)."""
        return self.predicted == self.truth

    def where(self, chosen: np.ndarray) -> "Predictions":
        """Return the predictions on some of the clips; ``chosen`` is bool, shape (n,)."""
        return replace(self, **{name: getattr(self, name)[chosen] for name in _PER_CLIP})

    def confusions(self) -> np.ndarray:
        """Return one confusion matrix per speaker, shape (A, K, K), speakers in sorted order."""
        return speaker_confusions(self.speakers, self.truth, self.predicted, self.probabilities.shape[1])


_PER_CLIP = ("clips", "origins", "speakers", "truth", "probabilities", "calibrated")


class RunKey(NamedTuple):
    """Identifies a run with all of its folds."""

    protocol: str
    model: str
    seed: int


@dataclass(frozen=True)
class EvaluatedRun:
    """A run: the metrics and predictions of each fold, and the predictions of all folds together."""

    key: RunKey
    classes: list[str]
    leaky: bool
    metrics: dict[int, dict]
    folds: dict[int, Predictions]
    pooled: Predictions


def load_runs(metrics: Sequence[Path], predictions: Sequence[Path]) -> list[EvaluatedRun]:
    """Load runs.

    Parameters
    ----------
    metrics, predictions
        ``metrics.json`` and ``predictions.parquet`` of every fold of every run, in the same order.

    Returns
    -------
    list of EvaluatedRun
        In the order given. Pooled predictions are sorted by fold, then by clip.
    """
    runs: dict[RunKey, dict[int, tuple[dict, Predictions]]] = {}
    for path, predicted in zip(metrics, predictions, strict=True):
        fold = read_json(path)
        runs.setdefault(key_of(fold), {})[fold["fold"]] = fold, _load_fold(predicted, fold)
    loaded = []
    for key, by_fold in runs.items():
        known = {fold: by_fold[fold][0] for fold in sorted(by_fold)}
        folds = {fold: by_fold[fold][1] for fold in sorted(by_fold)}
        first = next(iter(known.values()))
        loaded.append(EvaluatedRun(key, first["classes"], first["leaky"], known, folds, _pool(list(folds.values()))))
    return loaded


def key_of(run: dict) -> RunKey:
    """Return the key of a run from ``metrics.json`` or an entry of ``evaluation.json``."""
    return RunKey(*(run[name] for name in RunKey._fields))


def _load_fold(path: Path, metrics: dict) -> Predictions:
    clips = read_predictions(path, metrics["classes"])
    test = clips.parts == "test"
    return Predictions(
        clips=clips.clips[test],
        origins=clips.origins[test],
        speakers=np.array([speaker_of(origin) for origin in clips.origins[test]]),
        truth=clips.truth[test],
        probabilities=clips.probabilities[test],
        calibrated=apply_temperature(clips.probabilities[test], metrics["temperature"]),
        temperatures=[metrics["temperature"]],
        train_truth=[clips.truth[clips.parts == "train"]],
    )


def _pool(folds: Sequence[Predictions]) -> Predictions:
    values = {field.name: [getattr(fold, field.name) for fold in folds] for field in fields(Predictions)}
    pooled = {
        name: np.concatenate(parts) if name in _PER_CLIP else list(itertools.chain(*parts))
        for name, parts in values.items()
    }
    return Predictions(**pooled)
