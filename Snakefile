"""serflow: speech emotion recognition as a workflow. `make run` tries it; README.md explains it."""

import sys

# Where this file is, also when it is a module of another workflow.
BASE = workflow.current_basedir.get_path_or_uri(secret_free=True)
sys.path.insert(0, f"{BASE}/workflow/src")


include: "workflow/rules/setup.smk"
include: "workflow/rules/common.smk"
include: "workflow/rules/selections.smk"
include: "workflow/rules/corpus.smk"
include: "workflow/rules/audio.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/choices.smk"
include: "workflow/rules/bundle.smk"


rule all:
    """Everything, which is the default: the configured runs and the report on them."""
    default_target: True
    input:
        reports_on("all"),


rule catalog:
    """The catalogue of the corpus and the split tables of the configured protocols."""
    input:
        paths.clips,
        collect(paths.split, protocol=sorted({run.protocol for run in RUNS})),


rule features:
    """Frame features, their functionals and mel-spectrograms of every clip."""
    input:
        collect([paths.frames, paths.mel], shard=SHARDS),
        collect(paths.functionals, shard=SHARDS if ENERGY in config["frames"]["features"] else []),


rule models:
    """The trained models of the configured runs, with their predictions and measures."""
    input:
        [at(paths.metrics, run) for run in RUNS],


rule report:
    """The report on the configured runs."""
    input:
        reports_on("all"),


rule notebook:
    """The notebook's runs, and the tables and the report on them alone."""
    input:
        reports_on("notebook"),


rule speaker_independent:
    """The runs on speakers that were not trained on, and the tables and the report on them alone."""
    input:
        reports_on("speaker-independent"),


rule cross_corpus:
    """The runs on corpora that were not trained on, and the tables and the report on them alone."""
    input:
        reports_across,


rule bundles:
    """Each configured run as one file, for `python -m serflow predict`."""
    input:
        [at(paths.bundle, run) for run in RUNS],


rule predict:
    """Labels for the recordings in the folder that the setting `input` names."""
    input:
        paths.all_labels,
        paths.whole_timeline,
