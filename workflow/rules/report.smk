"""From the evaluation to charts and the page."""


rule draw_clips:
    """Show a few random recordings, for the reader to look at and listen to."""
    input:
        clips=paths.clips,
        samples=collect(paths.recordings, shard=SHARDS),
        indices=collect(paths.recordings_index, shard=SHARDS),
    output:
        index=paths.shown_clips,
        figures=[
            report(
                figure,
                caption="../report/clips.rst",
                category="Clips",
                labels={"clip": f"{number:02d}", "shows": "waveform and mel-spectrogram"},
            )
            for number, figure in enumerate(CLIP_FIGURES)
        ],
        recordings=CLIP_RECORDINGS,
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
        clips=config["report"]["clips"],  # with fewer, none of the pictures would be missing
        seed=config["report"]["seed"],
        sampling_rate=config["sampling_rate"],
        mel=json.dumps(config["mel"]),
        code=code_of("draw_clips"),
    shell:
        "python -m serflow draw_clips --catalog {input.clips:q} --samples {input.samples:q} --indices {input.indices:q} --seed {params.seed}"
        " --sampling-rate {params.sampling_rate} --mel {params.mel:q} --figures {output.figures:q}"
        " --recordings {output.recordings:q} --index {output.index:q} --log {log:q}"


rule draw_mistakes:
    """Show wrong predictions of the headline run, which parts of these clips decide, and what listeners heard in them."""
    input:
        evaluation=paths.evaluation,
        clips=paths.clips,
        samples=collect(paths.recordings, shard=SHARDS),
        indices=collect(paths.recordings_index, shard=SHARDS),
    output:
        index=report(
            paths.mistakes,
            caption="../report/mistakes.rst",
            category="Mistakes",
            labels={"selection": "{selection}", "shows": "labels, probabilities and votes"},
        ),
        # A folder, since their number is only known after the predictions.
        drawn=report(
            directory(paths.shown_mistakes),
            patterns=["mistake{number}.png"],
            caption="../report/mistakes.rst",
            category="Mistakes",
            labels={"selection": "{selection}", "shows": "mistake {number}"},
        ),
    log:
        log_of("draw_mistakes", "{selection}"),
    benchmark:
        benchmark_of("draw_mistakes", "{selection}")
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        sampling_rate=config["sampling_rate"],
        mel=json.dumps(config["mel"]),
        code=code_of("draw_mistakes"),
    shell:
        "python -m serflow draw_mistakes --evaluation {input.evaluation:q}"
        " --catalog {input.clips:q} --samples {input.samples:q} --indices {input.indices:q}"
        " --sampling-rate {params.sampling_rate} --mel {params.mel:q}"
        " --index {output.index:q} --folder {output.drawn:q} --log {log:q}"


rule draw_curves:
    """Show the learning curves of a model that is trained by gradient."""
    input:
        history=paths.history,
        metrics=paths.metrics,
    output:
        report(
            paths.curves,
            caption="../report/curves.rst",
            category="Runs",
            subcategory="{protocol}",
            labels={"model": "{model}", "seed": "{seed}", "fold": "{fold}", "shows": "learning curves"},
        ),
    log:
        log_of("draw_curves", RUN),
    benchmark:
        benchmark_of("draw_curves", RUN)
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        code=code_of("draw_curves"),
    shell:
        "python -m serflow draw_curves --history {input.history:q} --metrics {input.metrics:q} --output {output:q} --log {log:q}"


rule draw_confusion:
    """Show which emotions a run confuses."""
    input:
        metrics=paths.metrics,
    output:
        report(
            paths.confusion,
            caption="../report/confusion.rst",
            category="Runs",
            subcategory="{protocol}",
            labels={"model": "{model}", "seed": "{seed}", "fold": "{fold}", "shows": "confusion matrix"},
        ),
    log:
        log_of("draw_confusion", RUN),
    benchmark:
        benchmark_of("draw_confusion", RUN)
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        code=code_of("draw_confusion"),
    shell:
        "python -m serflow draw_confusion --metrics {input.metrics:q} --output {output:q} --log {log:q}"


rule draw_evaluation:
    """Show how well the models are calibrated, and the effect of leakage."""
    input:
        evaluation=paths.evaluation,
    output:
        reliability=report(
            paths.reliability,
            caption="../report/reliability.rst",
            category="Evaluation",
            labels={"selection": "{selection}", "shows": "reliability diagrams"},
        ),
        risk_coverage=report(
            paths.risk_coverage,
            caption="../report/risk_coverage.rst",
            category="Evaluation",
            labels={"selection": "{selection}", "shows": "risk against coverage"},
        ),
        leakage=report(
            paths.leakage,
            caption="../report/leakage.rst",
            category="Evaluation",
            labels={"selection": "{selection}", "shows": "effect of leakage"},
        ),
    log:
        log_of("draw_evaluation", "{selection}"),
    benchmark:
        benchmark_of("draw_evaluation", "{selection}")
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        code=code_of("draw_evaluation"),
    shell:
        "python -m serflow draw_evaluation --evaluation {input.evaluation:q} --reliability {output.reliability:q}"
        " --risk-coverage {output.risk_coverage:q} --leakage {output.leakage:q} --log {log:q}"


rule render_report:
    """Show all results on one page, which needs no other file and no network."""
    input:
        audit=paths.audit,
        excluded=paths.excluded,
        flagged=paths.flagged,
        length=paths.length,
        clips=paths.shown_clips,
        figures=CLIP_FIGURES,
        recordings=CLIP_RECORDINGS,
        mistakes=paths.mistakes,
        drawn_mistakes=paths.shown_mistakes,
        evaluation=paths.evaluation,
        provenance=paths.provenance,
        metrics=of_runs(paths.metrics),
        training=of_runs(paths.training),
        history=of_runs(paths.history),
        searches=searches_of,
    output:
        report(
            paths.report,
            caption="../report/page.rst",
            category="Report",
            labels={"selection": "{selection}", "shows": "the whole report"},
        ),
    log:
        log_of("render_report", "{selection}"),
    benchmark:
        benchmark_of("render_report", "{selection}")
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, 4),
        runtime=minutes(10),
    params:
        corpus=CORPUS,
        config=lambda wildcards: json.dumps(config),
        code=code_of("render_report", *PROTOCOL_MODULES),
    shell:
        "python -m serflow render_report --corpus {params.corpus} --audit {input.audit:q} --excluded {input.excluded:q}"
        " --flagged {input.flagged:q} --length {input.length:q} --config {params.config:q} --clips {input.clips:q} --figures {input.figures:q}"
        " --recordings {input.recordings:q} --mistakes {input.mistakes:q}"
        " --mistakes-folder {input.drawn_mistakes:q} --evaluation {input.evaluation:q}"
        " --provenance {input.provenance:q} --metrics {input.metrics:q} --training {input.training:q}"
        " --history {input.history:q} --searches {input.searches:q} --output {output:q} --log {log:q}"
