"""How much the adaptation to a speaker gains, by the number of unlabelled clips that are known of the speaker."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from serflow.evaluation.measures import Resampling
from serflow.evaluation.predictions import RunKey, key_of
from serflow.metrics.bootstrap import bootstrap_interval
from serflow.storage import read_json


def load_enrolments(paths: Sequence[Path]) -> dict[RunKey, list[dict]]:
    """Return the tests of all folds of each run, from ``enrolment.json`` of its folds."""
    found: dict[RunKey, list[dict]] = {}
    for path in paths:
        fold = read_json(path)
        found.setdefault(key_of(fold), []).extend(fold["tests"])
    return found


def enrolment_curve(tests: Sequence[Mapping], resampling: Resampling) -> list[dict]:
    """Return the UAR with its interval over speakers for each way to enrol and each number of clips."""
    points: dict[tuple, list[np.ndarray]] = {}
    for test in sorted(tests, key=lambda test: test["speaker"]):
        points.setdefault((test["enrolled"], test["clips"]), []).append(np.array(test["confusion"], float))
    return [
        {
            "enrolled": enrolled,
            "clips": clips,
            "n_speakers": len(matrices),
            "uar": asdict(bootstrap_interval(np.stack(matrices), "uar", *resampling)),
        }
        for (enrolled, clips), matrices in points.items()
    ]
