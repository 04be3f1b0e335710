"""How much the adaptation to a speaker gains, by the number of unlabelled clips that are known of the speaker."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from serflow.evaluation.measures import Resampling
from serflow.evaluation.predictions import RunKey, key_of, strata_of
from serflow.metrics.bootstrap import bootstrap_interval
from serflow.storage import read_json


def load_enrolments(paths: Sequence[Path]) -> dict[RunKey, list[dict]]:
    """Return the tests of all folds of each run, from ``enrolment.json`` of its folds."""
    found: dict[RunKey, list[dict]] = {}
    for path in paths:
        fold = read_json(path)
        found.setdefault(key_of(fold), []).extend(fold["tests"])
    return found


def enrolment_curve(tests: Sequence[Mapping], by_corpus: bool, resampling: Resampling) -> list[dict]:
    """Return the UAR with its interval over speakers for each way to enrol and each number of clips.

    ``tests`` are those of all folds of a run; ``by_corpus`` is that of its predictions.
    """
    points: dict[tuple, list[Mapping]] = {}
    for test in sorted(tests, key=lambda test: test["speaker"]):
        points.setdefault((test["enrolled"], test["clips"]), []).append(test)
    return [
        {
            "enrolled": enrolled,
            "clips": clips,
            "n_speakers": len(same),
            "uar": asdict(
                bootstrap_interval(
                    np.array([test["confusion"] for test in same], float),
                    "uar",
                    *resampling,
                    strata=strata_of([test["speaker"] for test in same], by_corpus),
                )
            ),
        }
        for (enrolled, clips), same in points.items()
    ]
