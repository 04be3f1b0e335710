"""What runs answered on their test clips: loaded once, in the form that every measure wants."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from serflow.corpus.ids import speaker_of
from serflow.metrics.bootstrap import speaker_confusions
from serflow.metrics.calibration import apply_temperature, fit_temperature
from serflow.models.predict import PROBABILITY
from serflow.splits.split_clips import PARTS
from serflow.storage import read_json, read_table


@dataclass(frozen=True)
class Predictions:
    """Predictions of a fold, or of all folds together.

    Attributes
    ----------
    clips
        Names, shape (n,); an augmented copy's begins with its origin's and a dot.
    speakers
        Shape (n,).
    truth
        Class codes, shape (n,).
    probabilities, scaled
        Shape (n, K): as predicted, and with the temperature fitted on the fold's validation clips.
    temperatures
        One per fold.
    train_truth
        Class codes of the training rows, of each fold.
    """

    clips: np.ndarray
    speakers: np.ndarray
    truth: np.ndarray
    probabilities: np.ndarray
    scaled: np.ndarray
    temperatures: list[float]
    train_truth: list[np.ndarray]

    @property
    def predicted(self) -> np.ndarray:
        """Class codes, shape (n,), the first of equals."""
        return self.probabilities.argmax(axis=1)

    @property
    def right(self) -> np.ndarray:
        """Whether each answer is right, shape (n,)."""
        return self.predicted == self.truth

    @property
    def origins(self) -> list[str]:
        """The recording that each clip is, or is a copy of."""
        return [clip.partition(".")[0] for clip in self.clips]

    def where(self, chosen: np.ndarray) -> "Predictions":
        """Give the answers on some of the clips."""
        parts = (getattr(self, name)[chosen] for name in ("clips", "speakers", "truth", "probabilities", "scaled"))
        return Predictions(*parts, self.temperatures, self.train_truth)

    def confusions(self) -> np.ndarray:
        """Count one confusion matrix per speaker, shape (A, K, K), speakers in sorted order."""
        return speaker_confusions(self.speakers, self.truth, self.predicted, self.probabilities.shape[1])


class RunKey(NamedTuple):
    """A run, all of its folds."""

    protocol: str
    model: str
    seed: int


@dataclass(frozen=True)
class EvaluatedRun:
    """A run: what is known of it, and its answers by fold and pooled."""

    key: RunKey
    classes: list[str]
    leaky: bool
    folds: dict[int, Predictions]
    pooled: Predictions


def load_runs(metrics: Sequence[Path]) -> list[EvaluatedRun]:
    """Load the answers of runs.

    Parameters
    ----------
    metrics
        ``metrics.json`` of every fold of every run; ``predictions.parquet`` lies beside it.

    Returns
    -------
    list of EvaluatedRun
        In the order given; the pooled answers are sorted by fold, then by clip.
    """
    found: dict[RunKey, dict[int, tuple[Mapping, Predictions]]] = {}
    for path in metrics:
        known = read_json(path)
        key = RunKey(known["protocol"], known["model"], known["seed"])
        answers = load_predictions(path.parent / "predictions.parquet", known["classes"])
        found.setdefault(key, {})[known["fold"]] = known, answers
    runs = []
    for key, by_fold in found.items():
        known = next(iter(by_fold.values()))[0]
        folds = {fold: by_fold[fold][1] for fold in sorted(by_fold)}
        runs.append(EvaluatedRun(key, known["classes"], known["leaky"], folds, _pool(list(folds.values()))))
    return runs


def load_predictions(predictions: Path, classes: Sequence[str]) -> Predictions:
    """Load a fold's answers on its test clips, with the temperature fitted on its validation clips."""
    table = read_table(predictions).sort_by("clip")
    clips, parts, labels = (table[name].to_numpy(zero_copy_only=False) for name in ("clip", "part", "label"))
    truth = np.searchsorted(classes, labels.astype(str))
    probabilities = np.column_stack([table[PROBABILITY.format(name)].to_numpy() for name in classes])
    train, valid, test = (parts == part for part in PARTS)
    temperature = fit_temperature(probabilities[valid], truth[valid])
    return Predictions(
        clips=clips[test].astype(str),
        speakers=np.array([speaker_of(clip) for clip in clips[test]]),
        truth=truth[test],
        probabilities=probabilities[test],
        scaled=apply_temperature(probabilities[test], temperature),
        temperatures=[temperature],
        train_truth=[truth[train]],
    )


def _pool(folds: Sequence[Predictions]) -> Predictions:
    arrays = (
        np.concatenate([getattr(fold, name) for fold in folds])
        for name in ("clips", "speakers", "truth", "probabilities", "scaled")
    )
    return Predictions(
        *arrays,
        temperatures=[temperature for fold in folds for temperature in fold.temperatures],
        train_truth=[truth for fold in folds for truth in fold.train_truth],
    )
