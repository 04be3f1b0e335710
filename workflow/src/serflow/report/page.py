"""The report: one page that needs no other file and no network."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
import yaml

from serflow import __version__
from serflow.corpus.formats import CREMA_D
from serflow.corpus.labels import LABELS
from serflow.corpus.locations import default_format
from serflow.corpus.source import SAMPLE
from serflow.report import evaluation_charts, run_charts
from serflow.report.best import HEADLINE_PROTOCOLS
from serflow.report.charts import for_page, theme
from serflow.report.filters import FILTERS
from serflow.report.inline import PLAYED_SECONDS, data_address, player, script, source_digest
from serflow.splits.split_clips import LEAKY
from serflow.storage import read_json, write_text

# What fingerprint counts as code beside this file.
DATA_FILES = ("templates",)
_TEMPLATES = Path(__file__).parent / "templates"


def render_report(
    corpus: str,
    *,
    audit: Path,
    excluded: Path,
    length: Path,
    config: Mapping,
    clips: Path,
    mistakes: Path,
    comparison: Path,
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
    clips, mistakes
        What was drawn; pictures and recordings lie beside these files.
    comparison
        ``comparison.csv``.
    evaluation, provenance
        ``evaluation.json`` and ``provenance.json``.
    runs
        ``metrics.json`` of every fold of every run; its other files lie beside it.
    output
        The page.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS | {"label": LABELS.__getitem__}
    environment.globals |= {"emotions": LABELS, "leaky": LEAKY, "protocol_of": evaluation_charts.protocol_of}
    evaluated, rows, wrong = read_json(evaluation), _rows(comparison), read_json(mistakes)
    # Scripts are allowed by their digests, so that no text of a corpus can be one, whatever it holds.
    scripts = [_vega(), script((_TEMPLATES / "page.js").read_text(encoding="utf-8"))]
    page = environment.get_template("page.html").render(
        corpus=corpus,
        synthetic=corpus == SAMPLE,
        version=__version__,
        scripts=scripts,
        digests=[source_digest(text) for text in scripts],
        themes={scheme: theme(dark=scheme == "dark") for scheme in ("light", "dark")},
        played=PLAYED_SECONDS,
        audit=read_json(audit),
        length=read_json(length),
        config=config,
        settings=yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True),
        clips=[_shown(clip, clips.parent) for clip in read_json(clips)["drawn"]],
        mistakes=wrong | {"drawn": [_shown(clip, mistakes.parent) for clip in wrong["drawn"]]},
        comparison=rows,
        evaluation=evaluated,
        strict={
            protocol: members
            for protocol in HEADLINE_PROTOCOLS
            if (members := [row for row in evaluated["models"] if row["protocol"] == protocol])
        },
        # Its folds are the blocks of speakers that are present.
        blocks=isinstance(config["audio"], str | None) and (config["format"] or default_format(corpus)) == CREMA_D,
        charts=_charts(evaluated, rows),
        flagged=_rows(excluded, delimiter="\t"),
        provenance=read_json(provenance),
        models=_by_model(evaluated, runs),
    )
    write_text(output, page)


def _vega() -> str:
    import vl_convert

    return script(vl_convert.javascript_bundle())


def _charts(evaluated: Mapping, rows: Sequence[Mapping]) -> dict:
    """Make the charts of several runs."""
    measures, uar = evaluation_charts.comparison([_numbers(row) for row in rows])
    return {
        "headlines": {
            protocol: for_page(
                evaluation_charts.headline([row for row in evaluated["models"] if row["protocol"] == protocol], beside)
            )
            for protocol, beside in evaluated["references"].items()
        },
        "measures": for_page(measures),
        "uar": for_page(uar),
        "risk": for_page(evaluation_charts.risk_by_coverage(evaluated["runs"])),
        "leakage": for_page(evaluation_charts.uar_by_protocol(evaluated["leakage"], evaluated["references"])),
    }


def _by_model(evaluated: Mapping, metrics: Sequence[Path]) -> dict[str, list[dict]]:
    """Collect what the page shows of each run and its folds, by model."""
    folds: dict[tuple, list[dict]] = {}
    for path in metrics:
        fold = _fold(path)
        folds.setdefault((fold["protocol"], fold["model"], fold["seed"]), []).append(fold)
    models: dict[str, list[dict]] = {}
    for run in evaluated["runs"]:
        human = evaluated["references"][run["protocol"]]["human"]
        classes = [row["class"] for row in run["pooled"]["per_class"]]
        drawn = {
            "confusion": run_charts.confusion_matrix(run["pooled"]["confusion"]["counts"], classes),
            "recalls": run_charts.recalls(run["pooled"]["per_class"], human and human["majority"]["recall"]),
            "reliability": run_charts.reliability(run["pooled"]["calibration"]),
            "groups": evaluation_charts.groups(run),
        }
        models.setdefault(run["model"], []).append(
            run
            | {"charts": {name: chart and for_page(chart) for name, chart in drawn.items()}, "classes": classes}
            | {"trained": folds[run["protocol"], run["model"], run["seed"]]}
        )
    return models


def _fold(metrics: Path) -> dict:
    """Collect what the page shows of a run's fold."""
    run = read_json(metrics)
    history = run_charts.read_history(metrics.parent / "history.csv")
    return {
        **run,
        "layers": read_json(metrics.parent / "training.json")["layers"],
        "history": history,
        "curves": [for_page(chart) for chart in run_charts.learning_curves(history, run["best_epoch"])],
        "confusion": for_page(run_charts.confusion_matrix(run["confusion_matrix"], run["classes"])),
    }


def _rows(table: Path, **options) -> list[dict]:
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, **options))


def _numbers(row: Mapping[str, str]) -> dict:
    """Read the scores of a row of ``comparison.csv``; an empty cell is None."""
    scores = (*evaluation_charts.MEASURES, "uar", "uar_low", "uar_high")
    return dict(row) | {name: float(row[name]) if row[name] else None for name in scores}


def _shown(clip: Mapping, folder: Path) -> dict:
    """Put a clip's picture and recording into the page."""
    return dict(clip) | {"figure": data_address(folder / clip["figure"]), "audio": player(folder / clip["audio"])}
