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
        code=code_of("synthesize_sample"),
    shell:
        "python -m serflow synthesize_sample --folder {params.folder:q} --seed {params.seed} --processes {threads} --log {log:q}"


# The nodes of a cluster often have no way out.
localrules:
    fetch_corpus,


rule fetch_corpus:
    """Put the recordings in place: from a mirror, or out of the archive that the setting audio names."""
    input:
        str(DATA.archive) if DATA.archive else [],
    output:
        [str(path) for path in DATA.metadata.values() if DATA.made and DATA.folder.parent in path.parents],
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
    # No fingerprint of the code, and the settings as a function of the output, which Snakemake does not compare: neither
    # changes the recordings, and a download must not be repeated for it.
    params:
        archive=lambda wildcards, input: f"--archive {shlex.quote(input[0])}" if input else "",
        settings=lambda wildcards, output: json.dumps(config["fetch"]),
        folder=lambda wildcards, output: str(Path(output.manifest).parent),
    shell:
        "python -m serflow fetch_corpus {params.archive} --settings {params.settings:q} --folder {params.folder:q}"
        " --log {log:q}"


rule catalog_clips:
    """Join what is known about every clip, and audit the recordings."""
    input:
        **{name: str(path) for name, path in DATA.metadata.items()},
        indices=collect(paths.recordings_index, shard=SHARDS),
        groups=paths.groups,
    output:
        clips=paths.clips,
        excluded=report(
            paths.excluded, caption="../report/audit.rst", category="Corpus", labels={"shows": "what was left out"}
        ),
        flagged=report(
            paths.flagged, caption="../report/audit.rst", category="Corpus", labels={"shows": "what was flagged"}
        ),
        audit=report(paths.audit, caption="../report/audit.rst", category="Corpus", labels={"shows": "counts"}),
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
        metadata=lambda wildcards, input: [f"--{name}={shlex.quote(input[name])}" for name in DATA.metadata],
        # Dates alone would miss a table that is replaced by an older one.
        contents="" if DATA.made else digest_of(*DATA.metadata.values()),
        policy=config["catalog"]["policy"],
        audit=json.dumps(config["catalog"]["audit"]),
        labels=json.dumps(config["labels"]),
        formats=json.dumps(DATA.formats),
        code=code_of("catalog_clips", *FORMAT_MODULES),
    shell:
        "python -m serflow catalog_clips --indices {input.indices:q} --groups {input.groups:q} {params.metadata} --formats {params.formats:q}"
        " --policy {params.policy} --audit-settings {params.audit:q} --labels {params.labels:q}"
        " --output {output.clips:q} --excluded {output.excluded:q} --flagged {output.flagged:q} --audit {output.audit:q} --log {log:q}"


rule split_clips:
    """Write a protocol as a table, which alone decides the rows that a run may see."""
    input:
        # Not the catalogue, so that new metadata retrains no model.
        indices=collect(paths.recordings_index, shard=SHARDS),
        plans=collect(PLAN, shard=SHARDS),
        table=split_table,
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
        audit=lambda wildcards: json.dumps({} if PROTOCOLS[wildcards.protocol].leaky else config["catalog"]["audit"]),
        labels=json.dumps(config["labels"]),
        settings=lambda wildcards: json.dumps(
            {key: config["split"][key] for key in PROTOCOLS[wildcards.protocol].settings}
        ),
        # Not a function of the input, which Snakemake would not compare.
        contents=lambda wildcards: digest_of(table) if (table := split_table(wildcards)) else "",
        formats=json.dumps(DATA.formats),
        code=lambda wildcards: code_of("split_clips", PROTOCOLS[wildcards.protocol].module, *FORMAT_MODULES),
    shell:
        "python -m serflow split_clips --indices {input.indices:q} --plans {input.plans:q} --audit {params.audit:q}"
        " --labels {params.labels:q} --protocol {wildcards.protocol} --settings {params.settings:q} --formats {params.formats:q}"
        " --output {output:q} --log {log:q}"
