"""The report: one page that needs no other file and no network."""

import base64
import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from serflow import __version__
from serflow.corpus.grammar import EMOTIONS
from serflow.corpus.sources import SAMPLE
from serflow.corpus.splits import LEAKY
from serflow.store import read_json, write_text

TEMPLATE = "page.html"
_MEDIA = {".png": "image/png", ".wav": "audio/wav"}


def render_report(
    corpus: str,
    *,
    audit: Path,
    length: Path,
    config: Mapping,
    clips: Path,
    spectrograms: Path,
    comparison: Path,
    chart: Path,
    runs: Sequence[Path],
    output: Path,
) -> None:
    """Render the report.

    Parameters
    ----------
    corpus
        Its name; ``"sample"`` is called synthetic all over the page.
    audit, length
        ``audit.json`` and ``length.json``.
    config
        The configuration, shown as it was.
    clips, spectrograms
        What was drawn; figures and recordings lie beside these files.
    comparison, chart
        Table and chart of all runs.
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
    environment.filters |= {"percent": _percent, "count": _count}
    figures = clips.parent
    with comparison.open(newline="") as file:
        rows = list(csv.DictReader(file))
    page = environment.get_template(TEMPLATE).render(
        corpus=corpus,
        synthetic=corpus == SAMPLE,
        version=__version__,
        audit=read_json(audit),
        length=read_json(length),
        config=config,
        settings=yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True),
        emotions=EMOTIONS,
        leaky=LEAKY,
        clips=[_embed(clip, figures, "figure", "audio") for clip in read_json(clips)],
        spectrograms=[_embed(drawn, figures, "figure") for drawn in read_json(spectrograms)],
        comparison=rows,
        chart=_data(chart),
        runs=[_run(path, figures) for path in runs],
    )
    write_text(output, page)


def _run(metrics: Path, figures: Path) -> dict:
    """Collect what the page shows of a run."""
    run = read_json(metrics)
    with (metrics.parent / "history.csv").open(newline="") as file:
        history = list(csv.DictReader(file))
    drawn = figures / run["protocol"] / run["model"] / f"seed{run['seed']}" / f"fold{run['fold']}"
    return {
        **run,
        "layers": read_json(metrics.parent / "training.json")["layers"],
        "history": history,
        "curves": _data(drawn / "curves.png"),
        "confusion": _data(drawn / "confusion.png"),
    }


def _embed(item: Mapping, folder: Path, *keys: str) -> dict:
    return dict(item) | {key: _data(folder / item[key]) for key in keys}


def _data(path: Path) -> str:
    """Give a file as a ``data:`` address, which a page holds within itself."""
    return f"data:{_MEDIA[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _percent(value: str | float | None) -> str:
    if value is None or value == "" or math.isnan(float(value)):
        return "–"
    return f"{100 * float(value):.1f}"


def _count(value: str | float | None) -> str:
    return "–" if value in (None, "") else f"{int(value):,}"
