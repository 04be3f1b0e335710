"""The report: one page that needs no other file and no network."""

import base64
import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from serflow import __version__
from serflow.corpus.formats import CREMA_D
from serflow.corpus.labels import LABELS
from serflow.corpus.places import default_format
from serflow.corpus.sources import SAMPLE
from serflow.corpus.splits import LEAKY
from serflow.store import read_json, write_text

TEMPLATE = "page.html"
_MEDIA = {".png": "image/png", ".wav": "audio/wav"}


def render_report(
    corpus: str,
    *,
    audit: Path,
    excluded: Path,
    length: Path,
    config: Mapping,
    clips: Path,
    spectrograms: Path,
    comparison: Path,
    chart: Path,
    evaluation: Path,
    provenance: Path,
    runs: Sequence[Path],
    output: Path,
) -> None:
    """Render the report.

    Parameters
    ----------
    corpus
        Its name; ``"sample"`` is called synthetic all over the page.
    audit, excluded, length
        ``audit.json``, ``excluded.tsv`` and ``length.json``.
    config
        The configuration, shown as it was.
    clips, spectrograms
        What was drawn; figures and recordings lie beside these files.
    comparison, chart
        Table and chart of all runs.
    evaluation, provenance
        ``evaluation.json``, whose figures lie beside it, and ``provenance.json``.
    runs
        ``metrics.json`` of every run; its other files lie beside it, its figures under ``figures``
        beside ``clips``.
    output
        The page.
    """
    import jinja2
    import yaml

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "count": _count, "interval": _interval, "points": _points}
    figures = clips.parent
    evaluated = read_json(evaluation)
    page = environment.get_template(TEMPLATE).render(
        corpus=corpus,
        synthetic=corpus == SAMPLE,
        version=__version__,
        audit=read_json(audit),
        length=read_json(length),
        config=config,
        settings=yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True),
        emotions=LABELS,
        leaky=LEAKY,
        clips=[_embed(clip, figures, "figure", "audio") for clip in read_json(clips)["drawn"]],
        spectrograms=[_embed(drawn, figures, "figure") for drawn in read_json(spectrograms)["drawn"]],
        comparison=_rows(comparison),
        chart=_data(chart),
        evaluation=evaluated,
        strict={
            protocol: members
            for protocol in ("speaker-independent", "cross-corpus")
            if (members := [row for row in evaluated["models"] if row["protocol"] == protocol])
        },
        # Its folds are the blocks of actors that are present.
        blocks=isinstance(config["audio"], str | None) and (config["format"] or default_format(corpus)) == CREMA_D,
        drawn={name: _data(evaluation.parent / f"{name}.png") for name in ("reliability", "risk_coverage", "leakage")},
        flagged=_rows(excluded, delimiter="\t"),
        provenance=read_json(provenance),
        runs=[_run(path, figures) for path in runs],
    )
    write_text(output, page)


def _run(metrics: Path, figures: Path) -> dict:
    """Collect what the page shows of a run."""
    run = read_json(metrics)
    drawn = figures / run["protocol"] / run["model"] / f"seed{run['seed']}" / f"fold{run['fold']}"
    return {
        **run,
        "layers": read_json(metrics.parent / "training.json")["layers"],
        "history": _rows(metrics.parent / "history.csv"),
        "curves": _data(drawn / "curves.png"),
        "confusion": _data(drawn / "confusion.png"),
    }


def _rows(table: Path, **options) -> list[dict]:
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, **options))


def _embed(item: Mapping, folder: Path, *keys: str) -> dict:
    return dict(item) | {key: _data(folder / item[key]) for key in keys}


def _data(path: Path) -> str:
    """Give a file as a ``data:`` address, which a page holds within itself."""
    return f"data:{_MEDIA[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _percent(value: str | float | None) -> str:
    if value is None or value == "" or math.isnan(float(value)):
        return "–"
    return f"{100 * float(value):.1f}"


def _interval(found: Mapping) -> str:
    """Write a figure with its interval, in per cent."""
    if found["low"] is None:
        return _percent(found["value"])
    return f"{_percent(found['value'])} [{_percent(found['low'])}, {_percent(found['high'])}]"


def _points(found: Mapping) -> str:
    """Write a difference with its interval, in points of per cent."""
    if found["low"] is None:
        return f"{100 * found['value']:+.1f}"
    return f"{100 * found['value']:+.1f} [{100 * found['low']:+.1f}, {100 * found['high']:+.1f}]"


def _count(value: str | float | None) -> str:
    return "–" if value in (None, "") else f"{int(value):,}"
