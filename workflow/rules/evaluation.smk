"""From predictions to the evaluation of all runs, and where it comes from."""


rule explain_mistakes:
    """Choose wrong predictions of the headline run to be looked at, and find which parts of these clips decide."""
    input:
        metrics=of_runs(paths.metrics),
        predictions=of_runs(paths.predictions),
        explained=of_explained(paths.metrics),
        models=of_explained(paths.model),
        trainings=of_explained(paths.training),
        clips=paths.clips,
        samples=collect(paths.recordings, shard=SHARDS),
        indices=collect(paths.recordings_index, shard=SHARDS),
        length=target_length,
        encoders=of_encoders(paths.encoder),
        descriptions=of_encoders(paths.encoder_description),
    output:
        paths.explained_mistakes,
    log:
        log_of("explain_mistakes", "{selection}"),
    benchmark:
        benchmark_of("explain_mistakes", "{selection}")
    conda:
        "../../envs/models.yaml"
    threads: config["threads"]["prediction"]
    resources:
        mem_mb=memory(2000, 4, of="predictions"),
        runtime=minutes(30),
    params:
        shown=config["report"]["mistakes"],
        preprocessing=lambda wildcards: json.dumps(
            {kind: READING | kind_settings(kind, config) for kind in explained_kinds(wildcards)}
        ),
        code=lambda wildcards: code_of(
            "explain_mistakes",
            *[module for kind in explained_kinds(wildcards) for module in modules_of_features(kind)],
        ),
    shell:
        "python -m serflow explain_mistakes --metrics {input.metrics:q} --predictions {input.predictions:q}"
        " --explained {input.explained:q} --models {input.models:q} --trainings {input.trainings:q}"
        " --catalog {input.clips:q} --samples {input.samples:q} --indices {input.indices:q} --length {input.length:q}"
        " --encoders {input.encoders:q} --descriptions {input.descriptions:q}"
        " --preprocessing {params.preprocessing:q} --count {params.shown} --threads {threads} --output {output:q} --log {log:q}"


rule evaluate_runs:
    """Measure all runs: intervals, reference values, calibration, groups and comparisons, as reviewers expect."""
    input:
        metrics=of_runs(paths.metrics),
        predictions=of_runs(paths.predictions),
        enrolments=adapted_runs(paths.enrolment),
        importances=named_features(paths.importance),
        mistakes=paths.explained_mistakes,
        robustness=robustness_of,
        clips=paths.clips,
    output:
        report(
            paths.evaluation,
            caption="../report/evaluation.rst",
            category="Evaluation",
            labels={"selection": "{selection}", "shows": "all measures"},
        ),
    log:
        log_of("evaluate_runs", "{selection}"),
    benchmark:
        benchmark_of("evaluate_runs", "{selection}")
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, 20),
        runtime=minutes(20),
    params:
        settings=json.dumps(config["evaluation"]),
        # The content and not an input, so that moving the checkout makes nothing stale. It is of CREMA-D.
        published=(
            Path(BASE, "resources/notebook_runs.json").read_text()
            if DATA.formats == {"": CREMA_D} and CORPUS != SAMPLE
            else "{}"
        ),
        code=code_of("evaluate_runs", *PROTOCOL_MODULES),
    shell:
        "python -m serflow evaluate_runs --metrics {input.metrics:q} --predictions {input.predictions:q}"
        " --enrolments {input.enrolments:q} --importances {input.importances:q} --mistakes {input.mistakes:q} --robustness {input.robustness:q}"
        " --clips {input.clips:q}"
        " --published {params.published:q} --settings {params.settings:q} --output {output:q} --log {log:q}"


rule compare_runs:
    """Show all runs, the reference values and the notebook's published results in one table and one chart."""
    input:
        evaluation=paths.evaluation,
    output:
        table=report(
            paths.comparison,
            caption="../report/comparison.rst",
            category="Comparison",
            labels={"selection": "{selection}", "shows": "table"},
        ),
        chart=report(
            paths.chart,
            caption="../report/comparison.rst",
            category="Comparison",
            labels={"selection": "{selection}", "shows": "chart"},
        ),
    log:
        log_of("compare_runs", "{selection}"),
    benchmark:
        benchmark_of("compare_runs", "{selection}")
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        code=code_of("compare_runs"),
    shell:
        "python -m serflow compare_runs --evaluation {input.evaluation:q} --table {output.table:q}"
        " --figure {output.chart:q} --log {log:q}"


rule record_provenance:
    """Record what the results were made of and with, so that they can be reproduced."""
    input:
        metrics=of_runs(paths.metrics),
        clips=paths.clips,
        splits=lambda wildcards: collect(
            paths.split, protocol=sorted({run.protocol for run in ALL_RUNS.selected(wildcards.selection)})
        ),
        encoders=lambda wildcards: sorted(
            {
                description
                for run in ALL_RUNS.selected(wildcards.selection)
                for member in ALL_RUNS.members(run)
                if (description := encoder_of(paths.encoder_description)(member))
            }
        ),
    output:
        paths.provenance,
    log:
        log_of("record_provenance", "{selection}"),
    benchmark:
        benchmark_of("record_provenance", "{selection}")
    conda:
        "../../envs/models.yaml"  # the environment whose versions matter most
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        benchmarks=f"results/{CORPUS}/benchmarks",
        stages=json.dumps(STAGES),
        config=lambda wildcards: json.dumps(config),  # as a text, Snakemake would read braces in it
        code=code_of("record_provenance"),
    shell:
        "python -m serflow record_provenance --metrics {input.metrics:q} --clips {input.clips:q}"
        " --splits {input.splits:q} --encoders {input.encoders:q} --benchmarks {params.benchmarks:q} --stages {params.stages:q} --config {params.config:q}"
        " --output {output:q} --log {log:q}"
