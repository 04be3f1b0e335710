"""Charts of a search: its trials as parallel coordinates, and how much each setting matters."""

from collections.abc import Mapping

import altair as alt

from serflow.models.search.summary import position
from serflow.report.charts import chart_of, for_page, per_cent, shown


def charts(summary: Mapping) -> dict:
    """Return the charts of a search for the page, from its ``summary.json``; None where there are too few trials."""
    importance = summary["importance"]
    return {
        "trials": for_page(_parallel(summary)) if len(summary["trials"]) > 2 else None,
        "importance": for_page(_importance(importance)) if importance else None,
    }


def _parallel(summary: Mapping) -> alt.LayerChart:
    """Return a line for each random trial over its settings; the lowest value, or first choice, is at the bottom."""
    space = summary["space"]
    rows = [
        {
            "trial": row["trial"],
            "setting": name,
            "position": position(row["values"][name], choice),
            "value": str(row["values"][name]),
            "UAR": per_cent(row["first_uar"]),
        }
        for row in summary["trials"]
        if row["trial"]
        for name, choice in space.items()
    ]
    uars = [row["UAR"] for row in rows]
    # So that the colour of the lowest can be told from the background.
    domain = [min(uars) - 0.5 * (max(uars) - min(uars)), max(uars)]
    ends = [
        {"setting": name, "position": at, "text": str(value)}
        for name, choice in space.items()
        for at, value in zip((0, 1), _ends(choice), strict=True)
    ]
    x = alt.X("setting:N", title=None, scale=alt.Scale(domain=list(space)), axis=alt.Axis(labelAngle=0, grid=True))
    y = alt.Y("position:Q", axis=None, scale=alt.Scale(domain=[-0.12, 1.12]))
    lines = chart_of(rows).mark_line(opacity=0.8)
    lines = lines.encode(
        x=x,
        y=y,
        detail="trial:N",
        color=alt.Color(
            "UAR:Q", scale=alt.Scale(range="ramp", domain=domain), legend=alt.Legend(title="UAR, per cent")
        ),
        tooltip=shown("trial", "setting", "value", UAR=".1f"),
    )
    texts = chart_of(ends).mark_text(style="reference", dy=alt.expr("datum.position ? -9 : 9"))
    texts = texts.encode(x=x, y=y, text="text:N")
    described = "Parallel coordinates: the settings of each trial, coloured by the UAR of the validation clips."
    return alt.layer(lines, texts, description=described, height=260)


def _ends(choice: Mapping) -> tuple:
    return (choice["choices"][0], choice["choices"][-1]) if "choices" in choice else (choice["low"], choice["high"])


def _importance(rows) -> alt.LayerChart:
    values = [
        {
            "setting": row["setting"],
            "mean": row["mean"],
            "low": row["mean"] - row["sd"],
            "high": row["mean"] + row["sd"],
        }
        for row in sorted(rows, key=lambda row: -row["mean"])
    ]
    y = alt.Y("setting:N", title=None, sort=None)
    bars = chart_of(values).mark_bar(height=12)
    bars = bars.encode(x=alt.X("mean:Q", title="permutation importance"), y=y, tooltip=shown("setting", mean=".2f"))
    spread = chart_of(values).mark_rule().encode(x="low:Q", x2="high:Q", y=y)
    described = "Bar chart: permutation importance of each setting."
    return alt.layer(bars, spread, description=described, height=alt.Step(24))
