"""The runs that a report is about: all, or those of one protocol."""

CLIP_FIGURES = collect(f"{paths.figures}/clip{{number:02d}}.png", number=range(config["report"]["clips"]))
CLIP_RECORDINGS = collect(f"{paths.figures}/clip{{number:02d}}.wav", number=range(config["report"]["clips"]))


def selected_runs(wildcards):
    """Return the configured runs of a selection: a protocol, or all."""
    return [run for run in RUNS if wildcards.selection in ("all", run.protocol)]


def of_runs(pattern):
    """Return an input function that fills a pattern with the selected runs."""
    return lambda wildcards: [at(pattern, run) for run in selected_runs(wildcards)]


def reports_on(selection):
    """Return the tables, charts and page of a selection, and the charts of its runs."""
    patterns = (paths.provenance, paths.comparison, paths.chart, paths.evaluation, paths.report)
    patterns += (paths.reliability, paths.risk_coverage, paths.leakage)
    runs = [run for run in RUNS if selection in ("all", run.protocol)]
    return [
        *collect(patterns, selection=selection),
        *(at(path, run) for run in runs for path in (paths.curves, paths.confusion)),
    ]


def reports_across(wildcards):
    """Give what is reported on several corpora; one alone is refused in a line."""
    try:
        corpora_of(SOURCE.formats)
    except UserError as error:
        stop(error)
    return reports_on("cross-corpus")
