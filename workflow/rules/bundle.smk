"""From a trained run to one file, and from recordings to labels."""


rule bundle_model:
    """Pack a run into one file that works without this folder and without TensorFlow."""
    input:
        model=paths.model,
        features=features_of,
        predictions=paths.predictions,
        metrics=paths.metrics,
        evaluation=paths.evaluation.format(selection="all"),
        length=paths.length,
        clips=paths.clips,
    output:
        paths.bundle,
    log:
        log_of("bundle_model", RUN),
    benchmark:
        benchmark_of("bundle_model", RUN)
    conda:
        "../../envs/models.yaml"
    threads: 1
    resources:
        mem_mb=memory(2500),
        runtime=minutes(20),
    params:
        corpus=CORPUS,
        preprocessing=preprocessing_of,
        code=fingerprint("serflow.bundle.pack"),
    shell:
        "python -m serflow bundle_model --model {input.model:q} --features {input.features:q}"
        " --predictions {input.predictions:q} --metrics {input.metrics:q} --evaluation {input.evaluation:q}"
        " --length {input.length:q} --clips {input.clips:q} --corpus {params.corpus}"
        " --preprocessing {params.preprocessing:q} --output {output:q} --log {log:q}"


rule predict_recordings:
    """Label a share of the recordings in the folder `input`, and say of the others why they have no label."""
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
        recordings=config["input"],
        shard=shard_number,
        shards=config["shards"],
        listing=lambda wildcards: TO_LABEL[shard_number(wildcards)],
        code=fingerprint("serflow.bundle.predict", *features_of_bundle()),
    shell:
        # Exit code 3: some recordings could not be read, which the tables say.
        "python -m serflow predict_recordings {input.bundle:q} {params.recordings:q} --shard {params.shard}"
        " --shards {params.shards} --threads {threads} --output {output.labels:q} --timeline {output.timeline:q}"
        " --log {log:q} || [ $? -eq 3 ]"


rule collect_predictions:
    """Put the labels of all shards into one table that a spreadsheet opens."""
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
        code=fingerprint("serflow.bundle.output"),
    shell:
        "python -m serflow collect_predictions --labels {input.labels:q} --timelines {input.timelines:q}"
        " --output {output.labels:q} --timeline {output.timeline:q} --log {log:q}"
