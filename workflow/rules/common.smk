"""What all rules share: the checked configuration, the corpus, the runs, every path pattern, and helper functions."""

import functools
import json
import os
import re
import shlex
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from serflow.inference.recordings import recording_digests
from serflow.cli import COMMANDS, function_of
from serflow.configuration import configure
from serflow.corpus.copies import KINDS as COPY_KINDS
from serflow.corpus.copies import NOTEBOOK
from serflow.corpus.formats import CREMA_D, FORMATS
from serflow.corpus.shards import shard_names
from serflow.corpus.source import FETCHED_FOLDER, SAMPLE, SAMPLE_FOLDER, open_corpus
from serflow.evaluation.robustness import CONDITIONS, UNCHANGED
from serflow.features import KINDS, from_recordings, kind_settings, lineage, pads
from serflow.features.frame_features import modules_of as modules_of_frame_features
from serflow.models.named import named_models, training_settings
from serflow.models.search.space import open_searches
from serflow.runtime.device import VARIABLE as DEVICE_VARIABLE
from serflow.runtime.errors import UserError
from serflow.runtime.fingerprint import digest_of, fingerprint
from serflow.encoders.settings import EXPORTED, FETCHED, encoder_files
from serflow.runtime.locking import LOCK_VARIABLE, hold_lock
from serflow.runtime.progress import RESULT, SCREEN_VARIABLE
from serflow.runs import QUICK, Run, Runs
from serflow.runtime.slurm import prepare_cluster
from serflow.splits import PROTOCOLS, count_folds
from serflow.storage import check_own, read_json, tidy


def stop(error):
    """Print a user error in one line, without a traceback, and exit."""
    print(f"serflow: {error}", file=sys.stderr)
    sys.exit(1)


def files_of(kind):
    """Return the files of the user's that a kind of features reads."""
    return [path for setting in KINDS[kind].files if (path := config[kind][setting])]


# ---- Configuration, corpus and runs ------------------------------------------------------------------------------

try:
    config = configure(config, Path(BASE), workflow.configfiles)
    CORPUS = config["corpus"]
    if workflow.is_main_process:
        check_own(Path("results", CORPUS), below=True)
        check_own(".snakemake", below=False)
    MODELS = named_models(config["models"])
    SEARCHES = open_searches(config["search"], MODELS)
    MODELS |= {name: MODELS[search.model] for name, search in SEARCHES.items()}
    DATA = open_corpus(config, Path("results", CORPUS), list_anew=workflow.is_main_process)
    TO_LABEL = recording_digests(config["input"], config["shards"])
    given = (DATA.archive, *DATA.metadata.values(), config["split"]["table"], config["bundle"])
    for path in filter(None, (*given, *(path for kind in KINDS for path in files_of(kind)))):
        if re.search(r"[{}]|<\w+>", str(path)):
            raise UserError(f"{path}: Snakemake reads braces, and words in <>, as its own; rename the folder or file")
    ALL_RUNS = Runs(
        config,
        MODELS,
        DATA.formats,
        lambda protocol: count_folds(protocol, DATA.speakers, DATA.formats, config["split"]),
    )
except UserError as error:
    stop(error)
except OSError as error:  # such as results that another user made for nobody else to read
    stop(UserError(f"{error.filename}: {error.strerror}; give access there, or run in a folder of your own"))

# Jobs start `python`: the one that runs Snakemake, also where its environment is not activated.
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]))
# The path may contain anything. Snakemake reads a brace as its own unless it is doubled.
PACKAGE = shlex.quote(f"{BASE}/workflow/src").replace("{", "{{").replace("}", "}}")
# The device is no parameter, since another one makes nothing stale.
shell.prefix(f"export {DEVICE_VARIABLE}={config['device']} PYTHONPATH={PACKAGE}" '"${{PYTHONPATH:+:$PYTHONPATH}}"; ')

STARTED = time.time()
RUNS = ALL_RUNS.configured
SHARDS = shard_names(config["shards"])
PROTOCOL_MODULES = [PROTOCOLS[name].module for name in ALL_RUNS.folds]
FORMAT_MODULES = [FORMATS[name].module for name in sorted(set(DATA.formats.values()))]
USED_MODELS = [model for name, model in MODELS.items() if name in {run.model for run in ALL_RUNS.trained}]
USED_FEATURES = [(model, kind) for model in USED_MODELS for kind in lineage(model.features)]
RUN = "{protocol}/{model}/seed{seed}/fold{fold}"
READING = {
    "remove_dc": config["remove_dc"],
    "loudness": config["loudness"] if config["loudness"]["measure"] else None,
}
# Each rule is in the folder of the package that its stage is named after.
STAGES = {name: module.split(".")[1] for name, module in COMMANDS.items()}
USED_PROTOCOLS = list(dict.fromkeys(run.protocol for run in RUNS))
# A model over clips of one length may ask for more kinds than the notebook has.
FIXED_COPIES = [
    copies
    for copies in COPY_KINDS
    if copies in NOTEBOOK
    or any(
        copies in model.copies and KINDS[kind].reads == "fixed"
        for model in [*USED_MODELS, *(trial for search in SEARCHES.values() for trial in search.trials)]
        for kind in lineage(model.features)
    )
]

# ---- Paths -------------------------------------------------------------------------------------------------------


def one_of(names):
    """Return a regular expression that matches these names; nothing if there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


NETWORKS = one_of(name for name, model in MODELS.items() if not model.members)
ENSEMBLES = one_of(name for name, model in MODELS.items() if model.members)


wildcard_constraints:
    shard=r"s\d+",
    seed=r"\d+",
    fold=r"\d+",
    model=one_of(MODELS),
    encoder=one_of(config["encoders"]),
    part=f"(({'|'.join(COPY_KINDS)})/)?",
    protocol="|".join(PROTOCOLS),
    search=one_of(SEARCHES),
    trial=r"\d+",
    rung=r"\d+",
    selection="|".join(["all", "quick", "search", *PROTOCOLS]),


PATTERNS = {
    "listing": "listing/{shard}.parquet",
    "groups": "listing/groups.parquet",
    "plan": "plan/{shard}.parquet",
    "plan_of_segments": "plan/speech/{shard}.parquet",
    "recordings": "recordings/{shard}.npy",
    "recordings_index": "recordings/{shard}.parquet",
    "clips": "catalog/clips.parquet",
    "excluded": "catalog/excluded.tsv",
    "flagged": "catalog/flagged.tsv",
    "audit": "catalog/audit.json",
    "split": "splits/{protocol}.parquet",
    "augmented": "augmented/{shard}.npy",
    "augmented_index": "augmented/{shard}.parquet",
    "length": "length.json",
    "target": "target.json",
    "fixed": "fixed/{shard}.npy",
    "fixed_index": "fixed/{shard}.parquet",
    "model": f"models/{RUN}/model.keras",
    "history": f"models/{RUN}/history.csv",
    "layers": f"models/{RUN}/model.txt",
    "training": f"models/{RUN}/training.json",
    "enrolment": f"models/{RUN}/enrolment.json",
    "importance": f"models/{RUN}/importance.json",
    "before_refit": f"models/{RUN}/before_refit.parquet",
    "predictions": f"models/{RUN}/predictions.parquet",
    "metrics": f"models/{RUN}/metrics.json",
    "trial": "search/{search}/trial{trial}/fold{fold}/rung{rung}.json",
    "ranking": "search/{search}/ranking/fold{fold}/rung{rung}.json",
    "trials": "search/{search}/trials.csv",
    "chosen": "search/{search}/chosen.yaml",
    "search": "search/{search}/summary.json",
    "headline": "robustness/headline.json",
    "changed": "robustness/features/{protocol}/fold{fold}/{condition}/{kind}/{reader}",
    "labelled_changed": f"robustness/{RUN}/{{condition}}.parquet",
    "robustness": "robustness/{protocol}/{model}/seed{seed}/robustness.json",
    "bundle": f"bundles/{RUN}.zip",
    "labelled": "predicted/{shard}.parquet",
    "timeline": "predicted/timeline/{shard}.parquet",
    "all_labels": "predicted/recordings.csv",
    "whole_timeline": "predicted/timeline.csv",
    "curves": f"report/figures/{RUN}/curves.png",
    "confusion": f"report/figures/{RUN}/confusion.png",
    "shown_clips": "report/figures/clips.json",
    "explained_mistakes": "report/{selection}/explained_mistakes.json",
    "evaluation": "report/{selection}/evaluation.json",
    "provenance": "report/{selection}/provenance.json",
    "comparison": "report/{selection}/comparison.csv",
    "chart": "report/{selection}/comparison.png",
    "reliability": "report/{selection}/reliability.png",
    "risk_coverage": "report/{selection}/risk_coverage.png",
    "leakage": "report/{selection}/leakage.png",
    "mistakes": "report/{selection}/mistakes.json",
    "shown_mistakes": "report/{selection}/mistakes",
    "report": "report/{selection}/index.html",
}
paths = SimpleNamespace(**{name: f"results/{CORPUS}/{pattern}" for name, pattern in PATTERNS.items()})
# Segments of speech are known only when the recordings have been read, so that their copies are planned by a rule.
PLAN = paths.plan_of_segments if config["segments"] == "speech" else paths.plan
paths.encoder, paths.encoder_description = "resources/encoders/{encoder}.onnx", "resources/encoders/{encoder}.json"


def log_of(rule, *wildcards):
    """Return the log of a rule's jobs."""
    return str(Path("results", CORPUS, "logs", rule, *wildcards)) + ".log"


def benchmark_of(rule, *wildcards):
    """Return the file for seconds and memory of a rule's jobs."""
    return str(Path("results", CORPUS, "benchmarks", rule, *wildcards)) + ".tsv"


def shard_of(kind):
    """Return the wildcards of a file of features: an encoder, a kind of copies if they are copies, and a shard."""
    encoder = "{encoder}/" if KINDS[kind].encoder else ""
    return encoder + ("{part}{shard}" if KINDS[kind].reads == "audio" else "{shard}")


def feature_path(kind):
    """Return the path pattern of a kind's features."""
    return f"results/{CORPUS}/{kind}/{shard_of(kind)}.{KINDS[kind].writes}"


def feature_index(kind):
    """Return the path pattern of the names of an array's clips; a table has them itself."""
    return f"results/{CORPUS}/{kind}/{shard_of(kind)}.parquet" if KINDS[kind].writes == "npy" else []


def filled(pattern, model):
    """Fill a path pattern of features with what a model reads; each kind of copies has files of its own."""
    parts = ["", *(f"{kind}/" for kind in model.copies)]
    return collect(pattern, encoder=model.settings.get("encoder"), part=parts, shard=SHARDS) if pattern else []


def ranking_of(search, fold, rung):
    """Return the ranking of the trials at a rung once it is known to be up to date."""
    return checkpoints.rank_trials.get(search=search, fold=fold, rung=rung).output[0]


def last_rung(search):
    """Return the number of the last rung of a search."""
    return len(SEARCHES[search].epochs) - 1


def reached_trials(wildcards):
    """Return the results of the trials that have reached a rung."""
    search, rung, trials = wildcards.search, int(wildcards.rung), range(len(SEARCHES[wildcards.search].trials))
    if rung:
        trials = read_json(ranking_of(search, wildcards.fold, rung - 1))["kept"]
    return collect(paths.trial, search=search, fold=wildcards.fold, rung=rung, trial=trials)


def chosen_trial(wildcards):
    """Return the ranking that chose the settings of a run, if its model is a search."""
    model = wildcards.model
    return ranking_of(model, wildcards.fold, last_rung(model)) if model in SEARCHES else []


def model_of(wildcards):
    """Return the model of a run, or of a trial; of a search with the settings that it chose in the fold."""
    if hasattr(wildcards, "trial"):
        return SEARCHES[wildcards.search].trials[int(wildcards.trial)]
    if ranking := chosen_trial(wildcards):
        return SEARCHES[wildcards.model].trials[read_json(ranking)["ranking"][0]["trial"]]
    return MODELS[wildcards.model]


def feature_shards(wildcards):
    """Return the features that a model reads."""
    model = model_of(wildcards)
    return filled(feature_path(model.features), model)


def feature_indices(wildcards):
    """Return the indices of the features that a model reads, if they are arrays."""
    model = model_of(wildcards)
    return filled(feature_index(model.features), model)


def votes_for(wildcards):
    """Return the catalogue with the listeners' votes, if the model is trained on them."""
    return paths.clips if model_of(wildcards).settings.get("targets", "intended") != "intended" else []


def audio_of(recordings, copies):
    """Return an input function for the recordings or the copies of a shard."""
    return lambda wildcards: (copies if wildcards.part else recordings).format(shard=wildcards.shard)


def encoders_of(sources):
    """Return a regular expression that matches the names of the encoders that have one of these sources."""
    return one_of(name for name, settings in config["encoders"].items() if set(sources) & set(settings))


def encoder_of(path):
    """Return an input function for a file of the encoder of a model, if it has one."""

    def found(wildcards):
        encoder = model_of(wildcards).settings.get("encoder")
        return path.format(encoder=encoder) if encoder else []

    return found


def at(pattern, run):
    """Fill a run into a path pattern."""
    return pattern.format(**run._asdict())


def of_runs(pattern):
    """Return an input function that fills the runs of a selection into a path pattern."""
    return lambda wildcards: [at(pattern, run) for run in ALL_RUNS.selected(wildcards.selection)]


def searches_of(wildcards):
    """Return the summaries of the searches that are models of a selection."""
    models = {run.model for run in ALL_RUNS.selected(wildcards.selection)}
    return [paths.search.format(search=search) for search in SEARCHES if search in models]


def run_of(wildcards):
    """Return the run that wildcards name."""
    return Run(wildcards.protocol, wildcards.model, int(wildcards.seed), int(wildcards.fold))


def configured(pattern):
    """Return an input function for a file of a run that refuses runs that are not configured, or needed by those."""

    def path(wildcards):
        try:
            if not ALL_RUNS.known(run_of(wildcards)):
                folds = ALL_RUNS.folds.get(wildcards.protocol, 0)
                raise UserError(
                    f"{RUN.format(**wildcards)} is not a configured run: runs has {len(RUNS)} of them, and "
                    f"{wildcards.protocol} has {folds} folds here"
                )
        except UserError as error:
            stop(error)
        return pattern.format(**wildcards)

    return path


def adapted_runs(pattern):
    """Return an input function like :func:`of_runs` for those runs whose model is fitted to be adapted to speakers."""
    return lambda wildcards: [
        at(pattern, run)
        for run in ALL_RUNS.selected(wildcards.selection)
        if MODELS[run.model].adapted == "speaker" and not MODELS[run.model].by_gradient
    ]


def named_features(pattern):
    """Return an input function like :func:`of_runs` for those runs whose model reads features with names."""
    return lambda wildcards: [
        at(pattern, run)
        for run in ALL_RUNS.selected(wildcards.selection)
        if (kind := MODELS[run.model].features) and KINDS[kind].named
    ]


def explained_runs(wildcards):
    """Return the runs of a selection whose models can be explained: alone, not adapted, and on recordings."""
    return [
        run
        for run in ALL_RUNS.selected(wildcards.selection)
        if ALL_RUNS.members(run) == [run] and not model_of(run).adapted and not lookup_of(run)
    ]


def of_explained(pattern):
    """Return an input function like :func:`of_runs` for those runs whose models can be explained."""
    return lambda wildcards: [at(pattern, run) for run in explained_runs(wildcards)]


def explained_kinds(wildcards):
    """Return the kinds of features of these runs."""
    return sorted({model_of(run).features for run in explained_runs(wildcards)})


def of_encoders(pattern):
    """Return an input function that fills the encoders of these runs into a path pattern."""
    return lambda wildcards: sorted({path for run in explained_runs(wildcards) if (path := encoder_of(pattern)(run))})


CLIP_FIGURES, CLIP_RECORDINGS = (
    [f"results/{CORPUS}/report/figures/clip{number:02d}.{suffix}" for number in range(config["report"]["clips"])]
    for suffix in ("png", "wav")
)


def refuse_selection(protocol):
    """Print why a protocol, or the selection quick or search, has no report."""
    try:
        if protocol == "search":
            raise UserError("the target search needs an entry in the section search of the configuration")
        if protocol == "quick":
            raise UserError(f"quick needs a run of the protocol speaker-independent with one of {', '.join(QUICK)}")
        count_folds(protocol, DATA.speakers, DATA.formats, config["split"])
        raise UserError(f"no configured run has the protocol {protocol}; add it to runs")
    except UserError as error:
        stop(error)


def report_on(selection):
    """Return the tables, charts and pages of a selection."""
    try:
        runs = ALL_RUNS.selected(selection)
    except UserError as error:  # of a search that other targets do not need
        return lambda wildcards, error=error: stop(error)
    if not runs:
        return lambda wildcards: refuse_selection(selection)
    patterns = (paths.provenance, paths.comparison, paths.chart, paths.evaluation, paths.report)
    patterns += (paths.reliability, paths.risk_coverage, paths.leakage)
    return [
        *collect(patterns, selection=selection),
        *(at(paths.confusion, run) for run in runs),
        *(at(paths.curves, run) for run in runs if MODELS[run.model].by_gradient),
    ]


def of_members(pattern):
    """Return an input function that fills the members of an ensemble into a path pattern."""

    def filled_in(wildcards):
        configured(pattern)(wildcards)
        return [at(pattern, member) for member in ALL_RUNS.members(run_of(wildcards))]

    return filled_in


def plain_model(pattern):
    """Return an input function for a file of the run that an adapted model's bundle holds for unknown speakers."""

    def path(wildcards):
        sibling = ALL_RUNS.plain(run_of(wildcards))
        # A search may have chosen another encoder.
        alike = sibling and encoder_of("{encoder}")(sibling) == encoder_of("{encoder}")(wildcards)
        return at(pattern, sibling) if alike else []

    return path


def architecture_of(wildcards):
    """Return the name of the architecture of a model."""
    return MODELS[wildcards.model].architecture.name


def options_for(*names):
    """Return a function for the options of those inputs that a job has, by their names."""
    return lambda wildcards, input: " ".join(
        f"--{name.replace('_', '-')} {shlex.quote(input[name])}" for name in names if input[name]
    )


def stated_options():
    """Return the options for what the configuration says of the trained models as a whole."""
    return " ".join(
        f"--{name}={shlex.quote(config['bundles'][name])}" for name in ("contact", "licence") if config["bundles"][name]
    )


def settings_of_run(wildcards):
    """Return the settings of a model under the protocol of a run."""
    return json.dumps(training_settings(model_of(wildcards), wildcards.protocol))


def lookup_of(run):
    """Return the kind of features that a run, or a member of its ensemble, looks up by the names of recordings, if any.

    It has no bundle.
    """
    kinds = (MODELS[member.model].features for member in ALL_RUNS.members(run))
    return next((kind for kind in kinds if not from_recordings(kind)), None)


def refuse_bundle(run):
    """Print why a run has no bundle."""
    kind = lookup_of(run)
    stop(UserError(f"{run.model} has no bundle: its features ({kind}) cannot be computed from a recording"))


def bundled(pattern):
    """Return an input function like :func:`configured` that refuses runs that cannot have a bundle."""

    def path(wildcards):
        found = configured(pattern)(wildcards)
        return refuse_bundle(run_of(wildcards)) if lookup_of(run_of(wildcards)) else found

    return path


def all_bundles(wildcards):
    """Return the bundles of the configured runs, without those that cannot have one, and say which these are."""
    possible = [run for run in RUNS if not lookup_of(run)]
    if not possible:
        refuse_bundle(RUNS[0])
    for model in dict.fromkeys(run.model for run in RUNS if lookup_of(run)) if workflow.is_main_process else ():
        print(f"serflow: {model} has no bundle: its features cannot be computed from a recording", file=sys.stderr)
    return [at(paths.bundle, run) for run in possible]


def bundle_to_use(wildcards):
    """Return the configured bundle, or that of the first run that is not leaky."""
    if not config["input"]:
        stop(UserError("config: input is null, but predict needs recordings, e.g. --config input=/data/wavs"))
    possible = [run for run in RUNS if not lookup_of(run)]
    if not possible and not config["bundle"]:
        refuse_bundle(RUNS[0])
    honest = [run for run in possible if not PROTOCOLS[run.protocol].leaky]
    return config["bundle"] or at(paths.bundle, [*honest, *possible][0])


# ---- Robustness ---------------------------------------------------------------------------------------------------


NO_ENCODER = "audio"  # in the paths of changed features that need none


def tested_runs():
    """Return the protocol, model and seed of the runs that are tested: those of the settings, or the headline run."""
    configured = list(dict.fromkeys(run[:3] for run in RUNS))
    if ALL_RUNS.tested or len(configured) == 1:
        return ALL_RUNS.tested or configured
    headline = read_json(checkpoints.choose_headline.get().output[0])
    return [(headline["protocol"], headline["model"], headline["seed"])]


def tested(wildcards):
    """Return the robustness of all runs that are tested."""
    return [paths.robustness.format(protocol=run[0], model=run[1], seed=run[2]) for run in tested_runs()]


def robustness_of(wildcards):
    """Return the robustness of the runs of a selection, where it is there or asked for in the same call.

    So no report makes it, each made after it shows it, and both can be asked for at once.
    """
    keys = dict.fromkeys(run[:3] for run in ALL_RUNS.selected(wildcards.selection))
    files = [paths.robustness.format(protocol=run[0], model=run[1], seed=run[2]) for run in keys]
    asked = tested(wildcards) if "robustness" in workflow.dag_settings.targets else []
    return [path for path in files if path in asked or Path(path).exists()]


def folds_of(wildcards):
    """Return all folds of a run."""
    run = wildcards.protocol, wildcards.model, int(wildcards.seed)
    return [other for other in RUNS if other[:3] == run]


def of_each_member(pattern):
    """Return an input function that fills the members of all folds of a run into a path pattern."""
    return lambda wildcards: [at(pattern, member) for run in folds_of(wildcards) for member in ALL_RUNS.members(run)]


def labelled_of(wildcards):
    """Return the labelled clips of a run: for each condition those of each fold, of each member of an ensemble."""
    runs = folds_of(wildcards)
    if not runs or lookup_of(runs[0]):
        return []
    return [
        paths.labelled_changed.format(**member._asdict(), condition=condition)
        for condition in (UNCHANGED, *config["robustness"]["conditions"])
        for run in runs
        for member in ALL_RUNS.members(run)
    ]


def why_not(wildcards):
    """Return the option that says why a run cannot be tested, if it cannot."""
    if kind := lookup_of(folds_of(wildcards)[0]):
        reason = f"the features of {wildcards.model} ({kind}) cannot be computed from a changed recording"
        return f"--reason {shlex.quote(reason)}"
    return ""


def changed_features(wildcards):
    """Return the features of changed clips that a model reads."""
    model = model_of(wildcards)
    reader = model.settings.get("encoder") or NO_ENCODER
    return paths.changed.format(**dict(wildcards.items()), kind=model.features, reader=reader)


def change_of(wildcards):
    """Return the options for a condition: the seed and its settings, of which thresholds change no clip."""
    settings = dict(config["robustness"].get(wildcards.condition, {}))
    settings.pop("thresholds", None)
    return f"--seed {config['robustness']['seed']} --settings {shlex.quote(json.dumps(settings))}"


def code_of_change(wildcards):
    """Return the fingerprint of a condition, and a digest of the recordings in the folder that it reads."""
    if wildcards.condition == UNCHANGED:
        return ""
    plugin = CONDITIONS[wildcards.condition]
    folder = plugin.files and config["robustness"][wildcards.condition][plugin.files]
    return " ".join([fingerprint(plugin.module), *(recording_digests(folder, 1) if folder else [])])


def read_by(wildcards, path):
    """Return a file of the encoder of changed features, if they have one."""
    return path.format(encoder=wildcards.reader) if KINDS[wildcards.kind].encoder else []


# ---- Resources and parameters ------------------------------------------------------------------------------------


def shard_number(wildcards):
    return int(wildcards.shard[1:])


def memory(base, per_input=0, of=None):
    """Ask for ``base`` MB and a multiple of the size of the inputs (or those named ``of``), and more each attempt."""

    def megabytes(wildcards, input, attempt):
        # Not input.size_mb, which gives a warning if a job is planned while a checkpoint is evaluated.
        size = sum(Path(path).stat().st_size for path in (input[of] if of else input)) / 1e6
        return attempt * int(base + per_input * size)

    return megabytes


def minutes(base):
    """Ask for a time limit, and for more with each attempt."""
    return lambda wildcards, attempt: attempt * base


def split_table(wildcards):
    """Return the table that a protocol splits by, empty if it uses none."""
    return config["split"]["table"] if "table" in PROTOCOLS[wildcards.protocol].settings else []


def contents_of(kind):
    """Return a function for the digest of the files that a kind reads, since dates alone would miss an older file.

    It has no argument ``input``, since Snakemake does not compare parameters that follow from that.
    """
    digest = functools.cache(digest_of)  # a file may be large, and several jobs read it
    return lambda wildcards: digest(*files) if (files := files_of(kind)) else ""


def code_of(rule, *modules):
    """Return the fingerprint of the function behind a rule, and of the plug-ins that it uses."""
    return fingerprint(function_of(rule), *modules)


def modules_of_features(kind):
    """Return the modules that compute the features of a kind."""
    modules = [KINDS[name].module for name in lineage(kind)]
    return modules + (modules_of_frame_features(config["frames"]["features"]) if "frames" in lineage(kind) else [])


def target_length(wildcards):
    """Return target.json once it is known to be up to date, so that staleness is judged by its content.

    All steps up to the features ask for it, also those that do not read it, since Snakemake judges only those jobs
    anew that depend on a checkpoint themselves.
    """
    return checkpoints.measure_length.get().output.target


# ---- Before the first job ----------------------------------------------------------------------------------------


onstart:
    begin()


onsuccess:
    end()


def begin():
    """Keep two runs from writing to the same results, and prepare a cluster, before the first job starts.

    Steps on this machine end with the run. On a cluster the next run cancels what is left.
    """
    lock = Path("results/.lock")
    try:
        if workflow.is_main_process:
            hold_lock(lock)
            for note in DATA.notes:
                print(f"serflow: {note}", file=sys.stderr)
            if workflow.executor_plugin.name == "slurm":
                prepare_cluster(Path(".snakemake/log"))
            else:
                os.environ[LOCK_VARIABLE] = str(lock.resolve())
                # Under its limit of jobs per second, which nothing here needs, each pass of Snakemake's scheduler starts another
                # a second later, and each job that ends one more: a fifth of a core after a hundred jobs.
                workflow.scheduler.job_rate_limiter = None
            for folder in ("results", *([DATA.folder.parent] if DATA.made else [])):
                tidy(folder)
    except UserError as error:
        stop(error)


def end():
    """Say where the reports are that this run made, and the result of each."""
    from serflow.evaluation.headline import headline

    for page in sorted(Path("results", CORPUS, "report").glob("*/index.html")):
        if page.stat().st_mtime >= STARTED:
            line = f"{RESULT}{page}: {headline(read_json(page.with_name('evaluation.json')))}\n"
            if screen := os.environ.get(SCREEN_VARIABLE):
                with open(screen, "a") as file:
                    file.write(line)
            else:
                sys.stderr.write(line)
