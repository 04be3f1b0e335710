"""From runs to their answers to changed clips; only the target `robustness` asks for these."""

NO_ENCODER = "audio"  # in the paths of changed features that need none
CHANGED = "{protocol}/fold{fold}/{condition}/{kind}/{reader}"


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
        return "--reason " + shlex.quote(
            f"{wildcards.model} reads {kind}, which no changed recording can be turned into"
        )
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


checkpoint choose_headline:
    """Find the run with the highest UAR on unknown speakers, which is tested if the settings name no other."""
    input:
        metrics=[at(paths.metrics, run) for run in RUNS],
        predictions=[at(paths.predictions, run) for run in RUNS],
    output:
        paths.headline,
    log:
        log_of("choose_headline"),
    benchmark:
        benchmark_of("choose_headline")
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, 20),
        runtime=minutes(10),
    params:
        code=code_of("choose_headline", *PROTOCOL_MODULES),
    shell:
        "python -m serflow choose_headline --metrics {input.metrics:q} --predictions {input.predictions:q}"
        " --output {output:q} --log {log:q}"


rule change_clips:
    """Change the test clips of a fold in one way, and compute what models read of them, once for all runs."""
    input:
        split=paths.split,
        recordings=collect(paths.recordings, shard=SHARDS),
        indices=collect(paths.recordings_index, shard=SHARDS),
        length=lambda wildcards: target_length(wildcards) if pads(wildcards.kind) else [],
        encoder=lambda wildcards: read_by(wildcards, paths.encoder),
        description=lambda wildcards: read_by(wildcards, paths.encoder_description),
    output:
        temp(directory(paths.changed)),
    log:
        log_of("change_clips", CHANGED),
    benchmark:
        benchmark_of("change_clips", CHANGED)
    wildcard_constraints:
        condition=one_of([UNCHANGED, *CONDITIONS]),
        kind=one_of(KINDS),
        reader=one_of([NO_ENCODER, *config["encoders"]]),
    conda:
        "../../envs/audio.yaml"
    threads: config["threads"]["features"]
    resources:
        mem_mb=memory(1000, 1),
        runtime=lambda wildcards, attempt: attempt * (240 if KINDS[wildcards.kind].encoder else 60),
    params:
        change=change_of,
        preprocessing=lambda wildcards: json.dumps(READING | kind_settings(wildcards.kind, config)),
        more=options_for("length", "encoder", "description"),
        condition=code_of_change,
        code=lambda wildcards: code_of("change_clips", *modules_of_features(wildcards.kind)),
    shell:
        "python -m serflow change_clips --split {input.split:q} --fold {wildcards.fold} --condition {wildcards.condition}"
        " {params.change} --recordings {input.recordings:q} --indices {input.indices:q} --kind {wildcards.kind}"
        " --preprocessing {params.preprocessing:q} {params.more} --threads {threads} --output {output:q} --log {log:q}"


rule label_changed:
    """Label the changed clips of a fold with the model of a run."""
    input:
        model=paths.model,
        training=paths.training,
        features=changed_features,
    output:
        paths.labelled_changed,
    log:
        log_of("label_changed", RUN, "{condition}"),
    benchmark:
        benchmark_of("label_changed", RUN, "{condition}")
    wildcard_constraints:
        model=NETWORKS,
        condition=one_of([UNCHANGED, *CONDITIONS]),
    conda:
        "../../envs/models.yaml"
    threads: config["threads"]["prediction"]
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        architecture=architecture_of,
        settings=settings_of_run,
        # What the features were made with: they are deleted once they are labelled, and what is not there is never stale.
        change=change_of,
        condition=code_of_change,
        preprocessing=lambda wildcards: json.dumps(READING | kind_settings(model_of(wildcards).features, config)),
        made=lambda wildcards: code_of("change_clips", *modules_of_features(model_of(wildcards).features)),
        code=lambda wildcards: code_of("label_changed", MODELS[wildcards.model].architecture.module),
    shell:
        "python -m serflow label_changed --model {input.model:q} --architecture {params.architecture}"
        " --features {input.features:q} --training {input.training:q} --settings {params.settings:q}"
        " --threads {threads} --output {output:q} --log {log:q}"


rule test_robustness:
    """Compare the answers of a run to changed clips with those to the clips as they are."""
    input:
        labelled=labelled_of,
        training=lambda wildcards: [at(paths.training, run) for run in folds_of(wildcards)],
        metrics=of_each_member(paths.metrics),
    output:
        paths.robustness,
    log:
        log_of("test_robustness", "{protocol}/{model}/seed{seed}"),
    benchmark:
        benchmark_of("test_robustness", "{protocol}/{model}/seed{seed}")
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, 10, of="labelled"),
        runtime=minutes(10),
    params:
        members=lambda wildcards: len(ALL_RUNS.members(folds_of(wildcards)[0])),
        conditions=lambda wildcards: json.dumps(
            {name: config["robustness"][name] for name in config["robustness"]["conditions"]}
        ),
        resampling=json.dumps({name: config["evaluation"][name] for name in ("resamples", "seed")}),
        reason=why_not,
        code=lambda wildcards: code_of("test_robustness", PROTOCOLS[wildcards.protocol].module),
    shell:
        "python -m serflow test_robustness --labelled {input.labelled:q} --protocol {wildcards.protocol}"
        " --model {wildcards.model} --seed {wildcards.seed} --members {params.members}"
        " --conditions {params.conditions:q} --training {input.training:q} --metrics {input.metrics:q}"
        " --resampling {params.resampling:q} {params.reason} --output {output:q} --log {log:q}"
