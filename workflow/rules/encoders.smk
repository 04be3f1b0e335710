"""Pretrained encoders, as ONNX files that any runtime can read."""


# The nodes of a cluster often have no way out.
localrules:
    fetch_encoder,
    export_encoder,


rule fetch_encoder:
    """Put a pretrained encoder in place: from weights that are installed, or from a file or address."""
    input:
        lambda wildcards: encoder_files(config["encoders"][wildcards.encoder]),
    output:
        encoder=paths.encoder,
        description=paths.encoder_description,
    log:
        log_of("fetch_encoder", "{encoder}"),
    benchmark:
        benchmark_of("fetch_encoder", "{encoder}")
    wildcard_constraints:
        encoder=encoders_of(FETCHED),
    conda:
        "../../envs/audio.yaml"
    threads: 1
    resources:
        mem_mb=memory(1500, 4),
        runtime=minutes(60),
    params:
        settings=lambda wildcards: json.dumps(config["encoders"][wildcards.encoder]),
        code=code_of("fetch_encoder"),
    shell:
        "python -m serflow fetch_encoder --encoder {wildcards.encoder} --settings {params.settings:q}"
        " --output {output.encoder:q} --description {output.description:q} --log {log:q}"


rule export_encoder:
    """Put a pretrained encoder in place: from a checkpoint of Hugging Face Transformers, a folder or a model id."""
    input:
        lambda wildcards: encoder_files(config["encoders"][wildcards.encoder]),
    output:
        encoder=paths.encoder,
        description=paths.encoder_description,
    log:
        log_of("export_encoder", "{encoder}"),
    benchmark:
        benchmark_of("export_encoder", "{encoder}")
    wildcard_constraints:
        encoder=encoders_of([EXPORTED]),
    conda:
        "../../envs/encoders.yaml"
    threads: 1
    resources:
        mem_mb=memory(9000),
        runtime=minutes(60),
    params:
        settings=lambda wildcards: json.dumps(config["encoders"][wildcards.encoder]),
        code=code_of("export_encoder"),
    shell:
        "python -m serflow export_encoder --encoder {wildcards.encoder} --settings {params.settings:q}"
        " --output {output.encoder:q} --description {output.description:q} --log {log:q}"
