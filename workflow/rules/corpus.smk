"""From recordings to the catalogue and the split tables."""


# The sample is made, and nothing fetched for it.
ruleorder: synthesize_sample > fetch_corpus


rule synthesize_sample:
    """Make the built-in corpus, so that a fresh machine without recordings has something to run on."""
    output:
        f"{SAMPLE_FOLDER}/manifest.csv",
        f"{SAMPLE_FOLDER}/metadata/VideoDemographics.csv",
    log:
        log_of("synthesize_sample"),
    benchmark:
        benchmark_of("synthesize_sample")
    conda:
        "../../envs/audio.yaml"
    threads: 2
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        folder=lambda wildcards, output: str(Path(output[0]).parent),
        seed=config["sample"]["seed"],
        code=fingerprint("serflow.corpus.sample"),
    shell:
        "python -m serflow synthesize_sample --folder {params.folder:q} --seed {params.seed} --processes {threads} --log {log:q}"


# The nodes of a cluster often have no way out.
localrules:
    fetch_corpus,


rule fetch_corpus:
    """Bring the recordings, so that no user has to find out where from: a mirror, or the archive that audio names."""
    input:
        str(SOURCE.pending.archive) if SOURCE.pending and SOURCE.pending.archive else [],
    output:
        brought_with_recordings(),
        manifest=f"{FETCHED_FOLDER}/{CORPUS}/manifest.csv",
    log:
        log_of("fetch_corpus"),
    benchmark:
        benchmark_of("fetch_corpus")
    conda:
        "../../envs/audio.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(240),
    # There is no fingerprint of the code, and the settings are a function of the output, which Snakemake does not
    # compare: neither changes what the recordings are, and a download is not to be repeated for it.
    params:
        archive=lambda wildcards, input: f"--archive {shlex.quote(input[0])}" if input else "",
        settings=lambda wildcards, output: json.dumps(config["fetch"]),
        folder=lambda wildcards, output: str(Path(output.manifest).parent),
    shell:
        "python -m serflow fetch_corpus {params.archive} --settings {params.settings:q} --folder {params.folder:q}"
        " --log {log:q}"


rule scan_recordings:
    """Read each recording once, shard by shard, so that a new clip makes one shard be read again."""
    input:
        f"{SOURCE.folder.parent}/manifest.csv" if SOURCE.made else [],
    output:
        paths.scan,
    log:
        log_of("scan_recordings", "{shard}"),
    benchmark:
        benchmark_of("scan_recordings", "{shard}")
    conda:
        "../../envs/audio.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
        # No parameter: it decides whether a scan ends well, and nothing that is in one, so changing it makes none stale.
        # The catalogue applies it again.
        policy=config["catalog"]["policy"],
    params:
        source=SOURCE.text,
        shard=shard_number,
        shards=config["shards"],
        listing=lambda wildcards: SOURCE.listings[shard_number(wildcards)],
        code=fingerprint("serflow.audio.scan", *SOURCE.modules),
    shell:
        "python -m serflow scan_recordings --source={params.source:q} --shard {params.shard} --shards {params.shards}"
        " --policy {resources.policy} --output {output:q} --log {log:q}"


rule catalog_clips:
    """Join what is known of every clip, and plan its augmented copies, for all later rules to agree on."""
    input:
        **{name: str(path) for name, path in SOURCE.metadata.items()},
        scans=collect(paths.scan, shard=SHARDS),
    output:
        clips=paths.clips,
        excluded=report(
            paths.excluded, caption="../report/audit.rst", category="Corpus", labels={"shows": "findings of the audit"}
        ),
        audit=report(paths.audit, caption="../report/audit.rst", category="Corpus", labels={"shows": "counts"}),
        copies=paths.copies,
    log:
        log_of("catalog_clips"),
    benchmark:
        benchmark_of("catalog_clips")
    conda:
        "../../envs/audio.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, 10),
        runtime=minutes(10),
    params:
        metadata=lambda wildcards, input: [f"--{name}={shlex.quote(input[name])}" for name in SOURCE.metadata],
        # Their dates alone would miss a table that is replaced by one of an earlier date.
        contents="" if SOURCE.made else digest_of(*SOURCE.metadata.values()),
        policy=config["catalog"]["policy"],
        augment=json.dumps(config["augment"]),
        audit=json.dumps(config["catalog"]["audit"]),
        formats=json.dumps(SOURCE.formats),
        code=fingerprint("serflow.corpus.catalog", *SOURCE.modules),
    shell:
        "python -m serflow catalog_clips --scans {input.scans:q} {params.metadata} --formats {params.formats:q}"
        " --policy {params.policy}"
        " --augment {params.augment:q} --audit-settings {params.audit:q}"
        " --output {output.clips:q} --excluded {output.excluded:q} --audit {output.audit:q}"
        " --copies {output.copies:q} --log {log:q}"


rule split_clips:
    """Write a protocol as a table, which alone decides the rows that a run may see."""
    input:
        # Not the catalogue, so that metadata read anew retrains no model.
        scans=collect(paths.scan, shard=SHARDS),
        table=lambda wildcards: config["split"]["table"] if wildcards.protocol == "custom" else [],
    output:
        paths.split,
    log:
        log_of("split_clips", "{protocol}"),
    benchmark:
        benchmark_of("split_clips", "{protocol}")
    conda:
        "../../envs/audio.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, 20),
        runtime=minutes(10),
    params:
        augment=json.dumps(config["augment"]),
        audit=lambda wildcards: json.dumps({} if wildcards.protocol in LEAKY else config["catalog"]["audit"]),
        settings=lambda wildcards: json.dumps(
            {
                key: value
                for key, value in config["split"].items()
                if (key == "table") == (wildcards.protocol == "custom")
            }
        ),
        contents=lambda wildcards, input: digest_of(input.table) if wildcards.protocol == "custom" else "",
        formats=json.dumps(SOURCE.formats),
        code=fingerprint("serflow.corpus.splits", *SOURCE.modules),
    shell:
        "python -m serflow split_clips --scans {input.scans:q} --augment {params.augment:q} --audit {params.audit:q}"
        " --protocol {wildcards.protocol} --settings {params.settings:q} --formats {params.formats:q}"
        " --output {output:q} --log {log:q}"
