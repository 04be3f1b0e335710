"""From predictions to what is known of all runs, and how it came about."""


rule evaluate_runs:
    """Measure all runs by their predictions as a reviewer asks it: intervals, references, groups and pairs."""
    input:
        metrics=of_runs(paths.metrics),
        predictions=of_runs(paths.predictions),
        clips=paths.clips,
    output:
        report(
            paths.evaluation,
            caption="../report/evaluation.rst",
            category="Evaluation",
            labels=labels_of("everything measured"),
        ),
    log:
        log_of("{selection}evaluate_runs"),
    benchmark:
        benchmark_of("{selection}evaluate_runs")
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, 20),
        runtime=minutes(20),
    params:
        settings=json.dumps(config["evaluation"]),
        code=fingerprint("serflow.evaluation.runs"),
    shell:
        "python -m serflow evaluate_runs --runs {input.metrics:q} --clips {input.clips:q}"
        " --settings {params.settings:q} --output {output:q} --log {log:q}"


rule compare_runs:
    """Put all runs beside each other, beside the references and beside the notebook's published figures."""
    input:
        metrics=of_runs(paths.metrics),
        evaluation=paths.evaluation,
    output:
        table=report(
            paths.comparison,
            caption="../report/comparison.rst",
            category="Comparison",
            labels=labels_of("table"),
        ),
        chart=report(
            paths.chart,
            caption="../report/comparison.rst",
            category="Comparison",
            labels=labels_of("chart"),
        ),
    log:
        log_of("{selection}compare_runs"),
    benchmark:
        benchmark_of("{selection}compare_runs")
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        code=fingerprint("serflow.report.evaluation_charts"),
    shell:
        "python -m serflow compare_runs --metrics {input.metrics:q} --evaluation {input.evaluation:q}"
        " --table {output.table:q} --figure {output.chart:q} --log {log:q}"


rule record_provenance:
    """Keep what the results were made of and with, so that they can be made again."""
    input:
        metrics=of_runs(paths.metrics),
        clips=paths.clips,
        splits=lambda wildcards: collect(
            paths.split, protocol=sorted({run.protocol for run in runs_of(selection_of(wildcards))})
        ),
    output:
        paths.provenance,
    log:
        log_of("{place}record_provenance"),
    benchmark:
        benchmark_of("{place}record_provenance")
    conda:
        "../../envs/models.yaml"  # whose versions matter most
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        benchmarks=f"results/{CORPUS}/benchmarks",
        config=json.dumps(config),
        code=fingerprint("serflow.report.provenance"),
    shell:
        "python -m serflow record_provenance --runs {input.metrics:q} --clips {input.clips:q} --splits {input.splits:q}"
        " --benchmarks {params.benchmarks:q} --config {params.config:q} --output {output:q} --log {log:q}"
