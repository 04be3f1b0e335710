"""Charts: each is one Vega-Lite chart, which is written as PNG and drawn by the page.

Charts name colours by their role. The theme holds the colours, so that the page can draw the same chart in light and
dark colours.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import altair as alt

from serflow.storage import replacing

# Based on the colours of Okabe & Ito, which colour-blind readers can tell apart, with enough contrast.
_LIGHT = {
    "text": "#1c2128",
    "soft": "#57606a",
    "grid": "#e4e8ec",
    "reference": "#6e7781",
    "category": ["#0072b2", "#d55e00", "#00825f", "#b5518a", "#8a6d00", "#5b6b7a", "#7a4fb5"],
    "ramp": ["#f3f7fb", "#9ecae1", "#2e86c1", "#0b4a7a"],
    "on_low": "#1c2128",
    "on_high": "#ffffff",
}
_DARK = {
    "text": "#e6e9ed",
    "soft": "#a5afba",
    "grid": "#2d343c",
    "reference": "#98a2ad",
    "category": ["#56b4e9", "#f0883e", "#2fc79a", "#e39cc4", "#e0c34f", "#aab4be", "#b79cf0"],
    "ramp": ["#1b232c", "#1d4e75", "#3c93cc", "#a9dcff"],
    "on_low": "#e6e9ed",
    "on_high": "#0b1116",
}
REFERENCE, ON_LOW, ON_HIGH = "reference", "on_low", "on_high"
PNG_SCALE = 1.5
PER_CENT = alt.Scale(domain=[0, 100])


def theme(*, dark: bool) -> dict:
    """Return the Vega-Lite configuration of a colour scheme."""
    colours = _DARK if dark else _LIGHT
    text = {"labelColor": colours["soft"], "titleColor": colours["soft"], "titleFontWeight": "normal"}
    sizes = {"labelFontSize": 12, "titleFontSize": 12}
    lines = {"gridColor": colours["grid"], "domainColor": colours["reference"], "tickColor": colours["reference"]}
    return {
        "background": None,
        "font": "system-ui, 'Liberation Sans', sans-serif",
        "padding": 4,
        "view": {"stroke": None},
        "axis": {**text, **sizes, **lines, "labelLimit": 320, "maxExtent": 340, "labelPadding": 7},
        "legend": {**text, **sizes, "orient": "top", "title": None, "labelLimit": 260, "columns": 2},
        "title": {"color": colours["text"], "fontSize": 12, "fontWeight": "normal", "anchor": "start", "limit": 300},
        "range": {"category": colours["category"], "ramp": colours["ramp"], "heatmap": colours["ramp"]},
        "line": {"strokeWidth": 2},
        "axisQuantitative": {"tickCount": 6},
        "point": {"size": 60, "filled": True, "opacity": 1},
        "rule": {"strokeWidth": 2},
        "style": {
            REFERENCE: {"color": colours["reference"], "strokeDash": [4, 4], "strokeWidth": 1.2},
            ON_LOW: {"color": colours["on_low"], "fontSize": 12},
            ON_HIGH: {"color": colours["on_high"], "fontSize": 12},
        },
    }


def data(rows: Sequence[Mapping]) -> alt.Data:
    """Return rows as the data of a chart."""
    return alt.Data(values=[dict(row) for row in rows])


def per_cent(share: float | None) -> float | None:
    """Return a share in per cent, rounded to what a chart can show."""
    return None if share is None else round(100 * share, 3)


def dots(
    rows: Sequence[Mapping],
    *,
    described: str,
    row: str,
    value: str,
    kind: str,
    kinds: Sequence[str],
    x_title: str,
    step: int,
) -> alt.Chart:
    """Return a dot plot of values in per cent: a row for each name, a colour and shape for each kind.

    Parameters
    ----------
    rows
        Each has the columns ``row``, ``value`` and ``kind``. Names are shown in their order.
    described
        The chart in words, for readers who cannot see it.
    row, value, kind
        Names of columns.
    kinds
        Values of the column ``kind``, in the order of the legend.
    x_title
        Title of the axis.
    step
        Height of a row, in CSS pixels.
    """
    scale = alt.Scale(domain=list(kinds))
    return (
        alt.Chart(data(rows), description=described)
        .mark_point()
        .encode(
            x=alt.X(f"{value}:Q", title=x_title, scale=PER_CENT),
            y=_names(row, rows),
            color=alt.Color(f"{kind}:N", scale=scale),
            shape=alt.Shape(f"{kind}:N", scale=scale),
            tooltip=[f"{row}:N", f"{kind}:N", alt.Tooltip(f"{value}:Q", format=".1f")],
        )
        .properties(height=alt.Step(step))
    )


def _names(column: str, rows: Sequence[Mapping]) -> alt.Y:
    """Return an axis with a line for each name, in their order."""
    names = list(dict.fromkeys(row[column] for row in rows))
    axis = alt.Axis(grid=True, ticks=False, domain=False)
    return alt.Y(f"{column}:N", title=None, scale=alt.Scale(domain=names), axis=axis)


def intervals(rows: Sequence[Mapping], *, described: str, colour: str, x_title: str) -> alt.LayerChart:
    """Return a chart of values with their intervals, a row for each name.

    Parameters
    ----------
    rows
        Each has ``name``, ``value``, ``low`` and ``high`` in per cent (the latter two None without an interval), and
        the column ``colour``. Several rows of one name are drawn below each other.
    described
        The chart in words, for readers who cannot see it.
    colour
        Column that is shown by colour.
    x_title
        Title of the axis.
    """
    kinds = list(dict.fromkeys(row[colour] for row in rows))
    several = len({row["name"] for row in rows}) < len(rows)
    y = _names("name", rows)
    shade = alt.Color(f"{colour}:N", scale=alt.Scale(domain=kinds))
    offset = {"yOffset": alt.YOffset(f"{colour}:N", scale=alt.Scale(domain=kinds))} if several else {}
    x = {"title": x_title, "scale": PER_CENT}
    bounds = (
        alt.Chart(data([row for row in rows if row["low"] is not None]))
        .mark_rule()
        .encode(x=alt.X("low:Q", **x), x2="high:Q", y=y, color=shade, **offset)
    )
    points = (
        alt.Chart(data(rows))
        .mark_point()
        .encode(
            x=alt.X("value:Q", **x),
            y=y,
            color=shade,
            tooltip=[
                alt.Tooltip("name:N"),
                alt.Tooltip(f"{colour}:N"),
                *(alt.Tooltip(f"{name}:Q", format=".1f") for name in ("value", "low", "high")),
            ],
            **offset,
        )
    )
    step = alt.Step(30 if several else 24, **({"for": "position"} if several else {}))
    return alt.layer(bounds, points, description=described, height=step)


def for_page(chart: alt.Chart | alt.LayerChart) -> dict:
    """Return a chart for the page, which sets its width and colours."""
    spec = chart.properties(width="container").to_dict()
    del spec["config"]
    return spec | {"autosize": {"type": "fit-x", "contains": "padding"}}


def save_charts(path: Path, charts: Sequence[alt.Chart | alt.LayerChart], *, width: int, columns: int = 2) -> None:
    """Write charts as one PNG; the same charts give the same bytes.

    Parameters
    ----------
    path
        File to write.
    charts
        Placed beside each other.
    width
        Width of the plotting area of each chart, in CSS pixels.
    columns
        Number of charts in a row.
    """
    import vl_convert

    sized = [chart.properties(width=width) for chart in charts]
    (together, *others) = sized
    if others:
        together = alt.concat(*sized, columns=columns).resolve_scale(color="independent", shape="independent")
    spec = together.to_dict()
    del spec["config"]
    config = theme(dark=False) | {"background": "white", "padding": 12, "font": "Liberation Sans"}
    with replacing(path) as partial:
        partial.write_bytes(vl_convert.vegalite_to_png(spec, config=config, scale=PNG_SCALE))
