"""Charts of several runs: comparison, calibration, risk against coverage, groups, and what the leak is worth."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import altair as alt

from serflow.evaluation.compare import write_comparison
from serflow.report.charts import PER_CENT, REFERENCE, data, dots, intervals, per_cent, save_charts
from serflow.report.run_charts import reliability
from serflow.storage import read_json

MEASURES = {
    "train_accuracy": "training accuracy",
    "valid_accuracy": "validation accuracy",
    "test_accuracy": "test accuracy",
    "f1_weighted": "weighted F1 (test)",
}
UAR = "UAR, per cent"


def compare_runs(metrics: Sequence[Path], *, evaluation: Path, table: Path, figure: Path) -> None:
    """Write ``comparison.csv`` and draw it: accuracies and F1, and the UAR of runs and references with intervals.

    Parameters
    ----------
    metrics
        ``metrics.json`` of every fold of every run.
    evaluation
        ``evaluation.json``.
    table, figure
        The files to write.
    """
    save_charts(figure, comparison(write_comparison(metrics, evaluation, table)), width=330)


def draw_evaluation(evaluation: Path, *, reliability: Path, risk_coverage: Path, leakage: Path) -> None:
    """Draw the evaluation.

    Parameters
    ----------
    evaluation
        ``evaluation.json``.
    reliability, risk_coverage, leakage
        The PNG files to write.
    """
    found = read_json(evaluation)
    save_charts(reliability, reliabilities(found["runs"]), width=220, columns=4)
    save_charts(risk_coverage, [risk_by_coverage(found["runs"])], width=480)
    save_charts(leakage, [uar_by_protocol(found["leakage"], found["references"])], width=480)


def title_of(run: Mapping) -> str:
    """Name a run of ``evaluation.json``."""
    return f"{run['model']} seed {run['seed']} ({protocol_of(run)})"


def protocol_of(run: Mapping) -> str:
    """Name a run's protocol, and say whether it is leaky."""
    return f"{run['protocol']}, leaky" if run["leaky"] else run["protocol"]


def comparison(rows: Sequence[Mapping]) -> list[alt.Chart | alt.LayerChart]:
    """Draw the rows of ``comparison.csv`` but for those of single folds.

    Returns
    -------
    list
        Accuracies and F1, as the notebook's section 13 has them, and the UAR.
    """
    whole = [row for row in rows if " fold " not in row["run"]]
    measured = [
        {"run": row["run"], "measure": label, "value": per_cent(row[key])}
        for row in whole
        for key, label in MEASURES.items()
        if row[key] is not None
    ]
    measures = dots(
        measured,
        described="Dot plot: accuracies and weighted F1 of each run, in per cent.",
        row="run",
        value="value",
        kind="measure",
        kinds=list(MEASURES.values()),
        x_title="per cent",
        step=24,
    )
    uar = [_bounded(row["run"], row, "uar", kind=row["source"]) for row in whole if row["uar"] is not None]
    described = "UAR of each run and reference in per cent, with its 95 % interval."
    return [measures, intervals(uar, described=described, colour="kind", x_title=UAR)]


def _bounded(name: str, row: Mapping, key: str, **more) -> dict:
    bounds = {"value": key, "low": f"{key}_low", "high": f"{key}_high"}
    return {"name": name, **{end: per_cent(row[column]) for end, column in bounds.items()}, **more}


def _measured(name: str, found: Mapping, **more) -> dict:
    return {"name": name, **{end: per_cent(found[end]) for end in ("value", "low", "high")}, **more}


def headline(models: Sequence[Mapping], beside: Mapping) -> alt.LayerChart:
    """Draw the UAR of each model of a protocol beside what it is compared with.

    Parameters
    ----------
    models
        Rows of ``models`` in ``evaluation.json``.
    beside
        Their protocol's ``references``.
    """
    rows = [_measured(row["model"], row["interval"]["uar"], kind="model") for row in models]
    if beside["human"]:
        for key, name in (("majority", "majority of listeners"), ("listener", "one listener")):
            rows.append(_measured(name, beside["human"][key]["uar"], kind="reference"))
    chance = {"value": beside["chance"], "low": None, "high": None}
    rows.append(_measured("chance", chance, kind="reference"))
    return intervals(rows, described="UAR of each model and of its references.", colour="kind", x_title=UAR)


def reliabilities(runs: Sequence[Mapping]) -> list[alt.LayerChart]:
    """Draw the reliability diagram of each run, pooled over folds."""
    return [reliability(run["pooled"]["calibration"], title_of(run)) for run in runs]


def risk_by_coverage(runs: Sequence[Mapping]) -> alt.Chart:
    """Draw the share of wrong answers among the surest clips, by how many those are."""
    rows = [
        {
            "run": title_of(run),
            "model": run["model"],
            "protocol": protocol_of(run),
            "coverage": per_cent(coverage),
            "risk": per_cent(risk),
        }
        for run in runs
        for coverage, risk in zip(*(run["pooled"]["risk_coverage"][key] for key in ("coverage", "risk")), strict=True)
    ]
    return (
        alt.Chart(data(rows), description="Line chart: share of wrong answers by share of clips answered, each run.")
        .mark_line()
        .encode(
            x=alt.X("coverage:Q", title="clips answered, the surest first, per cent", scale=PER_CENT),
            y=alt.Y("risk:Q", title="wrong answers, per cent", scale=PER_CENT),
            color=alt.Color("model:N"),
            strokeDash=alt.StrokeDash("protocol:N"),
            detail="run:N",
            tooltip=["run:N", alt.Tooltip("coverage:Q", format=".0f"), alt.Tooltip("risk:Q", format=".1f")],
        )
        .properties(height=260)
    )


def uar_by_protocol(models: Sequence[Mapping], references: Mapping[str, Mapping]) -> alt.LayerChart:
    """Draw each model's UAR under the protocols that it was run with, and chance."""
    rows = [
        _measured(model["model"], row["uar"], protocol=protocol_of(row))
        for model in models
        for row in model["protocols"]
    ]
    described = "UAR of each model under each protocol, with its 95 % interval; the dashed line is chance."
    chart = intervals(rows, described=described, colour="protocol", x_title=UAR)
    chances = sorted({per_cent(beside["chance"]) for beside in references.values()})
    lines = alt.Chart(data([{"chance": value} for value in chances])).mark_rule(style=REFERENCE).encode(x="chance:Q")
    return alt.layer(lines, *chart.layer, description=described, height=chart.height)


def groups(run: Mapping) -> alt.LayerChart | None:
    """Draw a run's UAR by group of speakers and of what is said; None where nothing is known of either."""
    rows = [
        _measured(f"{by}: {row['group']}", row["uar"], by=by)
        for by, members in run["groups"].items()
        for row in members
    ]
    return (
        intervals(rows, described="UAR by group, with its 95 % interval.", colour="by", x_title=UAR) if rows else None
    )
