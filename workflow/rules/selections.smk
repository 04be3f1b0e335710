"""What a report is about and shows: all runs, or those of a protocol, whose files are in a folder of its own."""

# What is drawn of an evaluation, and the label that it has in Snakemake's report.
FIGURES = {
    "reliability": "reliability diagrams",
    "risk_coverage": "risk against coverage",
    "leakage": "what the leak is worth",
}


def runs_of(selection):
    """Give the configured runs of a selection, as it stands in a path: a protocol and a slash, or all."""
    return [run for run in RUNS if selection in ("", f"{run.protocol}/")]


def of_runs(*patterns):
    """Make an input function that fills a selection's runs into path patterns."""
    return lambda wildcards: [at(pattern, run) for run in runs_of(selection_of(wildcards)) for pattern in patterns]


def selection_of(wildcards):
    """Give the selection of a job, whose files are in its folder of the report; what is of all has none."""
    return wildcards.get("selection", wildcards.get("place", "")).removeprefix("report/")


def labels_of(shows):
    """Make a function that gives the labels of a selection's result in Snakemake's report."""
    return lambda wildcards: {"selection": selection_of(wildcards)[:-1] or "all runs", "shows": shows}


def drawn_clips(kind):
    """Give the pictures (png) or recordings (wav) of the clips that are shown."""
    return collect(f"{paths.figures}/clip{{number:02d}}.{kind}", number=range(config["report"]["clips"]))


def provenance_of(selection):
    return paths.provenance.format(place=f"report/{selection}" if selection else "")


def reports_on(protocol):
    """Give the tables and the page on a protocol's runs; all runs for an empty name."""
    selection = f"{protocol}/" if protocol else ""
    shown = collect((paths.comparison, paths.chart, paths.evaluation, paths.report), selection=selection)
    shown += collect(paths.drawn, selection=selection, figure=FIGURES)
    runs = runs_of(selection)
    return [
        provenance_of(selection),
        *shown,
        *(at(path, run) for run in runs for path in (paths.curves, paths.confusion)),
    ]


def reports_across(wildcards):
    """Give what is reported on several corpora; one alone is refused in a line."""
    try:
        corpora_of(SOURCE.formats)
    except UserError as error:
        stop(error)
    return reports_on("cross-corpus")
