"""From recordings to shards of recordings and copies of one length."""


rule read_recordings:
    """Decode each recording once, shard by shard, so that a new clip makes one shard be read again."""
    input:
        listing=paths.listing,
        # Written last by the rule that puts recordings in place.
        made=f"{DATA.folder.parent}/manifest.csv" if DATA.made else [],
    output:
        recordings=paths.recordings,
        index=paths.recordings_index,
    log:
        log_of("read_recordings", "{shard}"),
    benchmark:
        benchmark_of("read_recordings", "{shard}")
    conda:
        "../../envs/audio.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
        # Not a parameter: it decides whether the job succeeds, and nothing of its output. The catalogue applies it again.
        policy=config["catalog"]["policy"],
    params:
        sampling_rate=config["sampling_rate"],
        reading=json.dumps(READING),
        segments=config["segments"],
        code=code_of("read_recordings"),
    shell:
        "python -m serflow read_recordings --listing {input.listing:q} --sampling-rate {params.sampling_rate}"
        " --reading {params.reading:q} --segments {params.segments:q} --policy {resources.policy}"
        " --output {output.recordings:q} --index {output.index:q} --log {log:q}"


rule plan_segments:
    """Plan the copies of segments of speech, which are known only when the recordings of all shards have been read."""
    input:
        collect(paths.recordings_index, shard=SHARDS),
    output:
        collect(paths.plan_of_segments, shard=SHARDS),
    log:
        log_of("plan_segments"),
    benchmark:
        benchmark_of("plan_segments")
    conda:
        "../../envs/audio.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, 20),
        runtime=minutes(10),
    params:
        augment=json.dumps(config["augment"]),
        code=code_of("plan_segments"),
    shell:
        "python -m serflow plan_segments --indices {input:q} --settings {params.augment:q} --plans {output:q} --log {log:q}"


rule augment_audio:
    """Make the augmented copies once, for every protocol: the split table decides which are used."""
    input:
        recordings=paths.recordings,
        index=paths.recordings_index,
        plan=PLAN,
    output:
        samples=paths.augmented,
        index=paths.augmented_index,
    log:
        log_of("augment_audio", "{shard}"),
    benchmark:
        benchmark_of("augment_audio", "{shard}")
    conda:
        "../../envs/audio.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(30),
    params:
        sampling_rate=config["sampling_rate"],
        code=code_of("augment_audio"),
    shell:
        "python -m serflow augment_audio --recordings {input.recordings:q} --index {input.index:q} --plan {input.plan:q}"
        " --sampling-rate {params.sampling_rate} --output {output.samples:q} --output-index {output.index:q} --log {log:q}"


# A checkpoint, so that an unchanged length makes nothing stale: after a plain rule Snakemake would rerun all that follows.
checkpoint measure_length:
    """Choose one length for all clips, one that divides into frames, and record how it was chosen."""
    input:
        collect([paths.recordings_index, paths.augmented_index], shard=SHARDS) if config["length"] == "average" else [],
    output:
        # First: if an output of a checkpoint is missing, Snakemake asks for the first one.
        target=paths.target,
        length=report(
            paths.length, caption="../report/length.rst", category="Corpus", labels={"shows": "the common length"}
        ),
    log:
        log_of("measure_length"),
    benchmark:
        benchmark_of("measure_length")
    conda:
        "../../envs/audio.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, 10),
        runtime=minutes(10),
    params:
        setting=config["length"],
        code=code_of("measure_length"),
    shell:
        "python -m serflow measure_length --indices {input:q} --setting {params.setting} --output {output.length:q}"
        " --target {output.target:q} --log {log:q}"


rule fix_length:
    """Truncate or pad every clip, so that models get inputs of one shape."""
    input:
        samples=[paths.recordings, paths.augmented],
        indices=[paths.recordings_index, paths.augmented_index],
        length=target_length,
    output:
        fixed=paths.fixed,
        index=paths.fixed_index,
    log:
        log_of("fix_length", "{shard}"),
    benchmark:
        benchmark_of("fix_length", "{shard}")
    conda:
        "../../envs/audio.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, 1),
        runtime=minutes(20),
    params:
        copies=FIXED_COPIES,
        code=code_of("fix_length"),
    shell:
        "python -m serflow fix_length --samples {input.samples:q} --indices {input.indices:q} --length {input.length:q}"
        " --copies {params.copies:q} --output {output.fixed:q} --output-index {output.index:q} --log {log:q}"
