"""serflow: speech emotion recognition as a workflow. `make run` tries it; README.md explains it."""

import sys

from snakemake.utils import min_version

min_version("9.27")


# Where this file is, also if it is a module of another workflow.
BASE = workflow.current_basedir.get_path_or_uri(secret_free=True)
sys.path.insert(0, f"{BASE}/workflow/src")


# `config` holds what the user gives. common.smk fills in the rest from config.yaml and, for the sample, config/sample.yaml.
report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/corpus.smk"
include: "workflow/rules/audio.smk"
include: "workflow/rules/encoders.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/search.smk"
include: "workflow/rules/robustness.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/bundle.smk"


rule all:
    """Everything, which is the default: the configured runs and the report on them."""
    default_target: True
    input:
        report_on("all"),


rule quick:
    """The report on the models that take minutes, under the protocol speaker-independent alone."""
    input:
        report_on("quick"),


rule catalog:
    """The catalogue of the corpus and the split tables of the configured protocols."""
    input:
        paths.clips,
        collect(paths.split, protocol=USED_PROTOCOLS),


rule features:
    """The features that the configured models read, of every clip."""
    input:
        [filled(feature_path(kind), model) for model, kind in USED_FEATURES],


rule models:
    """The trained models of the configured runs, with their predictions and metrics."""
    input:
        [at(paths.metrics, run) for run in RUNS],


rule report:
    """The report on the configured runs."""
    input:
        report_on("all"),


rule search:
    """The searches for settings, and the report on what they chose in each fold."""
    input:
        collect((paths.trials, paths.chosen), search=SEARCHES),
        report_on("search"),


rule robustness:
    """How the answers of the headline run, or of the runs that the settings name, change with changed clips."""
    input:
        tested,


rule bundles:
    """Each configured run as one file, for `python -m serflow predict`."""
    input:
        all_bundles,


rule predict:
    """Labels for the recordings in the folder that the setting `input` names."""
    input:
        paths.all_labels,
        paths.whole_timeline,


# One target for each protocol: notebook, speaker_independent, …
for PROTOCOL in PROTOCOLS:

    rule:
        """The runs of one protocol, and the report on them."""
        name:
            PROTOCOL.replace("-", "_")
        input:
            report_on(PROTOCOL),
