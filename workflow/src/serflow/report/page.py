"""The report: one page that needs no other file and no network."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
import yaml

from serflow import __version__
from serflow.corpus.formats import CREMA_D, FORMATS
from serflow.corpus.labels import LABELS
from serflow.corpus.source import SAMPLE
from serflow.evaluation.groups import greatest_difference
from serflow.evaluation.predictions import RunKey, best_run, key_of
from serflow.features.frames import frame_lengths
from serflow.metrics.scores import STATISTICS
from serflow.report import evaluation_charts, robustness_charts, run_charts, search_charts
from serflow.report.charts import for_page, theme
from serflow.report.filters import FILTERS
from serflow.report.inline import PLAYED_SECONDS, picture, player, script, source_digest
from serflow.splits import PROTOCOLS
from serflow.storage import read_csv, read_json, write_text

# Counted as code by the fingerprint, in addition to this file.
DATA_FILES = ("templates",)
# Each check with its title, and the section that has its figures.
_CHECKS = {
    "classes": ("predicts all emotions", "classes"),
    "chance": ("better than chance", "headline"),
    "baseline": ("better than the baseline", "pairs"),
    "leak": ("no leak", "comparison"),
    "calibrated": ("calibrated", "calibration"),
    "robust": ("robust", "robustness"),
    "groups": ("as good for all groups", "groups"),
}
_LONG_FRAME = 60  # milliseconds
_TEMPLATES = Path(__file__).parent / "templates"


def render_report(
    *,
    corpus: str,
    audit: Path,
    excluded: Path,
    flagged: Path,
    length: Path,
    config: Mapping,
    clips: Path,
    figures: Sequence[Path],
    recordings: Sequence[Path],
    mistakes: Path,
    mistakes_folder: Path,
    evaluation: Path,
    provenance: Path,
    metrics: Sequence[Path],
    training: Sequence[Path],
    history: Sequence[Path],
    searches: Sequence[Path],
    output: Path,
) -> None:
    """Render the report as one page that needs no other file.

    Parameters
    ----------
    corpus
        Name of the corpus. The page says of ``"sample"`` that its speech is synthetic.
    audit
        ``audit.json``.
    excluded
        ``excluded.tsv``.
    flagged
        ``flagged.tsv``.
    length
        ``length.json``.
    config
        The configuration, which the page shows.
    clips
        ``clips.json``, the random clips.
    figures
        PNG files of these clips, in their order.
    recordings
        WAV files of these clips, in their order.
    mistakes
        ``mistakes.json``, the mistakes of the best run.
    mistakes_folder
        Folder with their pictures and recordings.
    evaluation
        ``evaluation.json``.
    provenance
        ``provenance.json``.
    metrics
        ``metrics.json`` of every fold of every run.
    training
        ``training.json`` of the same folds, in the same order.
    history
        ``history.csv`` of the same folds, in the same order.
    searches
        ``summary.json`` of those searches whose models are among the runs.
    output
        The page to write.
    """
    import vl_convert

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS | {"label": LABELS.__getitem__, "greatest": greatest_difference}
    environment.globals |= {"emotions": LABELS, "protocols": PROTOCOLS, "metrics": STATISTICS}
    environment.globals |= {"enrolled": evaluation_charts.ENROLLED, "verdicts": robustness_charts.VERDICTS}
    evaluated, wrong = read_json(evaluation), read_json(mistakes)
    shown = zip(read_json(clips)["clips"], figures, recordings, strict=True)
    mistaken = [
        _embed(clip, mistakes_folder / clip["figure"], mistakes_folder / clip["audio"]) for clip in wrong["clips"]
    ]
    # Scripts are allowed by their digests, so that no text of a corpus can become one.
    scripts = [script(vl_convert.javascript_bundle()), script((_TEMPLATES / "page.js").read_text(encoding="utf-8"))]
    page = environment.get_template("page.html").render(
        corpus=corpus,
        synthetic=corpus == SAMPLE,
        version=__version__,
        scripts=scripts,
        digests=[source_digest(text) for text in scripts],
        themes={scheme: theme(dark=scheme == "dark") for scheme in ("light", "dark")},
        played=PLAYED_SECONDS,
        audit=read_json(audit),
        left_out=read_csv(excluded),
        flagged=read_csv(flagged),
        length=read_json(length),
        frames=_frames(corpus, config, read_json(length)),
        config=config,
        settings=yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True),
        clips=[_embed(clip, figure, recording) for clip, figure, recording in shown],
        mistakes=wrong | {"clips": mistaken},
        evaluation=evaluated,
        headlines=_headlines(evaluated),
        checked=_checked(evaluated),
        charts=_charts(evaluated),
        provenance=read_json(provenance),
        searches=[found | {"charts": search_charts.charts(found)} for found in map(read_json, searches)],
        models=_by_model(evaluated, [_fold(*files) for files in zip(metrics, training, history, strict=True)]),
    )
    write_text(output, page)


def _frames(corpus: str, config: Mapping, length: Mapping) -> dict:
    """Return length and hop of frames, and whether they are long on another corpus than that of the notebook's rule."""
    rate = config["sampling_rate"]
    size, hop = frame_lengths({**config["frames"], "sampling_rate": rate, "frame_size": length["frame_size"]})
    milliseconds = 1000 * size / rate
    named = config["format"] or (corpus if corpus in FORMATS else CREMA_D)
    long = config["frames"]["size"] is None and milliseconds > _LONG_FRAME and named != CREMA_D
    return {"size": size, "hop": hop, "ms": milliseconds, "long": long}


def _embed(clip: Mapping, figure: Path, recording: Path) -> dict:
    return {**clip, "figure": picture(figure), "audio": player(recording)}


def _headlines(evaluated: Mapping) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {}
    for row in evaluated["models"]:
        if row["unknown_speakers"]:
            found.setdefault(row["protocol"], []).append(row)
    return found


def _checked(evaluated: Mapping) -> dict:
    """Return the checks of the run that validation chose and its calibration error, and title and section of each."""
    best = best_run(evaluated["runs"])
    missing = {"pairs": not evaluated["pairs"], "robustness": not evaluated["robustness"]}
    titles = {name: (title, None if missing.get(section) else section) for name, (title, section) in _CHECKS.items()}
    checks = next(run for run in evaluated["checks"] if key_of(run) == key_of(best))
    return {"run": checks, "ece": best["pooled"]["calibration"]["after"]["ece"], "titles": titles}


def _charts(evaluated: Mapping) -> dict:
    references = evaluated["references"]
    measures, uar = evaluation_charts.comparison(evaluated["comparison"])
    charts = {
        "measures": measures,
        "uar": uar,
        "disagreement": evaluation_charts.uar_by_agreement(evaluated["disagreement"]),
        "leakage": evaluation_charts.uar_by_protocol(evaluated["leakage"], references),
    }
    headlines = {
        protocol: for_page(evaluation_charts.headline(rows, references[protocol]))
        for protocol, rows in _headlines(evaluated).items()
    }
    risk = evaluation_charts.risk_by_coverage(evaluated["runs"])
    tested = map(robustness_charts.robustness, (evaluated["robustness"] or {"runs": []})["runs"])
    return {name: chart and for_page(chart) for name, chart in charts.items()} | {
        "headlines": headlines,
        "risk": {protocol: for_page(chart) for protocol, chart in risk.items()},
        "robustness": [chart and for_page(chart) for chart in tested],
    }


def _by_model(evaluated: Mapping, folds: Sequence[Mapping]) -> dict[str, list[dict]]:
    folds_of: dict[RunKey, list[Mapping]] = {}
    for fold in folds:
        folds_of.setdefault(key_of(fold), []).append(fold)
    models: dict[str, list[dict]] = {}
    compared = {key_of(run): run for run in evaluated["groups"]}
    importance = {key_of(run): run for run in evaluated["explanation"]["importance"]}
    disagreement = {key_of(run): run for run in evaluated["disagreement"]}
    for run in evaluated["runs"]:
        human = evaluated["references"][run["protocol"]]["human"]
        pooled, classes = run["pooled"], [row["class"] for row in run["pooled"]["per_class"]]
        charts = {
            "confusion": run_charts.confusion_matrix(pooled["confusion"]["counts"], classes),
            "recalls": run_charts.recalls(pooled["per_class"], human and human["majority"]["recall"]),
            "reliability": run_charts.reliability(pooled["calibration"]),
            "groups": evaluation_charts.groups(run),
            "enrolment": evaluation_charts.enrolment(run["enrolment"]),
        }
        names = {fold["fold"]: fold["name"] for fold in run["folds"]}
        charts = {name: chart and for_page(chart) for name, chart in charts.items()}
        models.setdefault(run["model"], []).append(
            run
            | {"charts": charts, "classes": classes, "trained": folds_of[key_of(run)], "names": names}
            | {"compared": compared[key_of(run)], "importance": importance.get(key_of(run))}
            | {"disagreement": disagreement[key_of(run)]}
        )
    return models


def _fold(metrics: Path, training: Path, history: Path) -> dict:
    fold, epochs = read_json(metrics), run_charts.read_history(history)
    return {
        **fold,
        "layers": read_json(training)["layers"],
        "history": epochs,
        # One epoch, as of a model that is not trained by gradient, is no curve.
        "curves": [for_page(chart) for chart in run_charts.learning_curves(epochs, fold["best_epoch"]) if epochs[1:]],
        "confusion": for_page(run_charts.confusion_matrix(fold["confusion_matrix"], fold["classes"])),
    }
