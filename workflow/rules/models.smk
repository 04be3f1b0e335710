"""From features to trained models and their measures."""


rule train_model:
    """Train one model on one fold with one seed; everything random in it follows from the seed."""
    input:
        split=paths.split,
        features=features_of,
    output:
        model=paths.model,
        history=paths.history,
        layers=paths.layers,
        training=paths.training,
    log:
        log_of("train_model", RUN),
    benchmark:
        benchmark_of("train_model", RUN)
    conda:
        "../../envs/models.yaml"
    threads: lambda wildcards: training_threads(wildcards.model, config, sample=CORPUS == SAMPLE)
    resources:
        mem_mb=memory(2500, 1),
        runtime=minutes(240),
    params:
        settings=lambda wildcards: json.dumps(training_settings(wildcards.model, config, sample=CORPUS == SAMPLE)),
        configured=lambda wildcards: json.dumps(config["models"][wildcards.model]),
        # The notebook feeds raw features.
        standardize=lambda wildcards: "no" if wildcards.protocol == "notebook" else "yes",
        code=lambda wildcards: fingerprint("serflow.models.train", MODELS[wildcards.model].module),
    shell:
        "python -m serflow train_model --model {wildcards.model} --split {input.split:q} --features {input.features:q}"
        " --fold {wildcards.fold} --seed {wildcards.seed} --settings {params.settings:q} --standardize {params.standardize}"
        " --threads {threads} --output {output.model:q} --history {output.history:q} --summary {output.layers:q}"
        " --training {output.training:q} --log {log:q}"


rule predict_test:
    """Keep a model's probabilities for its clips, so that any measure can be computed without the model."""
    input:
        model=paths.model,
        split=paths.split,
        features=features_of,
    output:
        paths.predictions,
    log:
        log_of("predict_test", RUN),
    benchmark:
        benchmark_of("predict_test", RUN)
    conda:
        "../../envs/models.yaml"
    threads: config["threads"]["prediction"]
    resources:
        mem_mb=memory(2000, 1),
        runtime=minutes(30),
    params:
        code=fingerprint("serflow.models.predict"),
    shell:
        "python -m serflow predict_test --model {input.model:q} --split {input.split:q} --features {input.features:q}"
        " --fold {wildcards.fold} --threads {threads} --output {output:q} --log {log:q}"


rule evaluate_model:
    """Measure a run by its predictions on the clips that it was not trained on."""
    input:
        predictions=paths.predictions,
        training=paths.training,
    output:
        paths.metrics,
    log:
        log_of("evaluate_model", RUN),
    benchmark:
        benchmark_of("evaluate_model", RUN)
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, 10),
        runtime=minutes(10),
    params:
        code=fingerprint("serflow.evaluation.run_metrics"),
    shell:
        "python -m serflow evaluate_model --predictions {input.predictions:q} --training {input.training:q}"
        " --protocol {wildcards.protocol} --seed {wildcards.seed} --fold {wildcards.fold}"
        " --output {output:q} --log {log:q}"
