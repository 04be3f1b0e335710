"""From measures to figures and the page."""


rule draw_clips:
    """Show a few recordings, drawn at random, for the reader to look at and listen to."""
    input:
        clips=paths.clips,
    output:
        index=paths.drawn_clips,
        drawn=collect(
            f"{paths.figures}/clip{{number:02d}}.{{kind}}",
            number=range(config["report"]["clips"]),
            kind=["png", "wav"],
        ),
    log:
        log_of("draw_clips"),
    benchmark:
        benchmark_of("draw_clips")
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        source=SOURCE.text,
        shown=config["report"]["clips"],
        seed=config["report"]["seed"],
        sampling_rate=config["sampling_rate"],
        code=fingerprint("serflow.report.figures"),
    shell:
        "python -m serflow draw_clips --catalog {input.clips:q} --source={params.source:q} --count {params.shown}"
        " --seed {params.seed} --sampling-rate {params.sampling_rate}"
        " --index {output.index:q} --log {log:q}"


rule draw_spectrograms:
    """Show a few mel-spectrograms, drawn at random: what the 2D models see."""
    input:
        arrays=collect(paths.mel, shard=SHARDS),
        indices=collect(paths.mel_index, shard=SHARDS),
        scans=collect(paths.scan, shard=SHARDS),
    output:
        index=paths.drawn_mels,
        drawn=collect(f"{paths.figures}/mel{{number:02d}}.png", number=range(config["report"]["spectrograms"])),
    log:
        log_of("draw_spectrograms"),
    benchmark:
        benchmark_of("draw_spectrograms")
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        shown=config["report"]["spectrograms"],
        seed=config["report"]["seed"],
        sampling_rate=config["sampling_rate"],
        hop_length=config["mel"]["hop_length"],
        code=fingerprint("serflow.report.figures"),
    shell:
        "python -m serflow draw_spectrograms --arrays {input.arrays:q} --scans {input.scans:q} --count {params.shown} --seed {params.seed}"
        " --sampling-rate {params.sampling_rate} --hop-length {params.hop_length}"
        " --index {output.index:q} --log {log:q}"


rule draw_run:
    """Show how a run learnt and what it confuses."""
    input:
        history=paths.history,
        metrics=paths.metrics,
    output:
        curves=report(
            paths.curves,
            caption="../report/curves.rst",
            category="Runs",
            subcategory="{protocol}",
            labels={"model": "{model}", "seed": "{seed}", "fold": "{fold}", "figure": "learning curves"},
        ),
        confusion=report(
            paths.confusion,
            caption="../report/confusion.rst",
            category="Runs",
            subcategory="{protocol}",
            labels={"model": "{model}", "seed": "{seed}", "fold": "{fold}", "figure": "confusion matrix"},
        ),
    log:
        log_of("draw_run", RUN),
    benchmark:
        benchmark_of("draw_run", RUN)
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        code=fingerprint("serflow.report.figures"),
    shell:
        "python -m serflow draw_run --history {input.history:q} --metrics {input.metrics:q}"
        " --curves {output.curves:q} --confusion {output.confusion:q} --log {log:q}"


rule draw_evaluation:
    """Show how sure the models may be, and what the leak is worth."""
    input:
        evaluation=paths.evaluation,
    output:
        figures=report(
            collect(paths.drawn, figure=["reliability", "risk_coverage", "leakage"], allow_missing=True),
            caption="../report/evaluation.rst",
            category="Evaluation",
        ),
    log:
        log_of("{selection}draw_evaluation"),
    benchmark:
        benchmark_of("{selection}draw_evaluation")
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        code=fingerprint("serflow.report.evaluation_figures"),
    shell:
        "python -m serflow draw_evaluation --evaluation {input.evaluation:q} --figures {output.figures:q} --log {log:q}"


rule render_report:
    """Put everything that a reader wants to know onto one page, which needs no other file and no network."""
    input:
        audit=paths.audit,
        excluded=paths.excluded,
        length=paths.length,
        clips=paths.drawn_clips,
        drawn_clips=rules.draw_clips.output.drawn,
        spectrograms=paths.drawn_mels,
        drawn_spectrograms=rules.draw_spectrograms.output.drawn,
        comparison=paths.comparison,
        chart=paths.chart,
        evaluation=paths.evaluation,
        drawn_evaluation=rules.draw_evaluation.output.figures,
        provenance=lambda wildcards: provenance_of(wildcards.selection),
        runs=of_runs(paths.metrics),
        training=of_runs(paths.training, paths.history),
        figures=of_runs(paths.curves, paths.confusion),
    output:
        report(paths.report, caption="../report/page.rst", category="Report", labels={"page": "the whole report"}),
    log:
        log_of("{selection}render_report"),
    benchmark:
        benchmark_of("{selection}render_report")
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, 4),
        runtime=minutes(10),
    params:
        corpus=CORPUS,
        config=json.dumps(config),
        code=fingerprint("serflow.report.page"),
    shell:
        "python -m serflow render_report --corpus {params.corpus} --audit {input.audit:q} --excluded {input.excluded:q}"
        " --length {input.length:q} --config {params.config:q} --clips {input.clips:q}"
        " --spectrograms {input.spectrograms:q} --comparison {input.comparison:q} --chart {input.chart:q}"
        " --evaluation {input.evaluation:q} --provenance {input.provenance:q} --runs {input.runs:q}"
        " --output {output:q} --log {log:q}"
