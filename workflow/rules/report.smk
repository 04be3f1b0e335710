"""From measures to figures and the page."""


rule draw_clips:
    """Show a few recordings, drawn at random, for the reader to look at and listen to."""
    input:
        clips=paths.clips,
    output:
        index=paths.drawn_clips,
        pictures=[
            report(
                path,
                caption="../report/clips.rst",
                category="Clips",
                labels={"clip": f"{number:02d}", "shows": "waveform and mel-spectrogram"},
            )
            for number, path in enumerate(drawn_clips("png"))
        ],
        recordings=drawn_clips("wav"),
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
        mel=json.dumps(config["mel"]),
        code=fingerprint("serflow.report.clips"),
    shell:
        "python -m serflow draw_clips --catalog {input.clips:q} --source={params.source:q} --count {params.shown}"
        " --seed {params.seed} --sampling-rate {params.sampling_rate} --mel {params.mel:q}"
        " --index {output.index:q} --log {log:q}"


rule draw_mistakes:
    """Show what the best run was surest of and wrong about, beside what listeners heard: where to look for causes."""
    input:
        evaluation=paths.evaluation,
        metrics=of_runs(paths.metrics),
        predictions=of_runs(paths.predictions),
        clips=paths.clips,
    output:
        index=report(
            paths.mistakes,
            caption="../report/mistakes.rst",
            category="Mistakes",
            labels=labels_of("labels, probabilities and votes"),
        ),
        # How many there are is known from the predictions only.
        drawn=report(
            directory(paths.drawn_mistakes),
            patterns=["mistake{number}.png"],
            caption="../report/mistakes.rst",
            category="Mistakes",
            labels=labels_of("mistake {number}"),
        ),
    log:
        log_of("{selection}draw_mistakes"),
    benchmark:
        benchmark_of("{selection}draw_mistakes")
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, 4),
        runtime=minutes(10),
    params:
        source=SOURCE.text,
        shown=config["report"]["mistakes"],
        sampling_rate=config["sampling_rate"],
        mel=json.dumps(config["mel"]),
        code=fingerprint("serflow.report.mistakes"),
    shell:
        "python -m serflow draw_mistakes --evaluation {input.evaluation:q} --runs {input.metrics:q}"
        " --catalog {input.clips:q} --source={params.source:q} --count {params.shown}"
        " --sampling-rate {params.sampling_rate} --mel {params.mel:q}"
        " --index {output.index:q} --folder {output.drawn:q} --log {log:q}"


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
            labels={"model": "{model}", "seed": "{seed}", "fold": "{fold}", "shows": "learning curves"},
        ),
        confusion=report(
            paths.confusion,
            caption="../report/confusion.rst",
            category="Runs",
            subcategory="{protocol}",
            labels={"model": "{model}", "seed": "{seed}", "fold": "{fold}", "shows": "confusion matrix"},
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
        code=fingerprint("serflow.report.run_charts"),
    shell:
        "python -m serflow draw_run --history {input.history:q} --metrics {input.metrics:q}"
        " --curves {output.curves:q} --confusion {output.confusion:q} --log {log:q}"


rule draw_evaluation:
    """Show how sure the models may be, and what the leak is worth."""
    input:
        evaluation=paths.evaluation,
    output:
        **{
            figure: report(
                paths.drawn.replace("{figure}", figure),
                caption=f"../report/{figure}.rst",
                category="Evaluation",
                labels=labels_of(shows),
            )
            for figure, shows in FIGURES.items()
        },
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
        code=fingerprint("serflow.report.evaluation_charts"),
    shell:
        "python -m serflow draw_evaluation --evaluation {input.evaluation:q} --reliability {output.reliability:q}"
        " --risk-coverage {output.risk_coverage:q} --leakage {output.leakage:q} --log {log:q}"


rule render_report:
    """Put everything that a reader wants to know onto one page, which needs no other file and no network."""
    input:
        audit=paths.audit,
        excluded=paths.excluded,
        length=paths.length,
        clips=paths.drawn_clips,
        drawn_clips=[*drawn_clips("png"), *drawn_clips("wav")],
        mistakes=paths.mistakes,
        drawn_mistakes=paths.drawn_mistakes,
        comparison=paths.comparison,
        evaluation=paths.evaluation,
        provenance=lambda wildcards: provenance_of(wildcards.selection),
        runs=of_runs(paths.metrics),
        training=of_runs(paths.training, paths.history),
    output:
        report(
            paths.report,
            caption="../report/page.rst",
            category="Report",
            labels=labels_of("everything on one page"),
        ),
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
        " --mistakes {input.mistakes:q} --comparison {input.comparison:q}"
        " --evaluation {input.evaluation:q} --provenance {input.provenance:q} --runs {input.runs:q}"
        " --output {output:q} --log {log:q}"
