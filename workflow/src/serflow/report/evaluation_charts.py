"""Charts of several runs: comparison, calibration, risk against coverage, groups and leakage."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import altair as alt

from serflow.metrics.scores import STATISTICS
from serflow.report import run_charts
from serflow.report.charts import PER_CENT, REFERENCE, chart_of, dots, intervals, per_cent, save_charts, shown
from serflow.report.filters import FEW_SPEAKERS
from serflow.storage import read_json, write_csv

UAR = "UAR, per cent"
_ENDS = ("low", "high", "speakers")


def compare_runs(evaluation: Path, *, table: Path, figure: Path) -> None:
    """Write the comparison table and draw it: accuracies, other metrics, and the UAR with intervals.

    Parameters
    ----------
    evaluation
        ``evaluation.json``.
    table
        ``comparison.csv`` to write.
    figure
        PNG file to write.
    """
    rows = read_json(evaluation)["comparison"]
    write_csv(table, list(rows[0]), [row.values() for row in rows])
    save_charts(figure, comparison(rows), width=330)


def draw_evaluation(evaluation: Path, *, reliability: Path, risk_coverage: Path, leakage: Path) -> None:
    """Draw reliability diagrams, risk against coverage, and the UAR of each model under each protocol.

    Parameters
    ----------
    evaluation
        ``evaluation.json``.
    reliability
        PNG file to write, a reliability diagram of each run.
    risk_coverage
        PNG file to write, the share of wrong predictions by the share of clips predicted, for each protocol.
    leakage
        PNG file to write, the UAR of each model under each protocol.
    """
    evaluated = read_json(evaluation)
    diagrams = [run_charts.reliability(run["pooled"]["calibration"], title_of(run)) for run in evaluated["runs"]]
    save_charts(reliability, diagrams, width=220, columns=4)
    save_charts(risk_coverage, list(risk_by_coverage(evaluated["runs"]).values()), width=480)
    save_charts(leakage, [uar_by_protocol(evaluated["leakage"], evaluated["references"])], width=480)


def title_of(run: Mapping) -> str:
    """Return the name of a run in ``evaluation.json`` for charts."""
    return f"{run['model']} seed {run['seed']} ({protocol_of(run)})"


def protocol_of(run: Mapping) -> str:
    """Return the protocol of a run, and whether it is leaky."""
    return f"{run['protocol']}, leaky" if run["leaky"] else run["protocol"]


def comparison(rows: Sequence[Mapping]) -> list[alt.Chart | alt.LayerChart]:
    """Return two charts of the comparison table, without its rows of single folds: accuracies and metrics; the UAR."""
    measures = {"train_accuracy": "training accuracy", "valid_accuracy": "validation accuracy"}
    measures |= {name: f"{metric.title} (test)" for name, metric in STATISTICS.items() if name != "uar"}
    whole = [row for row in rows if row["fold"] is None]
    values = [
        {"name": row["run"], "kind": title, "value": per_cent(row[name])}
        for row in whole
        for name, title in measures.items()
        if row[name] is not None
    ]
    chart = dots(
        values,
        described="Dot plot: accuracies and other metrics of each run, in per cent.",
        kinds=list(measures.values()),
        x_title="per cent",
        step=24,
    )
    uar = [
        interval_row(row["run"], row["source"], {"value": row["uar"]} | {end: row[f"uar_{end}"] for end in _ENDS})
        for row in whole
        if row["uar"] is not None
    ]
    described = "UAR of each run and reference in per cent, with its 95 % interval."
    return [chart, intervals(uar, described=described, x_title=UAR)]


def interval_row(name: str, kind: str, measured: Mapping) -> dict:
    """Return a row of :func:`serflow.report.charts.intervals`; ``measured`` is an interval of ``evaluation.json``."""
    few = measured["low"] is not None and measured["speakers"] < FEW_SPEAKERS
    return {
        "name": name,
        "kind": kind,
        "few": few,
        **{end: per_cent(measured[end]) for end in ("value", "low", "high")},
    }


def headline(models: Sequence[Mapping], references: Mapping) -> alt.LayerChart:
    """Return a chart of the UAR of each model of a protocol and of the ``references`` of the protocol."""
    rows = [interval_row(row["model"], "model", row["interval"]["uar"]) for row in models]
    if human := references["human"]:
        rows.append(interval_row("majority of listeners", "reference", human["majority"]["uar"]))
        rows.append(interval_row("one listener", "reference", human["listener"]["uar"]))
    rows.append(interval_row("chance", "reference", {"value": references["chance"], "low": None, "high": None}))
    return intervals(rows, described="UAR of each model and of its references.", x_title=UAR)


def risk_by_coverage(runs: Sequence[Mapping]) -> dict[str, alt.Chart]:
    """Return a chart for each protocol: wrong predictions by the share of clips predicted, the most confident first."""
    rows: dict[str, list[dict]] = {}
    for run in runs:
        curve = run["pooled"]["risk_coverage"]
        rows.setdefault(run["protocol"], []).extend(
            {
                "model": run["model"],
                "seed": f"seed {run['seed']}",
                "coverage": per_cent(coverage),
                "risk": per_cent(risk),
            }
            for coverage, risk in zip(curve["coverage"], curve["risk"], strict=True)
        )
    titles = {run["protocol"]: protocol_of(run) for run in runs}
    models = alt.Scale(domain=list(dict.fromkeys(run["model"] for run in runs)))  # each has its colour in all charts
    return {protocol: _risk(of_protocol, titles[protocol], models) for protocol, of_protocol in rows.items()}


def _risk(rows: Sequence[Mapping], protocol: str, models: alt.Scale) -> alt.Chart:
    lines = chart_of(rows, f"Line chart: wrong predictions by share of clips predicted, {protocol}.").mark_line()
    several = len({row["seed"] for row in rows}) > 1
    return lines.encode(
        x=alt.X("coverage:Q", title="clips predicted, the most confident first, per cent", scale=PER_CENT),
        y=alt.Y("risk:Q", title="wrong predictions, per cent", scale=PER_CENT),
        color=alt.Color("model:N", scale=models),
        strokeDash=alt.StrokeDash("seed:N") if several else alt.Undefined,
        detail=["model:N", "seed:N"],
        tooltip=shown("model", "seed", coverage=".0f", risk=".1f"),
    ).properties(height=260, title=protocol)


def uar_by_protocol(models: Sequence[Mapping], references: Mapping[str, Mapping]) -> alt.LayerChart:
    """Return a chart of the UAR of each model under each of its protocols, and of chance."""
    rows = [
        interval_row(model["model"], protocol_of(row), row["uar"]) for model in models for row in model["protocols"]
    ]
    described = "UAR of each model under each protocol, with its 95 % interval; the dashed line is chance."
    chart = intervals(rows, described=described, x_title=UAR)
    chances = sorted({per_cent(entry["chance"]) for entry in references.values()})
    lines = chart_of([{"chance": value} for value in chances]).mark_rule(style=REFERENCE).encode(x="chance:Q")
    return alt.layer(lines, *chart.layer, description=described, height=chart.height)


def groups(run: Mapping) -> alt.LayerChart | None:
    """Return a chart of the UAR of a run by group; None if the corpus has no groups."""
    named = {by.removeprefix("group_"): members for by, members in run["groups"].items()}
    rows = [interval_row(f"{by}: {row['group']}", by, row["uar"]) for by, members in named.items() for row in members]
    return intervals(rows, described="UAR by group, with its 95 % interval.", x_title=UAR) if rows else None


ENROLLED = {"any": "any emotion", "two classes": "two emotions", "neutral": "neutral"}


def enrolment(points: Sequence[Mapping]) -> alt.LayerChart | None:
    """Return a chart of the UAR by the number of known clips of a speaker; None for models that are not adapted."""
    rows = [
        interval_row(
            f"{'all' if point['clips'] is None else point['clips']} clips", ENROLLED[point["enrolled"]], point["uar"]
        )
        for point in points
    ]
    described = "UAR by the number of known clips of a speaker, with its 95 % interval."
    return intervals(rows, described=described, x_title=UAR) if rows else None


def uar_by_agreement(runs: Sequence[Mapping]) -> alt.LayerChart | None:
    """Return a chart of the UAR by the agreement of listeners, of the first seed of each model; None without votes."""
    first = {(run["protocol"], run["model"]): run for run in reversed(runs)}
    rows = [
        interval_row(f"{row['agreement']} agree", f"{model}, {protocol}", row["uar"])
        for (protocol, model), run in reversed(first.items())
        for row in run["agreement"]
        if row["uar"]
    ]
    described = "UAR of each model by the share of listeners who agree, with its 95 % interval."
    return intervals(rows, described=described, x_title=UAR) if rows else None
