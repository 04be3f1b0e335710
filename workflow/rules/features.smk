"""From audio of one length to what the models read."""


rule extract_frames:
    """Measure each frame, by default its zero crossings, energy, MFCC and spectral centroid, for the 1D models."""
    input:
        fixed=paths.fixed,
        index=paths.fixed_index,
        length=target_length,
    output:
        paths.frames,
    log:
        log_of("extract_frames", "{shard}"),
    benchmark:
        benchmark_of("extract_frames", "{shard}")
    conda:
        "../../envs/audio.yaml"
    threads: config["threads"]["features"]
    resources:
        mem_mb=memory(1000, 1),
        runtime=minutes(30),
    params:
        sampling_rate=config["sampling_rate"],
        features=config["frames"]["features"],
        n_mfcc=config["frames"]["n_mfcc"],
        code=fingerprint("serflow.features.frames", *modules_of(config["frames"]["features"])),
    shell:
        "python -m serflow extract_frames --fixed {input.fixed:q} --index {input.index:q} --length {input.length:q}"
        " --sampling-rate {params.sampling_rate} --features {params.features:q} --n-mfcc {params.n_mfcc}"
        " --threads {threads} --output {output:q} --log {log:q}"


rule extract_functionals:
    """Sum up each clip's frame features, for models that know nothing of time."""
    input:
        frames=paths.frames,
        length=target_length,
    output:
        paths.functionals,
    log:
        log_of("extract_functionals", "{shard}"),
    benchmark:
        benchmark_of("extract_functionals", "{shard}")
    conda:
        "../../envs/audio.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, 10),
        runtime=minutes(30),
    params:
        code=fingerprint("serflow.features.functionals"),
    shell:
        "python -m serflow extract_functionals --frames {input.frames:q} --output {output:q} --log {log:q}"


rule extract_mel:
    """Compute log-mel-spectrograms, for the 2D models."""
    input:
        fixed=paths.fixed,
        index=paths.fixed_index,
        length=target_length,
    output:
        mel=paths.mel,
        index=paths.mel_index,
    log:
        log_of("extract_mel", "{shard}"),
    benchmark:
        benchmark_of("extract_mel", "{shard}")
    conda:
        "../../envs/audio.yaml"
    threads: config["threads"]["features"]
    resources:
        mem_mb=memory(1000, 1),
        runtime=minutes(30),
    params:
        sampling_rate=config["sampling_rate"],
        n_mels=config["mel"]["n_mels"],
        n_fft=config["mel"]["n_fft"],
        hop_length=config["mel"]["hop_length"],
        code=fingerprint("serflow.features.mel"),
    shell:
        "python -m serflow extract_mel --fixed {input.fixed:q} --index {input.index:q}"
        " --sampling-rate {params.sampling_rate} --n-mels {params.n_mels} --n-fft {params.n_fft}"
        " --hop-length {params.hop_length} --threads {threads}"
        " --output {output.mel:q} --output-index {output.index:q} --log {log:q}"
