"""Charts of one run: learning curves, confusion matrix, recall by emotion and reliability."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import altair as alt

from serflow.corpus.labels import LABELS
from serflow.report.charts import ON_HIGH, ON_LOW, PER_CENT, REFERENCE, chart_of, dots, per_cent, save_charts, shown
from serflow.storage import read_json

_SHADE_OF_WHITE_TEXT = 0.5


def draw_curves(history: Path, metrics: Path, *, output: Path) -> None:
    """Draw the learning curves of one fold of a run: loss and accuracy by epoch.

    Parameters
    ----------
    history
        ``history.csv``.
    metrics
        ``metrics.json``.
    output
        PNG file to write.
    """
    save_charts(output, learning_curves(read_history(history), read_json(metrics)["best_epoch"]), width=300)


def draw_confusion(metrics: Path, *, output: Path) -> None:
    """Draw the confusion matrix of the test clips of one fold of a run.

    Parameters
    ----------
    metrics
        ``metrics.json``.
    output
        PNG file to write.
    """
    run = read_json(metrics)
    save_charts(output, [confusion_matrix(run["confusion_matrix"], run["classes"])], width=330)


def read_history(path: Path) -> list[dict]:
    """Read ``history.csv``, a row for each epoch."""
    import pandas as pd

    return pd.read_csv(path).to_dict("records")


def learning_curves(history: Sequence[Mapping], best_epoch: int) -> list[alt.LayerChart]:
    """Return charts of loss and accuracy by epoch.

    Parameters
    ----------
    history
        Rows with ``epoch``, ``loss``, ``accuracy``, ``val_loss`` and ``val_accuracy``; accuracies are fractions.
    best_epoch
        The epoch whose weights were kept.
    """
    whole, near = alt.Axis(tickMinStep=1, format="d"), alt.Scale(zero=False, nice=False, padding=12)
    epochs = alt.X("epoch:Q", title="epoch", scale=near, axis=whole)
    parts = {"training": "", "validation": "val_"}
    charts = []
    for key, title, factor in (("loss", "loss", 1), ("accuracy", "accuracy, per cent", 100)):
        rows = [
            {"epoch": row["epoch"], "part": part, "value": round(factor * row[before + key], 5)}
            for part, before in parts.items()
            for row in history
        ]
        kept = chart_of([{"epoch": best_epoch}]).mark_rule(style=REFERENCE).encode(x=epochs)
        lines = chart_of(rows).mark_line(point={"size": 30})
        lines = lines.encode(
            x=epochs,
            y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=key == "loss")),
            color=alt.Color("part:N", scale=alt.Scale(domain=list(parts))),
            tooltip=[*shown("part", epoch="d"), alt.Tooltip("value:Q", format=".4~f", title=title)],
        )
        described = f"Line chart: {title} on training and validation clips by epoch; epoch {best_epoch} was kept."
        charts.append(alt.layer(kept, lines, description=described, height=200))
    return charts


def confusion_matrix(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> alt.LayerChart:
    """Return a chart of a confusion matrix, whose rows are the truth: counts, shaded by their share of the row."""
    names = [LABELS[label] for label in classes]
    rows = [
        {"truth": truth, "prediction": prediction, "count": count, "share": round(count / max(1, sum(row)), 4)}
        for truth, row in zip(names, counts, strict=True)
        for prediction, count in zip(names, row, strict=True)
    ]
    order = alt.Scale(domain=names)
    axis = {"grid": False, "domain": False, "ticks": False, "labelLimit": 100}
    base = chart_of(rows).encode(
        x=alt.X("prediction:N", title="prediction", scale=order, axis=alt.Axis(**axis, labelAngle=-45)),
        y=alt.Y("truth:N", title="truth", scale=order, axis=alt.Axis(**axis)),
        tooltip=["truth:N", "prediction:N", "count:Q", alt.Tooltip("share:Q", format=".1%", title="share of truth")],
    )
    cells = base.mark_rect().encode(color=alt.Color("share:Q", scale=alt.Scale(domain=[0, 1]), legend=None))
    low = base.transform_filter(alt.datum.share <= _SHADE_OF_WHITE_TEXT).mark_text(style=ON_LOW)
    high = base.transform_filter(alt.datum.share > _SHADE_OF_WHITE_TEXT).mark_text(style=ON_HIGH)
    texts = [text.encode(text="count:Q") for text in (low, high)]
    described = f"Confusion matrix of {len(names)} emotions: counts of test clips, rows are the truth."
    return alt.layer(cells, *texts, description=described, height=alt.Step(34))


def recalls(per_class: Sequence[Mapping], human: Mapping[str, float] | None) -> alt.Chart:
    """Return a chart of the recall of each class, and that of the majority of listeners.

    Parameters
    ----------
    per_class
        Rows with ``class`` and ``recall``, a fraction.
    human
        Label → recall of the listeners; None without votes.
    """
    sources = {"model": {row["class"]: row["recall"] for row in per_class}}
    if human:
        sources["majority of listeners"] = human
    rows = [
        {"name": LABELS[label], "kind": who, "value": per_cent(recall[label])}
        for who, recall in sources.items()
        for label in sources["model"]
    ]
    described = "Dot plot: recall of each emotion in per cent."
    return dots(rows, described=described, kinds=list(sources), x_title="recall, per cent", step=30)


def reliability(calibration: Mapping, title: str | None = None) -> alt.LayerChart:
    """Return a reliability diagram: accuracy by confidence, before and after temperature scaling.

    ``calibration`` is that of a run in ``evaluation.json``.
    """
    rows, order = [], []
    for when in ("before", "after"):
        measured = calibration[when]
        order.append(f"{when} scaling, ECE {100 * measured['ece']:.1f} %")
        points = zip(*(measured["reliability"][key] for key in ("confidence", "accuracy", "count")), strict=True)
        rows += [
            {"when": order[-1], "confidence": per_cent(confidence), "accuracy": per_cent(accuracy), "clips": count}
            for confidence, accuracy, count in points
            if confidence is not None
        ]
    x = alt.X("confidence:Q", title="confidence, per cent", scale=PER_CENT)
    y = alt.Y("accuracy:Q", title="accuracy, per cent", scale=PER_CENT)
    corners = [{"confidence": end, "accuracy": end} for end in (0, 100)]
    diagonal = chart_of(corners).mark_line(style=REFERENCE).encode(x=x, y=y)
    lines = chart_of(rows).mark_line(point={"size": 35})
    lines = lines.encode(
        x=x,
        y=y,
        color=alt.Color("when:N", scale=alt.Scale(domain=order)),
        tooltip=shown("when", confidence=".1f", accuracy=".1f", clips="d"),
    )
    described = (
        f"Reliability diagram: accuracy by confidence, {' and '.join(order)}; the dashed line is perfect calibration."
    )
    return alt.layer(diagonal, lines, description=described, height=210, title=title or alt.Undefined)
