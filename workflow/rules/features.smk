"""From clips of one length to what models read: a rule for each kind of features in serflow/features/."""

for KIND in KINDS.values():
    FROM_CLIPS, FROM_AUDIO, WHICH = KIND.reads == "fixed", KIND.reads == "audio", shard_of(KIND.name)

    rule:
        """Compute one kind of features of a shard."""
        name:
            f"extract_{KIND.name}"
        input:
            samples=(
                paths.fixed
                if FROM_CLIPS
                else audio_of(paths.recordings, paths.augmented) if FROM_AUDIO else feature_path(KIND.reads)
            ),
            index=(
                paths.fixed_index
                if FROM_CLIPS
                else (
                    audio_of(paths.recordings_index, paths.augmented_index)
                    if FROM_AUDIO
                    else feature_index(KIND.reads)
                )
            ),
            length=[] if FROM_AUDIO else target_length,
            encoder=paths.encoder if KIND.encoder else [],
            description=paths.encoder_description if KIND.encoder else [],
        output:
            features=feature_path(KIND.name),
            index=feature_index(KIND.name),
        log:
            log_of(f"extract_{KIND.name}", WHICH),
        benchmark:
            benchmark_of(f"extract_{KIND.name}", WHICH)
        conda:
            "../../envs/audio.yaml"
        threads: config["threads"]["features"]
        resources:
            mem_mb=memory(1000, 1 if FROM_CLIPS else 10),
            runtime=minutes(240 if KIND.encoder else 30),
        params:
            kind=KIND.name,
            settings=json.dumps(kind_settings(KIND.name, config)),
            files=lambda wildcards, input, output: " ".join(
                f"--{option} {shlex.quote(path)}"
                for option, path in [
                    ("index", input.index),
                    ("length", input.length),
                    ("encoder", input.encoder),
                    ("description", input.description),
                    ("output-index", output.index),
                ]
                if path
            ),
            code=code_of(f"extract_{KIND.name}", *modules_of_features(KIND.name)),
        shell:
            "python -m serflow extract_{params.kind} --samples {input.samples:q} {params.files}"
            " --settings {params.settings:q} --threads {threads} --output {output.features:q} --log {log:q}"
