"""From audio to what models read: a rule for each kind of features in serflow/features/."""

# What a kind reads, if not another kind → the samples and their index.
READ = {
    "fixed": (paths.fixed, paths.fixed_index),
    "audio": (audio_of(paths.recordings, paths.augmented), audio_of(paths.recordings_index, paths.augmented_index)),
}

for KIND in KINDS.values():
    FROM_AUDIO, WHICH = KIND.reads == "audio", shard_of(KIND.name)
    SAMPLES, INDEX = READ[KIND.reads] if KIND.reads in READ else (feature_path(KIND.reads), feature_index(KIND.reads))

    rule:
        """Compute one kind of features of a shard."""
        name:
            f"extract_{KIND.name}"
        input:
            samples=SAMPLES,
            index=INDEX,
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
            mem_mb=memory(1000, 1 if KIND.reads == "fixed" else 10),
            runtime=minutes(240 if KIND.encoder else 30),
        params:
            kind=KIND.name,
            settings=json.dumps(kind_settings(KIND.name, config)),
            files=lambda wildcards, input, output: " ".join(
                f"--{option} {shlex.quote(path)}"
                for option, path in [
                    ("copies", wildcards.get("part", "").rstrip("/")),
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
