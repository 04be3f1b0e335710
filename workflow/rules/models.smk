"""From features to trained models and their metrics."""


rule train_model:
    """Train one model on one fold; all randomness follows from the seed."""
    input:
        split=configured(paths.split),
        features=feature_shards,
        indices=feature_indices,
        encoder=encoder_of(paths.encoder_description),
        clips=votes_for,
        chosen=chosen_trial,
    output:
        model=paths.model,
        history=paths.history,
        layers=paths.layers,
        training=paths.training,
        before_refit=paths.before_refit,
    log:
        log_of("train_model", RUN),
    benchmark:
        benchmark_of("train_model", RUN)
    wildcard_constraints:
        model=NETWORKS,
    conda:
        "../../envs/models.yaml"
    threads: lambda wildcards: config["threads"]["training"] if MODELS[wildcards.model].by_gradient else 1
    resources:
        mem_mb=memory(2500, 1),
        runtime=minutes(240),
    params:
        architecture=architecture_of,
        settings=settings_of_run,
        more=options_for("encoder", "clips"),
        code=lambda wildcards: code_of("train_model", MODELS[wildcards.model].architecture.module),
    shell:
        "python -m serflow train_model --model {wildcards.model} --architecture {params.architecture}"
        " --split {input.split:q} --features {input.features:q} --indices {input.indices:q}"
        " {params.more} --fold {wildcards.fold} --seed {wildcards.seed} --settings {params.settings:q} --threads {threads}"
        " --output {output.model:q} --history {output.history:q} --summary {output.layers:q}"
        " --training {output.training:q} --before-refit {output.before_refit:q} --log {log:q}"


rule predict_test:
    """Write the probabilities of a model for all clips of its fold, so that metrics need no model."""
    input:
        model=paths.model,
        split=paths.split,
        features=feature_shards,
        indices=feature_indices,
        before_refit=paths.before_refit,
    output:
        paths.predictions,
    log:
        log_of("predict_test", RUN),
    benchmark:
        benchmark_of("predict_test", RUN)
    wildcard_constraints:
        model=NETWORKS,
    conda:
        "../../envs/models.yaml"
    threads: config["threads"]["prediction"]
    resources:
        mem_mb=memory(2000, 1),
        runtime=minutes(30),
    params:
        architecture=architecture_of,
        settings=settings_of_run,
        code=lambda wildcards: code_of("predict_test", MODELS[wildcards.model].architecture.module),
    shell:
        "python -m serflow predict_test --model {input.model:q} --architecture {params.architecture}"
        " --split {input.split:q} --features {input.features:q} --indices {input.indices:q}"
        " --before-refit {input.before_refit:q} --settings {params.settings:q}"
        " --fold {wildcards.fold} --threads {threads} --output {output:q} --log {log:q}"


rule combine_members:
    """Average the probabilities of the members of an ensemble, with weights fitted on the validation clips."""
    input:
        predictions=of_members(paths.predictions),
        metrics=of_members(paths.metrics),
    output:
        predictions=paths.predictions,
        history=paths.history,
        training=paths.training,
    log:
        log_of("combine_members", RUN),
    benchmark:
        benchmark_of("combine_members", RUN)
    wildcard_constraints:
        model=ENSEMBLES,
    conda:
        "../../envs/models.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, 10),
        runtime=minutes(10),
    params:
        members=lambda wildcards, input: [
            "{0.model}, seed {0.seed}".format(run) for run in ALL_RUNS.members(run_of(wildcards))
        ],
        code=code_of("combine_members"),
    shell:
        "python -m serflow combine_members --members {params.members:q} --model {wildcards.model}"
        " --predictions {input.predictions:q} --metrics {input.metrics:q} --output {output.predictions:q}"
        " --history {output.history:q} --training {output.training:q} --log {log:q}"


rule evaluate_model:
    """Compute the metrics of a run from its predictions for the test clips."""
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
        code=lambda wildcards: code_of("evaluate_model", PROTOCOLS[wildcards.protocol].module),
    shell:
        "python -m serflow evaluate_model --predictions {input.predictions:q} --training {input.training:q}"
        " --protocol {wildcards.protocol} --seed {wildcards.seed} --fold {wildcards.fold}"
        " --output {output:q} --log {log:q}"


rule evaluate_enrolment:
    """Test a model that is adapted to speakers with a few unlabelled clips of each test speaker."""
    input:
        model=paths.model,
        features=feature_shards,
        indices=feature_indices,
        predictions=paths.predictions,
        metrics=paths.metrics,
        training=paths.training,
    output:
        paths.enrolment,
    log:
        log_of("evaluate_enrolment", RUN),
    benchmark:
        benchmark_of("evaluate_enrolment", RUN)
    conda:
        "../../envs/models.yaml"
    threads: config["threads"]["prediction"]
    resources:
        mem_mb=memory(2000, 1),
        runtime=minutes(60),
    params:
        architecture=architecture_of,
        settings=settings_of_run,
        code=lambda wildcards: code_of("evaluate_enrolment", MODELS[wildcards.model].architecture.module),
    shell:
        "python -m serflow evaluate_enrolment --model {input.model:q} --architecture {params.architecture}"
        " --features {input.features:q} --indices {input.indices:q} --predictions {input.predictions:q}"
        " --metrics {input.metrics:q} --training {input.training:q} --settings {params.settings:q} --threads {threads}"
        " --output {output:q} --log {log:q}"


rule measure_importance:
    """Test a model with the values of each named feature shuffled, to show what it listens to."""
    input:
        model=paths.model,
        features=feature_shards,
        predictions=paths.predictions,
        metrics=paths.metrics,
    output:
        paths.importance,
    log:
        log_of("measure_importance", RUN),
    benchmark:
        benchmark_of("measure_importance", RUN)
    conda:
        "../../envs/models.yaml"
    threads: config["threads"]["prediction"]
    resources:
        mem_mb=memory(2000, 1),
        runtime=minutes(60),
    params:
        architecture=architecture_of,
        settings=settings_of_run,
        code=lambda wildcards: code_of("measure_importance", MODELS[wildcards.model].architecture.module),
    shell:
        "python -m serflow measure_importance --model {input.model:q} --architecture {params.architecture}"
        " --features {input.features:q} --predictions {input.predictions:q} --metrics {input.metrics:q}"
        " --settings {params.settings:q} --threads {threads} --output {output:q} --log {log:q}"
