"""From audio to what models read: a rule for each kind of features in serflow/features/."""

# What a kind reads, if not another kind → the samples, or the recordings to look up, and their index.
READ = {
    "fixed": (paths.fixed, paths.fixed_index),
    "names": (paths.recordings_index, []),
    "audio": (audio_of(paths.recordings, paths.augmented), audio_of(paths.recordings_index, paths.augmented_index)),
}

for KIND in KINDS.values():
    WHICH = shard_of(KIND.name)
    SAMPLES, INDEX = READ[KIND.reads] if KIND.reads in READ else (feature_path(KIND.reads), feature_index(KIND.reads))

    rule:
        """Compute one kind of features of a shard."""
        name:
            f"extract_{KIND.name}"
        input:
            samples=SAMPLES,
            index=INDEX,
            length=target_length if KIND.reads not in ("audio", "names") else [],
            encoder=paths.encoder if KIND.encoder else [],
            description=paths.encoder_description if KIND.encoder else [],
            own=files_of(KIND.name),
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
            contents=contents_of(KIND.name),
            code=code_of(f"extract_{KIND.name}", *modules_of_features(KIND.name)),
        shell:
            "python -m serflow extract_{params.kind} --samples {input.samples:q} {params.files}"
            " --settings {params.settings:q} --threads {threads} --output {output.features:q} --log {log:q}"
