"""Predictions of runs, loaded once in the form that all measures use."""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from serflow.corpus.ids import corpus_of, speaker_of
from serflow.metrics.bootstrap import speaker_confusions
from serflow.metrics.calibration import apply_temperature
from serflow.models.named import GROUPS
from serflow.models.predict import PROBABILITY
from serflow.splits import PROTOCOLS
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
    """Predictions on the n test clips of one fold, or of all folds together."""

    clips: np.ndarray
    origins: np.ndarray  # the recording that each clip is, or is a copy of
    speakers: np.ndarray
    truth: np.ndarray  # class codes
    probabilities: np.ndarray  # (n, K)
    calibrated: np.ndarray  # (n, K), after temperature scaling
    temperatures: list[float]  # of each fold
    train_truth: list[np.ndarray]  # class codes of the training clips of each fold
    unknown_speakers: list[bool]  # whether no speaker that a fold tests on is in its training or validation
    by_corpus: bool = False  # whether metrics are means over corpora, each of which is a fold

    @property
    def predicted(self) -> np.ndarray:
        """Class codes, shape (n,); the first one if several have the greatest probability."""
        return self.probabilities.argmax(axis=1)

    @property
    def correct(self) -> np.ndarray:
        """Whether each prediction is correct, shape (n,)."""
        return self.predicted == self.truth

    @property
    def strata(self) -> np.ndarray | None:
        """Corpus of each speaker, shape (A,), if metrics are means over corpora."""
        return strata_of(np.unique(self.speakers), self.by_corpus)

    def where(self, chosen: np.ndarray) -> "Predictions":
        """Return the predictions on some of the clips; ``chosen`` is bool, shape (n,)."""
        return replace(self, **{name: getattr(self, name)[chosen] for name in _PER_CLIP})

    def confusions(self) -> np.ndarray:
        """Return one confusion matrix per speaker, shape (A, K, K), speakers in sorted order."""
        return speaker_confusions(self.speakers, self.truth, self.predicted, self.probabilities.shape[1])


_PER_CLIP = ("clips", "origins", "speakers", "truth", "probabilities", "calibrated")


def strata_of(speakers: Sequence[str], by_corpus: bool) -> np.ndarray | None:
    """Return the corpus of each speaker if metrics are means over corpora."""
    return np.array([corpus_of(speaker) for speaker in speakers]) if by_corpus else None


class RunKey(NamedTuple):
    """Identifies a run with all of its folds."""

    protocol: str
    model: str
    seed: int


@dataclass(frozen=True)
class EvaluatedRun:
    """A run: ``metrics.json`` and predictions of its folds, in their order, and the predictions of all folds."""

    key: RunKey
    classes: list[str]
    leaky: bool
    adapted: str | None  # to "speaker" or "corpus", by recordings without their labels
    metrics: list[dict]
    folds: list[Predictions]
    pooled: Predictions

    @property
    def fold_names(self) -> list[str]:
        """What each fold is called: its number, or the corpus that it tests on."""
        return [
            f"tested on {corpus_of(fold.speakers[0])}" if fold.by_corpus else f"fold {known['fold']}"
            for known, fold in zip(self.metrics, self.folds, strict=True)
        ]

    @property
    def valid_uar(self) -> float:
        """UAR on validation clips, the mean over folds; before a refit."""
        return statistics.mean(fold["valid_uar"] for fold in self.metrics)

    @property
    def unknown_speakers(self) -> bool:
        """Whether every fold tests on speakers that are neither in its training nor in its validation."""
        return all(self.pooled.unknown_speakers)

    @property
    def about(self) -> dict:
        """The key, and what :func:`best_run` chooses by."""
        names = ("leaky", "adapted", "unknown_speakers", "valid_uar")
        return self.key._asdict() | {name: getattr(self, name) for name in names}


def load_runs(metrics: Sequence[Path], predictions: Sequence[Path]) -> list[EvaluatedRun]:
    """Load runs in the order given. Pooled predictions are sorted by fold, then by clip.

    Parameters
    ----------
    metrics, predictions
        ``metrics.json`` and ``predictions.parquet`` of every fold of every run, in the same order.
    """
    runs: dict[RunKey, list[tuple[dict, Path]]] = {}
    for path, predicted in zip(metrics, predictions, strict=True):
        fold = read_json(path)
        runs.setdefault(key_of(fold), []).append((fold, predicted))
    loaded = []
    for key, files in runs.items():
        known, paths = zip(*sorted(files, key=lambda pair: pair[0]["fold"]), strict=True)
        folds = [_load_fold(path, fold) for path, fold in zip(paths, known, strict=True)]
        first = known[0]
        adapted = first["standardize"] if first["standardize"] in GROUPS else None
        loaded.append(EvaluatedRun(key, first["classes"], first["leaky"], adapted, list(known), folds, _pool(folds)))
    return loaded


def key_of(run: dict) -> RunKey:
    """Return the key of a run from ``metrics.json`` or an entry of ``evaluation.json``."""
    return RunKey(*(run[name] for name in RunKey._fields))


def best_run(runs: Sequence[Mapping]) -> Mapping:
    """Return the run of ``evaluation.json`` with the highest UAR on validation clips.

    It is chosen from those that test on unknown speakers, to whom they are not adapted; without such runs from those
    that are not leaky, else from all. The highest of several UARs on test clips would be too high.
    """
    runs = [run for run in runs if not run["adapted"]] or runs
    unknown = [run for run in runs if run["unknown_speakers"]]
    not_leaky = [run for run in runs if not run["leaky"]]
    return max(unknown or not_leaky or runs, key=lambda run: run["valid_uar"])


def headline_run(runs: Sequence[EvaluatedRun]) -> EvaluatedRun:
    """Return the run that :func:`best_run` chooses."""
    best = key_of(best_run([run.about for run in runs]))
    return next(run for run in runs if run.key == best)


def _load_fold(path: Path, metrics: dict) -> Predictions:
    read = read_predictions(path, metrics["classes"])
    test = PredictedClips(*(column[read.parts == "test"] for column in read))
    speakers = np.array([speaker_of(origin) for origin in test.origins])
    known = {speaker_of(origin) for origin in read.origins[read.parts != "test"]}
    return Predictions(
        clips=test.clips,
        origins=test.origins,
        speakers=speakers,
        truth=test.truth,
        probabilities=test.probabilities,
        calibrated=apply_temperature(test.probabilities, metrics["temperature"]),
        temperatures=[metrics["temperature"]],
        train_truth=[read.truth[read.parts == "train"]],
        unknown_speakers=[known.isdisjoint(speakers)],
        by_corpus="corpus" in PROTOCOLS[metrics["protocol"]].apart,
    )


def _pool(folds: Sequence[Predictions]) -> Predictions:
    values = {field.name: [getattr(fold, field.name) for fold in folds] for field in fields(Predictions)}
    joined = {name: np.concatenate(values.pop(name)) for name in _PER_CLIP}
    by_corpus = any(values.pop("by_corpus"))
    lists = {name: list(itertools.chain(*parts)) for name, parts in values.items()}
    return Predictions(**joined, **lists, by_corpus=by_corpus)
