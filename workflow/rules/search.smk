"""Search for the settings of a model, judged on validation speakers alone."""


rule search_trial:
    """Train a model with the settings of one trial on one fold, up to the epoch where trials are compared."""
    input:
        split=lambda wildcards: paths.split.format(protocol=SEARCHES[wildcards.search].protocol),
        features=feature_shards,
        indices=feature_indices,
        encoder=encoder_of(paths.encoder_description),
        clips=votes_for,
    output:
        paths.trial,
    log:
        log_of("search_trial", "{search}", "trial{trial}", "fold{fold}", "rung{rung}"),
    benchmark:
        benchmark_of("search_trial", "{search}", "trial{trial}", "fold{fold}", "rung{rung}")
    conda:
        "../../envs/models.yaml"
    threads: lambda wildcards: config["threads"]["training"] if MODELS[wildcards.search].by_gradient else 1
    resources:
        mem_mb=memory(2500, 1),
        runtime=minutes(240),
    params:
        architecture=lambda wildcards: MODELS[wildcards.search].architecture.name,
        seed=lambda wildcards: SEARCHES[wildcards.search].seed,
        settings=lambda wildcards: json.dumps(
            training_settings(model_of(wildcards), SEARCHES[wildcards.search].protocol)
        ),
        epochs=lambda wildcards: (
            f"--epochs {epochs}" if (epochs := SEARCHES[wildcards.search].epochs[int(wildcards.rung)]) else ""
        ),
        more=options_for("encoder", "clips"),
        code=lambda wildcards: code_of("search_trial", MODELS[wildcards.search].architecture.module),
    shell:
        "python -m serflow search_trial --search {wildcards.search} --trial {wildcards.trial}"
        " --architecture {params.architecture} --split {input.split:q} --features {input.features:q}"
        " --indices {input.indices:q} {params.more} --fold {wildcards.fold} --seed {params.seed}"
        " --settings {params.settings:q} {params.epochs} --threads {threads} --output {output:q} --log {log:q}"


checkpoint rank_trials:
    """Choose the trials that are trained further, or at the last rung the best, by the validation clips of the fold."""
    input:
        reached_trials,
    output:
        paths.ranking,
    log:
        log_of("rank_trials", "{search}", "fold{fold}", "rung{rung}"),
    benchmark:
        benchmark_of("rank_trials", "{search}", "fold{fold}", "rung{rung}")
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        keep=lambda wildcards: (
            f"--keep {SEARCHES[wildcards.search].keep}" if int(wildcards.rung) < last_rung(wildcards.search) else ""
        ),
        code=code_of("rank_trials"),
    shell:
        "python -m serflow rank_trials --trials {input:q} --fold {wildcards.fold} --rung {wildcards.rung} {params.keep}"
        " --output {output:q} --log {log:q}"


rule search_summary:
    """Write the table of all trials, and the settings that are best on average over the folds."""
    input:
        lambda wildcards: [
            paths.ranking.format(search=wildcards.search, fold=fold, rung=rung)
            for fold in ALL_RUNS.folds_of(wildcards.search)
            for rung in range(len(SEARCHES[wildcards.search].epochs))
        ],
    output:
        table=paths.trials,
        chosen=paths.chosen,
        summary=paths.search,
    log:
        log_of("search_summary", "{search}"),
    benchmark:
        benchmark_of("search_summary", "{search}")
    conda:
        "../../envs/models.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, 10),
        runtime=minutes(10),
    params:
        about=lambda wildcards: json.dumps(
            {
                "model": SEARCHES[wildcards.search].model,
                "architecture": MODELS[wildcards.search].architecture.name,
                "protocol": SEARCHES[wildcards.search].protocol,
                "seed": SEARCHES[wildcards.search].seed,
                "epochs": SEARCHES[wildcards.search].epochs,
                "space": SEARCHES[wildcards.search].space,
            }
        ),
        corpus=CORPUS,
        code=code_of("search_summary"),
    shell:
        "python -m serflow search_summary --search {wildcards.search} --about {params.about:q} --rankings {input:q}"
        " --corpus {params.corpus} --table {output.table:q} --chosen {output.chosen:q} --summary {output.summary:q}"
        " --log {log:q}"
