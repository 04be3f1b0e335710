"""The evaluation that the report rests on: everything about all runs, in one file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from serflow.corpus.crema_d_names import EMOTIONS
from serflow.evaluation import published
from serflow.evaluation.comparisons import compare_pairs, leakage, over_seeds
from serflow.evaluation.measures import Resampling, by_group, measure, references
from serflow.evaluation.predictions import EvaluatedRun, load_runs
from serflow.metrics.scores import STATISTICS
from serflow.runtime.errors import UserError
from serflow.storage import read_table, write_json


def evaluate_runs(runs: Sequence[Path], *, clips: Path, settings: Mapping, output: Path) -> None:
    """Write ``evaluation.json``.

    Parameters
    ----------
    runs
        ``metrics.json`` of every fold of every run, with the predictions beside it.
    clips
        The catalogue, for groups and for the listeners' votes.
    settings
        The section ``evaluation`` of the configuration: ``resamples``, ``seed``, ``bins``.
    output
        As in ``workflow/schemas/evaluation.schema.json``. Every score is a fraction.

    Raises
    ------
    UserError
        If there are no runs.
    """
    if not runs:
        raise UserError("there are no runs to evaluate; list some under runs in the configuration")
    loaded = load_runs(runs)
    catalog = {row["clip"]: row for row in read_table(clips).to_pylist()}
    votes = _votes(catalog)
    resampling = Resampling(settings["resamples"], settings["seed"])
    summaries = over_seeds(loaded, resampling)
    of_protocol: dict[str, EvaluatedRun] = {}
    for run in loaded:
        of_protocol.setdefault(run.key.protocol, run)
    write_json(
        output,
        {
            "classes": sorted({name for run in loaded for name in run.classes}),
            "resampling": {**resampling._asdict(), "unit": "speaker", "level": 0.95},
            "runs": [_run(run, catalog, settings["bins"], resampling) for run in loaded],
            "models": summaries,
            "references": {
                # The listeners chose among six; for other classes their answers are no reference.
                protocol: references(
                    run.pooled,
                    list(run.folds.values()),
                    votes if run.classes == sorted(EMOTIONS) else {},
                    run.classes,
                    resampling,
                )
                for protocol, run in of_protocol.items()
            },
            "published": [_published(run) for run in published.RUNS],
            "pairs": compare_pairs(loaded, resampling),
            "leakage": leakage(summaries),
        },
    )


def _run(run: EvaluatedRun, catalog: Mapping, bins: int, resampling: Resampling) -> dict:
    return {
        **run.key._asdict(),
        "leaky": run.leaky,
        "pooled": measure(run.pooled, run.classes, bins, resampling),
        "folds": [
            {"fold": fold, **measure(answers, run.classes, bins, resampling)} for fold, answers in run.folds.items()
        ],
        "groups": by_group(run.pooled, catalog, resampling),
    }


def _votes(catalog: Mapping[str, Mapping]) -> dict[str, np.ndarray]:
    columns = [f"votes_{emotion}" for emotion in sorted(EMOTIONS)]
    return {
        clip: np.array([row[column] for column in columns])
        for clip, row in catalog.items()
        if row[columns[0]] is not None
    }


def _published(run: published.PublishedRun) -> dict:
    scores = {"accuracy": run.accuracy, "f1_weighted": run.f1_weighted, "uar": None}
    if run.confusion_matrix:
        scores["uar"] = float(STATISTICS["uar"](np.array(run.confusion_matrix)))
    return {"name": run.name, "protocol": "notebook", "leaky": True, "n_clips": published.N_TEST, **scores}
