"""From clips of one length to what models read: a rule for each kind of features in serflow/features/."""

for KIND in KINDS.values():
    FROM_CLIPS = KIND.reads == "fixed"

    rule:
        """Compute one kind of features of a shard."""
        name:
            f"extract_{KIND.name}"
        input:
            samples=paths.fixed if FROM_CLIPS else feature_path(KIND.reads),
            index=paths.fixed_index if FROM_CLIPS else feature_index(KIND.reads),
            length=target_length,
        output:
            features=feature_path(KIND.name),
            index=feature_index(KIND.name),
        log:
            log_of(f"extract_{KIND.name}", "{shard}"),
        benchmark:
            benchmark_of(f"extract_{KIND.name}", "{shard}")
        conda:
            "../../envs/audio.yaml"
        threads: config["threads"]["features"]
        resources:
            mem_mb=memory(1000, 1 if FROM_CLIPS else 10),
            runtime=minutes(30),
        params:
            kind=KIND.name,
            settings=json.dumps(kind_settings(KIND.name, config)),
            indices=lambda wildcards, input, output: (f"--index {input.index} " if input.index else "")
            + (f"--output-index {output.index}" if output.index else ""),
            code=code_of(f"extract_{KIND.name}", *modules_of_features(KIND.name)),
        shell:
            "python -m serflow extract_{params.kind} --samples {input.samples:q} --length {input.length:q} {params.indices}"
            " --settings {params.settings:q} --threads {threads} --output {output.features:q} --log {log:q}"
