"""The evaluation that the report shows: everything about all runs, in one file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from serflow.evaluation.checks import check_runs
from serflow.evaluation.comparison_table import comparison_rows
from serflow.evaluation.comparisons import compare_pairs, compare_protocols, summarize_seeds
from serflow.evaluation.disagreement import disagreement
from serflow.evaluation.enrolment_curve import enrolment_curve, load_enrolments
from serflow.evaluation.groups import by_group, compare_groups
from serflow.evaluation.importance import load_importances
from serflow.evaluation.measures import Resampling, measure
from serflow.evaluation.predictions import EvaluatedRun, load_runs
from serflow.evaluation.references import reference_scores
from serflow.evaluation.unsure import unsure
from serflow.runtime.errors import UserError
from serflow.storage import read_json, read_table, write_json


def evaluate_runs(
    metrics: Sequence[Path],
    predictions: Sequence[Path],
    *,
    enrolments: Sequence[Path],
    importances: Sequence[Path],
    mistakes: Path,
    robustness: Sequence[Path],
    clips: Path,
    published: Mapping,
    settings: Mapping,
    output: Path,
) -> None:
    """Write metrics with intervals, groups, reference values, calibration, comparisons and checks of all runs.

    Parameters
    ----------
    metrics
        ``metrics.json`` of every fold of every run.
    predictions
        ``predictions.parquet`` of the same folds, in the same order.
    enrolments
        ``enrolment.json`` of the folds of those runs that are adapted to speakers.
    importances
        ``importance.json`` of the folds of those runs that read named features.
    mistakes
        Mistakes of the headline run, by :func:`serflow.evaluation.mistakes.explain_mistakes`.
    robustness
        ``robustness.json`` of those runs whose robustness was tested.
    clips
        The catalogue, for the groups and the listeners' votes.
    published
        Published results to compare with, the content of ``resources/notebook_runs.json``; empty without.
    settings
        The section ``evaluation`` of the configuration.
    output
        ``evaluation.json`` to write, as described by ``workflow/schemas/evaluation.schema.json``.

    Raises
    ------
    UserError
        If there are no runs.
    """
    if not metrics:
        raise UserError("there are no runs to evaluate; list some under runs in the configuration")
    runs = load_runs(metrics, predictions)
    catalog = read_table(clips).to_pandas().set_index("clip")
    resampling = Resampling(settings["resamples"], settings["seed"])
    enrolled = load_enrolments(enrolments)
    measured = [_measure_run(run, catalog, settings["bins"], resampling, enrolled.get(run.key, [])) for run in runs]
    summaries = summarize_seeds(runs, resampling)
    first_of = {run.key.protocol: run for run in reversed(runs)}
    protocols = dict.fromkeys(run.key.protocol for run in runs)
    references = {protocol: reference_scores(first_of[protocol], catalog, resampling) for protocol in protocols}
    pairs = compare_pairs(runs, resampling)
    groups = [run.key._asdict() | compare_groups(run, catalog, resampling) for run in runs]
    tested = {"runs": [read_json(path) for path in robustness]} if robustness else None
    write_json(
        output,
        {
            "classes": sorted({name for run in runs for name in run.classes}),
            "resampling": {**resampling._asdict(), "unit": "speaker", "level": 0.95},
            "runs": measured,
            "models": summaries,
            "references": references,
            "comparison": comparison_rows(runs, measured, references, published),
            "pairs": pairs,
            "leakage": compare_protocols(runs, summaries, resampling),
            "checks": check_runs(measured, references, pairs, groups, tested, settings["checks"]),
            "groups": groups,
            "disagreement": [run.key._asdict() | disagreement(run, catalog, resampling) for run in runs],
            "unsure": [run.key._asdict() | {"wanted": unsure(run, settings["accuracies"])} for run in runs],
            "explanation": {"importance": load_importances(importances), "occlusion": read_json(mistakes)},
            "robustness": tested,
        },
    )


def _measure_run(run: EvaluatedRun, catalog, bins: int, resampling: Resampling, tests: Sequence[Mapping]) -> dict:
    return {
        **run.about,
        "fit_temperatures": [fold["fit_temperature"] for fold in run.metrics],
        "pooled": measure(run.pooled, run.classes, bins, resampling),
        "folds": [
            {"fold": fold["fold"], "name": name, **measure(predictions, run.classes, bins, resampling)}
            for fold, name, predictions in zip(run.metrics, run.fold_names, run.folds, strict=True)
        ],
        "groups": by_group(run.pooled, catalog, resampling),
        "enrolment": enrolment_curve(tests, run.pooled.by_corpus, resampling),
    }
