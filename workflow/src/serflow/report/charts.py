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
# What tooltips call the columns of rows.
_TITLES = {"name": "row", "value": "per cent", "low": "interval from", "high": "interval to", "risk": "wrong, per cent"}
_TITLES |= {"coverage": "predicted, per cent", "confidence": "confidence, per cent", "accuracy": "accuracy, per cent"}
REFERENCE, ON_LOW, ON_HIGH = "reference", "on_low", "on_high"
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


def per_cent(share: float | None) -> float | None:
    """Return a share in per cent, rounded to what a chart can show."""
    return None if share is None else round(100 * share, 3)


def chart_of(rows: Sequence[Mapping], described: str = "") -> alt.Chart:
    """Return a chart of rows, described in words for readers who cannot see it."""
    return alt.Chart(alt.Data(values=list(rows)), **({"description": described} if described else {}))


def shown(*columns: str, **formats: str) -> list[alt.Tooltip]:
    """Return a tooltip of columns with text, and of columns with numbers in a format of D3."""
    texts = [alt.Tooltip(f"{column}:N", title=_TITLES.get(column, column)) for column in columns]
    return texts + [
        alt.Tooltip(f"{column}:Q", format=how, title=_TITLES.get(column, column)) for column, how in formats.items()
    ]


def dots(rows: Sequence[Mapping], *, described: str, kinds: Sequence[str], x_title: str, step: int) -> alt.Chart:
    """Return a dot plot of values in per cent: a row for each name, a colour and shape for each kind.

    Parameters
    ----------
    rows
        Each has ``name``, ``value`` and ``kind``. Names are shown in their order.
    described
        The chart in words, for readers who cannot see it.
    kinds
        Kinds in the order of the legend.
    x_title
        Title of the axis.
    step
        Height of a row, in CSS pixels.
    """
    scale = alt.Scale(domain=list(kinds))
    points = chart_of(rows, described).mark_point()
    return points.encode(
        x=alt.X("value:Q", title=x_title, scale=PER_CENT),
        y=_names(rows),
        color=alt.Color("kind:N", scale=scale),
        shape=alt.Shape("kind:N", scale=scale),
        tooltip=shown("name", "kind", value=".1f"),
    ).properties(height=alt.Step(step))


def _names(rows: Sequence[Mapping]) -> alt.Y:
    names = list(dict.fromkeys(row["name"] for row in rows))
    axis = alt.Axis(grid=True, ticks=False, domain=False)
    return alt.Y("name:N", title=None, scale=alt.Scale(domain=names), axis=axis)


def intervals(rows: Sequence[Mapping], *, described: str, x_title: str, kinds: Sequence[str] = ()) -> alt.LayerChart:
    """Return a chart of values with their intervals, a row for each name, a colour for each kind.

    Parameters
    ----------
    rows
        Each has ``name``, ``kind``, ``value``, ``low`` and ``high`` in per cent (the latter two None without an
        interval), and ``few``, whether the interval is over too few speakers, which makes it pale. Several rows of one
        name are drawn below each other.
    described, x_title
        As in :func:`dots`.
    kinds
        Kinds in the order of the legend and of the colours; by default that of the rows.
    """
    kinds = alt.Scale(domain=list(kinds or dict.fromkeys(row["kind"] for row in rows)))
    encoded, step = {"y": _names(rows), "color": alt.Color("kind:N", scale=kinds)}, alt.Step(24)
    if len({row["name"] for row in rows}) < len(rows):
        encoded["yOffset"], step = alt.YOffset("kind:N", scale=kinds), alt.Step(30, **{"for": "position"})
    x = {"title": x_title, "scale": PER_CENT}
    bounds = chart_of([row for row in rows if row["low"] is not None]).mark_rule()
    pale = alt.condition("datum.few", alt.value(0.3), alt.value(1))
    bounds = bounds.encode(x=alt.X("low:Q", **x), x2="high:Q", opacity=pale, **encoded)
    tooltip = shown("name", "kind", value=".1f", low=".1f", high=".1f")
    points = chart_of(rows).mark_point().encode(x=alt.X("value:Q", **x), tooltip=tooltip, **encoded)
    return alt.layer(bounds, points, description=described, height=step)


def for_page(chart: alt.Chart | alt.LayerChart) -> dict:
    """Return a chart for the page, which sets its width and colours."""
    spec = chart.properties(width="container").to_dict()
    del spec["config"]
    return spec | {"autosize": {"type": "fit-x", "contains": "padding"}}


def save_charts(path: Path, charts: Sequence[alt.Chart | alt.LayerChart], *, width: int, columns: int = 2) -> None:
    """Write charts as one PNG, ``columns`` beside each other; the same charts give the same bytes.

    ``width`` is that of the plotting area of each chart, in CSS pixels.
    """
    import vl_convert

    together = alt.concat(*(chart.properties(width=width) for chart in charts), columns=columns)
    spec = together.resolve_scale(color="independent", shape="independent", strokeDash="independent").to_dict()
    del spec["config"]
    config = theme(dark=False) | {"background": "white", "padding": 12, "font": "Liberation Sans"}
    with replacing(path) as partial:
        partial.write_bytes(vl_convert.vegalite_to_png(spec, config=config, scale=1.5))
