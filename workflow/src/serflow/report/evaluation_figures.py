"""Charts of several runs: comparison, calibration, risk against coverage, and what the leak is worth."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from serflow.evaluation.compare import MODEL, PUBLISHED, write_comparison
from serflow.report.figures import COLOURS, save
from serflow.store import read_json

MEASURES = {
    "train_accuracy": "training accuracy",
    "valid_accuracy": "validation accuracy",
    "test_accuracy": "test accuracy",
    "f1_weighted": "weighted F1 (test)",
}


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
    rows = [row for row in write_comparison(metrics, evaluation, table) if " fold " not in row["run"]]
    canvas, (left, right) = plt.subplots(1, 2, sharey=True, figsize=(11, 1 + 0.5 * len(rows)))
    _draw_measures(rows, left)
    _draw_uar(rows, right)
    left.set_yticks(range(len(rows)), [row["run"] for row in rows], fontsize=8)
    left.invert_yaxis()
    canvas.tight_layout()
    save(canvas, figure)


def _draw_measures(rows: Sequence[dict], axes) -> None:
    """Draw accuracies and F1 side by side, as the notebook's section 13 does."""
    height = 0.8 / len(MEASURES)
    for index, (key, label) in enumerate(MEASURES.items()):
        measured = [(place, row) for place, row in enumerate(rows) if row[key] is not None]
        places = [place + (index - 1.5) * height for place, _ in measured]
        bars = axes.barh(places, [100 * row[key] for _, row in measured], height, color=COLOURS[index], label=label)
        for bar, (_, row) in zip(bars, measured, strict=True):
            bar.set(hatch="///" if row["leaky"] else None, alpha=0.55 if row["leaky"] else 1)
            axes.text(bar.get_width() + 0.7, bar.get_y() + height / 2, f"{100 * row[key]:.1f}", va="center", fontsize=5)
    axes.set(xlabel="per cent (hatched: leaky)", xlim=(0, 105))
    axes.legend(frameon=False, fontsize=7, ncols=4, loc="lower center", bbox_to_anchor=(0.4, 1))


def _draw_uar(rows: Sequence[dict], axes) -> None:
    """Draw the UAR of runs and references with its interval."""
    for place, row in enumerate(rows):
        if row["uar"] is None:
            continue
        colour = COLOURS[0] if row["source"] == MODEL else COLOURS[1] if row["source"] == PUBLISHED else "grey"
        bar = axes.barh(place, 100 * row["uar"], 0.7, color=colour)
        if row["leaky"]:
            bar[0].set(hatch="///", alpha=0.55)
        end = row["uar"]
        if row["uar_low"] is not None:
            end = row["uar_high"]
            axes.plot([100 * row["uar_low"], 100 * end], [place, place], color="black", linewidth=1.2)
        axes.text(100 * end + 0.7, place, f"{100 * row['uar']:.1f}", va="center", fontsize=7)
    axes.set(xlabel="UAR in per cent with 95 % interval", xlim=(0, 105))


def draw_evaluation(evaluation: Path, *, figures: Sequence[Path]) -> None:
    """Draw the evaluation.

    Parameters
    ----------
    evaluation
        ``evaluation.json``.
    figures
        ``reliability.png``, ``risk_coverage.png`` and ``leakage.png``, told apart by their names.
    """
    found = read_json(evaluation)
    for path in figures:
        {"reliability": _reliability, "risk_coverage": _risk_coverage, "leakage": _leakage}[path.stem](found, path)


def title_of(run: dict) -> str:
    """Name a run of ``evaluation.json``."""
    return f"{run['model']} seed {run['seed']} ({run['protocol']}{', leaky' if run['leaky'] else ''})"


def _reliability(found: dict, path: Path) -> None:
    runs = found["runs"]
    columns = min(4, len(runs))
    lines = -(-len(runs) // columns)
    figure, grid = plt.subplots(lines, columns, figsize=(2.7 * columns, 2.8 * lines), squeeze=False)
    for axes in grid.flat[len(runs) :]:
        axes.axis("off")
    for run, axes in zip(runs, grid.flat, strict=False):
        axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
        for when, colour in (("before", COLOURS[1]), ("after", COLOURS[0])):
            measured = run["pooled"]["calibration"][when]
            pairs = zip(measured["reliability"]["confidence"], measured["reliability"]["accuracy"], strict=True)
            points = np.array([pair for pair in pairs if pair[0] is not None])
            label = f"{when}: ECE {100 * measured['ece']:.1f} %"
            axes.plot(points[:, 0], points[:, 1], color=colour, marker=".", label=label)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy")
        axes.set_title(title_of(run), fontsize=7)
        axes.legend(frameon=False, fontsize=6, loc="upper left")
    figure.tight_layout()
    save(figure, path)


def _risk_coverage(found: dict, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(6.4, 3.4))
    styles = ("-", "--", "-.", ":")
    for number, run in enumerate(found["runs"]):
        curve = run["pooled"]["risk_coverage"]
        colour, style = COLOURS[number % len(COLOURS)], styles[number // len(COLOURS) % len(styles)]
        axes.plot(curve["coverage"], curve["risk"], color=colour, linestyle=style, label=title_of(run))
    axes.set(
        xlabel="share of clips answered, the surest first", ylabel="share of wrong answers", xlim=(0, 1), ylim=(0, 1)
    )
    axes.legend(frameon=False, fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5))
    save(figure, path)


def _leakage(found: dict, path: Path) -> None:
    models = found["leakage"]
    protocols = list(dict.fromkeys(row["protocol"] for model in models for row in model["protocols"]))
    figure, axes = plt.subplots(figsize=(6.4, 3.2))
    width = 0.8 / len(protocols)
    for number, protocol in enumerate(protocols):
        drawn = [
            (place, row)
            for place, model in enumerate(models)
            for row in model["protocols"]
            if row["protocol"] == protocol
        ]
        leaky = any(row["leaky"] for _, row in drawn)
        places = [place + (number - (len(protocols) - 1) / 2) * width for place, _ in drawn]
        values = [100 * row["uar"]["value"] for _, row in drawn]
        colour = COLOURS[number % len(COLOURS)]
        axes.bar(
            places,
            values,
            width * 0.92,
            color=colour,
            label=f"{protocol}{' (leaky)' if leaky else ''}",
            hatch="///" if leaky else None,
            alpha=0.7 if leaky else 1,
        )
        for place, (_, row) in zip(places, drawn, strict=True):
            if row["uar"]["low"] is not None:
                axes.plot(
                    [place, place], [100 * row["uar"][end] for end in ("low", "high")], color="black", linewidth=1.2
                )
    for chance in sorted({beside["chance"] for beside in found["references"].values()}):
        axes.axhline(100 * chance, color="grey", linestyle=":", label="chance")
    axes.set_xticks(range(len(models)), [model["model"] for model in models])
    axes.set(ylabel="UAR, per cent", ylim=(0, 100))
    axes.legend(frameon=False, fontsize=7)
    save(figure, path)
