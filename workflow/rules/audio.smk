"""From recordings to shards of originals and copies of one length."""


rule augment_audio:
    """Make the augmented copies once, for every protocol: the split table decides which are used."""
    input:
        scan=paths.scan,
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
        source=SOURCE.text,
        sampling_rate=config["sampling_rate"],
        augment=json.dumps(config["augment"]),
        # The copies that this shard gets, so that a new clip elsewhere does not make it again.
        plan=lambda wildcards: SOURCE.plans[shard_number(wildcards)],
        code=fingerprint("serflow.audio.augment", *SOURCE.modules),
    shell:
        "python -m serflow augment_audio --scan {input.scan:q} --augment {params.augment:q} --source={params.source:q}"
        " --sampling-rate {params.sampling_rate} --output {output.samples:q} --index {output.index:q} --log {log:q}"


# A checkpoint, since what follows depends on what it finds: a new clip makes it run again, and a length that has not
# changed makes nothing stale. Of a plain rule Snakemake would rerun all that follows.
checkpoint measure_length:
    """Choose one length for all clips, one that divides into frames, and write down how it came about."""
    input:
        collect(paths.augmented_index, shard=SHARDS) if config["length"] == "average" else [],
    output:
        # First, since of a checkpoint whose results are not all there Snakemake asks for the first, in place of it.
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
        code=fingerprint("serflow.audio.length"),
    shell:
        "python -m serflow measure_length --indices {input:q} --setting {params.setting} --output {output.length:q}"
        " --target {output.target:q} --log {log:q}"


rule fix_length:
    """Truncate or pad every clip, so that models get inputs of one shape; labels go by name and are never lost."""
    input:
        samples=paths.augmented,
        index=paths.augmented_index,
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
        code=fingerprint("serflow.audio.length"),
    shell:
        "python -m serflow fix_length --samples {input.samples:q} --index {input.index:q} --length {input.length:q}"
        " --output {output.fixed:q} --output-index {output.index:q} --log {log:q}"
