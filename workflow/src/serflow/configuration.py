"""The configuration: config.yaml, its schema, and the settings that plug-ins add to both."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from serflow.corpus.copies import NOTEBOOK
from serflow.corpus.labels import labels_by_code
from serflow.corpus.source import SAMPLE
from serflow.encoders.settings import SCHEMA as ENCODERS
from serflow.encoders.settings import check_encoders
from serflow.evaluation.robustness import CONDITIONS, default_settings, settings_schema
from serflow.features import KINDS, lineage
from serflow.models.gradient_settings import check_training
from serflow.models.named import NamedModel, find_model, models_schema, named_models
from serflow.models.search.space import DEFAULTS as OF_A_SEARCH
from serflow.models.search.space import SCHEMA as SEARCH
from serflow.models.search.space import open_searches
from serflow.runtime.errors import UserError
from serflow.runtime.settings import check_settings, fill, read_scalars, text_keys
from serflow.runtime.yaml_files import check_size, read_file
from serflow.splits import PROTOCOLS


def configure(config: Mapping, base: Path, files: Sequence[str | Path] = ()) -> dict:
    """Return the complete configuration, checked.

    Parameters
    ----------
    config
        What the user has set: files and command line together, as Snakemake gives them.
    base
        The folder of the workflow, with ``config.yaml``.
    files
        The user's settings files, whose form is checked.

    Raises
    ------
    UserError
        If a setting is unknown or not valid, or contradicts another.
    """
    for path in files:
        read_file(Path(path))
    defaults = read_file(base / "config.yaml")
    for settings in (config, defaults):
        check_size(settings)
    config = text_keys(config)
    if config.get("corpus", defaults.get("corpus")) == SAMPLE:
        defaults = fill(read_file(base / "config/sample.yaml"), defaults)
    for kind, plugin in KINDS.items():
        if plugin.settings:
            defaults[kind] = fill(defaults.get(kind, {}), _defaults(plugin.settings))
    defaults["robustness"] = fill(defaults.get("robustness", {}), default_settings())
    models, searches = config.get("models"), defaults.get("search", {})
    for name, section in models.items() if isinstance(models, Mapping) else ():
        if isinstance(section, Mapping) and ("features" in section or section.get("architecture", name) != name):
            defaults["models"].pop(name, None)  # the defaults of another architecture, or of other features
            searches = {key: search for key, search in searches.items() if search["model"] != name}
    defaults["search"] = _default_searches(config.get("search"), searches)
    config = fill(config, defaults)
    schema = read_schema(base / "workflow/schemas/config.schema.yaml", config.get("models"))
    config = read_scalars(config, schema)
    check_settings(config, schema)
    config["labels"] = labels_by_code(config["labels"])
    for name, model in named_models(config["models"]).items():
        if name in config["models"]:
            config["models"][name] = fill(config["models"][name], dict(model.settings))
    _check_pairs(config)
    return config


def read_schema(path: Path, models: Mapping) -> dict:
    """Return the schema of the configuration with the settings of plug-ins.

    Parameters
    ----------
    path
        ``config.schema.yaml``.
    models
        The section ``models``, whose names stand for architectures with different settings.
    """
    import yaml

    schema = yaml.safe_load(path.read_text(encoding="utf-8"))
    sections = schema["properties"]
    for kind, plugin in KINDS.items():
        if plugin.settings:
            rules = {"type": "object", "additionalProperties": False, "properties": plugin.settings}
            sections[kind] = rules | {"required": list(plugin.settings)}
    sections["encoders"], sections["search"] = ENCODERS, SEARCH
    sections["robustness"] = settings_schema(list(PROTOCOLS))
    sections["models"] = models_schema(models)
    for rules in (sections["runs"]["items"], sections["search"]["additionalProperties"]):
        rules["properties"]["protocol"] = {"enum": list(PROTOCOLS)}
    return schema


def _defaults(settings: Mapping[str, Mapping]) -> dict:
    return {name: rule["default"] for name, rule in settings.items() if "default" in rule}


def _default_searches(given, defaults: Mapping) -> dict:
    """Return the defaults of the section ``search``; with searches of the user, those of others are left out."""
    if not isinstance(given, Mapping):
        return dict(defaults)
    found = {}
    for name, section in given.items():
        found[name] = {**OF_A_SEARCH, **defaults.get(name, {})}
        if isinstance(section, Mapping) and "space" in section:
            found[name].pop("space", None)
    return found


def _check_pairs(config: Mapping) -> None:
    """Check what a single setting does not show.

    Raises
    ------
    UserError
        For the first settings that contradict each other.
    """
    for kind, section in config["augment"].items():
        if isinstance(section, Mapping) and "low" in section and section["low"] > section["high"]:
            low, high = section["low"], section["high"]
            raise UserError(f"config: augment.{kind}.low is {low}, above augment.{kind}.high ({high})")
    if config["split"]["test"] + config["split"]["valid"] >= 1:
        raise UserError("config: split.test and split.valid leave nothing to train on: their sum must be below 1")
    limits = config["catalog"]["audit"]
    if limits["min_seconds"] >= limits["max_seconds"]:
        raise UserError("config: catalog.audit.min_seconds must be below catalog.audit.max_seconds")
    check_encoders(config["encoders"])
    models, first, kinds = named_models(config["models"]), {}, set()
    for name, model in models.items():
        check_training(name, model.settings)
    searches = open_searches(config["search"], models)
    for name, search in searches.items():
        for trial in search.trials:
            _check_model(config, f"{search.model} (search.{name})", trial)
            kinds.update(lineage(trial.features))
    models |= {name: models[search.model] for name, search in searches.items()}
    for number, run in enumerate(config["runs"]):
        for name in PROTOCOLS[run["protocol"]].settings:
            if config["split"][name] is None:
                raise UserError(
                    f"config: runs.{number}.protocol is {run['protocol']!r}, which needs split.{name}; set it"
                )
        for name, seed in itertools.product(run["models"], run["seeds"]):
            model = find_model(models, name, f"config: runs.{number}.models")
            for member in model.members or [name]:
                _check_model(config, member, find_model(models, member, f"config: models.{name}.members"))
                kinds.update(lineage(models[member].features))
            before = first.setdefault((run["protocol"], name, seed), number)
            if before != number or run["models"].count(name) > 1 or run["seeds"].count(seed) > 1:
                raise UserError(
                    f"config: runs.{number} names {run['protocol']}, {name}, seed {seed} again; name each run once"
                )
    for name in config["robustness"]["conditions"]:
        if "check_settings" in CONDITIONS[name].functions:
            CONDITIONS[name].load().check_settings(config["robustness"][name])
    for kind in sorted(kinds):
        if "check_settings" in KINDS[kind].functions:
            KINDS[kind].load().check_settings(config)


def _check_model(config: Mapping, name: str, model: NamedModel) -> None:
    """Check a model that is trained against other sections of the configuration."""
    if model.members:
        raise UserError(f"config: models.{name} is an ensemble, and cannot be a member of another")
    encoder = model.settings.get("encoder")
    if encoder and encoder not in config["encoders"]:
        raise UserError(
            f"config: models.{name}.encoder is {encoder!r}, but encoders has: {', '.join(config['encoders'])}"
        )
    for copy in model.copies:
        if copy not in NOTEBOOK and not config["augment"][copy]["clips"]:
            raise UserError(f"config: models.{name}.copies names {copy}, but augment.{copy}.clips is 0")
