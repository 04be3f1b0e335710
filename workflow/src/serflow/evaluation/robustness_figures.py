"""The robustness of a run: UAR under each condition, how it changes, and how many answers stay the same."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from serflow.corpus.ids import speaker_of
from serflow.evaluation.measures import Resampling
from serflow.evaluation.predictions import strata_of
from serflow.evaluation.robustness import CONDITIONS, UNCHANGED, variants_of
from serflow.metrics.bootstrap import bootstrap_interval, paired_difference, speaker_confusions
from serflow.metrics.calibration import apply_temperature
from serflow.models.predict import PROBABILITY
from serflow.splits import PROTOCOLS
from serflow.storage import read_json, read_table, write_json


def test_robustness(
    labelled: Sequence[Path],
    *,
    protocol: str,
    model: str,
    seed: int,
    members: int,
    conditions: Mapping[str, Mapping],
    training: Sequence[Path],
    metrics: Sequence[Path],
    resampling: Mapping,
    reason: str | None = None,
    output: Path,
) -> None:
    """Write the robustness of a run, over all of its folds.

    Parameters
    ----------
    labelled
        Tables of :func:`serflow.evaluation.label_changed.label_changed`: for each condition, ``unchanged`` first, for
        each fold, for each member of the ensemble, or of the run alone.
    protocol, model, seed
        The run.
    members
        Number of members of an ensemble; 1 for another run.
    conditions
        Name of each condition → its settings.
    training
        ``training.json`` of each fold, with the weights of an ensemble.
    metrics
        ``metrics.json`` of the members of each fold, with their temperatures.
    resampling
        Number of resamples of the speakers and their seed.
    reason
        Why the run cannot be tested; there are no tables then.
    output
        JSON file to write: an entry of ``robustness.runs`` in ``evaluation.json``.
    """
    found = {"protocol": protocol, "model": model, "seed": seed, "reason": reason}
    found |= {"n_clips": 0, "n_speakers": 0, "unchanged": None, "conditions": []}
    if reason is None:
        classes, tables = read_json(training[0])["classes"], iter(labelled)
        mixtures = [Mixture.of(*files, classes) for files in zip(training, _chunks(metrics, members), strict=True)]
        answers: dict[str, Answers] = {}
        for _ in (UNCHANGED, *conditions):
            of_folds = [mixture.answers([next(tables) for _ in range(members)]) for mixture in mixtures]
            answers |= pooled(of_folds)
        found |= robustness_of(answers, classes, protocol, conditions, Resampling(**resampling))
    write_json(output, found)


class Answers(NamedTuple):
    """Answers to the clips of a variant: names, true and predicted class codes, all of shape (n,).

    ``reason`` says why there are none.
    """

    clips: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    reason: str | None = None


class Mixture(NamedTuple):
    """How the answers of members are combined: weights and temperatures, None for a run that is no ensemble."""

    classes: list[str]
    weights: Sequence[float] | None
    temperatures: Sequence[float]

    @classmethod
    def of(cls, training: Path, metrics: Sequence[Path], classes: list[str]) -> "Mixture":
        """Read the mixture of a fold."""
        weights = (read_json(training).get("chosen") or {}).get("weights")
        return cls(classes, weights, [read_json(path)["temperature"] for path in metrics])

    def answers(self, members: Sequence[Path]) -> dict[str, Answers]:
        """Return the answers to each variant in the tables of members."""
        names = [PROBABILITY.format(name) for name in self.classes]
        tables = [read_table(path) for path in members]
        shares = [np.column_stack([table[name].to_numpy() for name in names]).astype(np.float64) for table in tables]
        if self.weights:
            calibrated = map(apply_temperature, shares, self.temperatures)
            shares = [sum(weight * each for weight, each in zip(self.weights, calibrated, strict=True))]
        (shares,), found = shares, {}
        variants, clips, labels = (np.array(tables[0][name].to_pylist()) for name in ("variant", "clip", "label"))
        reasons = dict(zip(variants, tables[0]["reason"].to_pylist(), strict=True))
        for variant, reason in reasons.items():
            rows = np.flatnonzero(variants == variant) if reason is None else np.zeros(0, np.intp)
            truth = np.searchsorted(self.classes, labels[rows].astype(str))
            found[str(variant)] = Answers(clips[rows].astype(str), truth, shares[rows].argmax(axis=1), reason)
        return found


def pooled(folds: Sequence[Mapping[str, Answers]]) -> dict[str, Answers]:
    """Return the answers of all folds together; if there are none in one fold, there are none."""
    found = {}
    for variant in folds[0]:
        parts = [fold[variant] for fold in folds]
        reasons = [f"fold {number}: {part.reason}" for number, part in enumerate(parts) if part.reason]
        joined = (np.concatenate(column) for column in list(zip(*parts, strict=True))[:3])
        found[variant] = Answers(*joined, reason="; ".join(reasons) or None)
    return found


def robustness_of(
    answers: Mapping[str, Answers],
    classes: Sequence[str],
    protocol: str,
    conditions: Mapping[str, Mapping],
    resampling: Resampling,
) -> dict:
    """Return the figures of a run from its answers to each variant, of which ``unchanged`` is one."""
    before = answers[UNCHANGED]
    by_corpus = "corpus" in PROTOCOLS[protocol].apart
    speakers = np.array([speaker_of(clip) for clip in before.clips])
    strata = strata_of(np.unique(speakers), by_corpus)

    def confusions(of: Answers) -> np.ndarray:
        return speaker_confusions(speakers, of.truth, of.predicted, len(classes))

    def interval(sums: np.ndarray) -> dict:
        return asdict(bootstrap_interval(sums, "uar", *resampling, strata=strata))

    sums = confusions(before)
    rows = []
    for name, settings in conditions.items():
        for variant in variants_of(name, settings):
            after, figures = answers[variant.name], {"uar": None, "change": None, "unchanged": None}
            if after.reason is None:
                changed = confusions(after)
                difference = paired_difference(changed, sums, "uar", *resampling, strata=strata)
                figures = {"uar": interval(changed), "change": asdict(difference)}
                figures["unchanged"] = float((after.predicted == before.predicted).mean())
            wanted = dict(settings["thresholds"])
            if variant.level not in wanted.pop("levels", [variant.level]):
                wanted = dict.fromkeys(wanted)
            rows.append(
                {"condition": variant.name, "title": variant.title, "kind": CONDITIONS[name].kind, **figures}
                | {"thresholds": wanted, "passed": passed(figures, wanted), "reason": after.reason}
            )
    counts = {"n_clips": len(before.clips), "n_speakers": len(sums)}
    return counts | {"unchanged": {"uar": interval(sums)}, "conditions": rows}


def passed(figures: Mapping, wanted: Mapping) -> bool | None:
    """Return whether figures reach all thresholds; None if there are none of either."""
    if figures["change"] is None or all(value is None for value in wanted.values()):
        return None
    found = {"unchanged": figures["unchanged"], "change": figures["change"]["value"]}
    return all(round(found[name], 9) >= least for name, least in wanted.items() if least is not None)


def _chunks(paths: Sequence[Path], size: int) -> list[Sequence[Path]]:
    return [paths[start : start + size] for start in range(0, len(paths), size)]
