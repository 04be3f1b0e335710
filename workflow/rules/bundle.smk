"""From a trained run to a bundle, and from recordings to labels."""


rule bundle_model:
    """Pack a run into one file that works without this folder and without TensorFlow."""
    input:
        model=bundled(paths.model),
        features=feature_shards,
        indices=feature_indices,
        encoder=encoder_of(paths.encoder) if config["bundles"]["encoder"] else [],
        description=encoder_of(paths.encoder_description),
        training=paths.training,
        predictions=paths.predictions,
        metrics=paths.metrics,
        length=paths.length,
        clips=paths.clips,
        plain=plain_model(paths.model),
        plain_metrics=plain_model(paths.metrics),
    output:
        paths.bundle,
    log:
        log_of("bundle_model", RUN),
    benchmark:
        benchmark_of("bundle_model", RUN)
    wildcard_constraints:
        model=NETWORKS,
    conda:
        "../../envs/models.yaml"
    threads: 1
    resources:
        mem_mb=memory(2500, 1),
        runtime=minutes(20),
    params:
        architecture=architecture_of,
        settings=settings_of_run,
        more=options_for("encoder", "description", "plain", "plain_metrics"),
        corpus=CORPUS,
        preprocessing=lambda wildcards: json.dumps(READING | kind_settings(MODELS[wildcards.model].features, config)),
        resampling=json.dumps({name: config["evaluation"][name] for name in ("resamples", "seed")}),
        stated=stated_options(),
        code=lambda wildcards: code_of("bundle_model", MODELS[wildcards.model].architecture.module),
    shell:
        "python -m serflow bundle_model --model {input.model:q} --architecture {params.architecture}"
        " --features {input.features:q} --indices {input.indices:q} {params.more}"
        " --settings {params.settings:q} --training {input.training:q} --predictions {input.predictions:q}"
        " --metrics {input.metrics:q} --length {input.length:q} --clips {input.clips:q} --corpus {params.corpus}"
        " --preprocessing {params.preprocessing:q} --resampling {params.resampling:q} {params.stated}"
        " --output {output:q} --log {log:q}"


rule bundle_ensemble:
    """Pack an ensemble with all of its members into one file."""
    input:
        members=of_members(paths.bundle),
        training=paths.training,
        predictions=paths.predictions,
        metrics=paths.metrics,
        clips=paths.clips,
    output:
        paths.bundle,
    log:
        log_of("bundle_ensemble", RUN),
    benchmark:
        benchmark_of("bundle_ensemble", RUN)
    wildcard_constraints:
        model=ENSEMBLES,
    conda:
        "../../envs/models.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, 4),
        runtime=minutes(20),
    params:
        corpus=CORPUS,
        resampling=json.dumps({name: config["evaluation"][name] for name in ("resamples", "seed")}),
        stated=stated_options(),
        code=code_of("bundle_ensemble"),
    shell:
        "python -m serflow bundle_ensemble --members {input.members:q} --training {input.training:q}"
        " --predictions {input.predictions:q} --metrics {input.metrics:q} --clips {input.clips:q}"
        " --corpus {params.corpus} --resampling {params.resampling:q} {params.stated} --output {output:q} --log {log:q}"


rule predict_recordings:
    """Label a shard of the recordings in the folder `input`; a recording without a label has the reason."""
    input:
        bundle=bundle_to_use,
    output:
        labels=paths.labelled,
        timeline=paths.timeline,
    log:
        log_of("predict_recordings", "{shard}"),
    benchmark:
        benchmark_of("predict_recordings", "{shard}")
    conda:
        "../../envs/audio.yaml"
    threads: config["threads"]["prediction"]
    resources:
        mem_mb=memory(1000),
        runtime=minutes(120),
    params:
        recordings=lambda wildcards: config["input"],  # as a text, Snakemake would read braces in it
        shard=shard_number,
        shards=config["shards"],
        listing=lambda wildcards: TO_LABEL[shard_number(wildcards)],
        code=code_of("predict_recordings", *(module for kind in KINDS for module in modules_of_features(kind))),
    shell:
        # Exit code 3: some recordings could not be read; the tables say which and why.
        "python -m serflow predict_recordings {input.bundle:q} {params.recordings:q} --shard {params.shard}"
        " --shards {params.shards} --threads {threads} --output {output.labels:q} --timeline {output.timeline:q}"
        " --log {log:q} || [ $? -eq 3 ]"


rule collect_predictions:
    """Join the labels of all shards in one table that spreadsheets can open."""
    input:
        labels=collect(paths.labelled, shard=SHARDS),
        timelines=collect(paths.timeline, shard=SHARDS),
    output:
        labels=paths.all_labels,
        timeline=paths.whole_timeline,
    log:
        log_of("collect_predictions"),
    benchmark:
        benchmark_of("collect_predictions")
    conda:
        "../../envs/audio.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, 20),
        runtime=minutes(20),
    params:
        code=code_of("collect_predictions"),
    shell:
        "python -m serflow collect_predictions --labels {input.labels:q} --timelines {input.timelines:q}"
        " --output {output.labels:q} --timeline {output.timeline:q} --log {log:q}"
