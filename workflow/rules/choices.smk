"""What using a model takes from the configuration."""


def preprocessing_of(wildcards):
    """Give the settings of the features that a model reads."""
    section = config["mel"] if MODELS[wildcards.model].features == "mel" else config["frames"]
    return json.dumps({"sampling_rate": config["sampling_rate"]} | section)


def features_of_bundle():
    """Give the modules of the frame features that the bundle may need: another's may have any."""
    return modules_of(FEATURES if config["bundle"] else config["frames"]["features"])


def bundle_to_use(wildcards):
    """Give the bundle that is asked for, or that of the first configured run on speakers that it does not know."""
    if not config["input"]:
        stop(
            UserError("config: input is null, but predict needs a folder of recordings, e.g. --config input=/data/wavs")
        )
    honest = [run for run in RUNS if run.protocol not in LEAKY]
    return config["bundle"] or at(paths.bundle, [*honest, *RUNS][0])
