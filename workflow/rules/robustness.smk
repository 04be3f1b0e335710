"""From runs to their answers to changed clips; only the target `robustness` asks for these."""

CHANGED = "{protocol}/fold{fold}/{condition}/{kind}/{reader}"


checkpoint choose_headline:
    """Find the run with the highest UAR on validation clips, which is tested if the settings name no other."""
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
