"""Checking the configuration: each message names the key, the value and what is allowed."""

import difflib
import json
from collections.abc import Collection, Mapping
from pathlib import Path

from serflow.errors import UserError


def read_scalars(value):
    """Read numbers, ``true``, ``false`` and ``null`` that are still text, at any depth.

    Snakemake leaves every scalar of a nested ``--config`` value as text: ``models={cnn2d: {epochs: 3}}`` has
    ``"3"``.

    Parameters
    ----------
    value
        A configuration or a part of it.

    Returns
    -------
    object
        The same with scalars read as in config.yaml.
    """
    import yaml

    if isinstance(value, Mapping):
        return {key: read_scalars(below) for key, below in value.items()}
    if isinstance(value, list):
        return [read_scalars(below) for below in value]
    if isinstance(value, str):
        try:
            read = yaml.safe_load(value)
        except yaml.YAMLError:
            return value
        return read if read is None or isinstance(read, int | float) else value
    return value


def check_settings(config: Mapping, schema: Path) -> None:
    """Check a configuration against a JSON schema.

    Parameters
    ----------
    config
        The configuration.
    schema
        A YAML file with the schema.

    Raises
    ------
    UserError
        With every fault, one after the other in one line.
    """
    import jsonschema
    import yaml

    rules = yaml.safe_load(schema.read_text(encoding="utf-8"))
    faults = sorted(jsonschema.Draft202012Validator(rules).iter_errors(config), key=lambda fault: list(fault.path))
    if faults:
        raise UserError("; ".join(dict.fromkeys(message for fault in faults for message in _messages(fault))))
    _check_pairs(config)


def runs_on(config: Mapping, corpora: Collection[str]) -> list[Mapping]:
    """Give the configured runs; on several corpora also ``cross-corpus``, as the last of them, where none is listed."""
    runs = config["runs"]
    if len(corpora) < 2 or any(run["protocol"] == "cross-corpus" for run in runs):
        return runs
    return [*runs, {**runs[-1], "protocol": "cross-corpus"}]


def _messages(fault) -> list[str]:
    key = ".".join(str(part) for part in fault.absolute_path)
    value = json.dumps(fault.instance, ensure_ascii=False, default=str)
    if fault.validator == "additionalProperties":
        known = list(fault.schema.get("properties", {}))
        return [_unknown(key, name, known) for name in fault.instance if name not in known]
    if fault.validator == "required":
        missing = [name for name in fault.validator_value if name not in fault.instance]
        return [f"config: {'.'.join(filter(None, (key, name)))} is missing" for name in missing]
    if fault.validator in ("anyOf", "oneOf"):
        allowed = fault.schema.get("description") or "; or ".join(_allowed(option) for option in fault.validator_value)
    else:
        allowed = _allowed(fault.schema)
    return [f"config: {key} is {value}, but must be {allowed}"]


def _unknown(section: str, name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(str(name), known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(known)}"
    return f"config: {'.'.join(filter(None, (section, str(name))))} is no setting; {hint}"


def _allowed(schema: Mapping) -> str:
    """Say in words what a schema allows."""
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return "one of " + ", ".join(json.dumps(value) for value in schema["enum"])
    kinds = schema.get("type", "value")
    words = " or ".join(kinds) if isinstance(kinds, list) else kinds
    limits = {
        "minimum": "at least {}",
        "exclusiveMinimum": "greater than {}",
        "maximum": "at most {}",
        "exclusiveMaximum": "less than {}",
        "minItems": "with at least {} entries",
        "maxItems": "with at most {} entries",
        "pattern": "matching {}",
    }
    bounds = [words_.format(schema[key]) for key, words_ in limits.items() if key in schema]
    return " ".join([f"an {words}" if words[0] in "aeiou" else f"a {words}", *bounds])


def _check_pairs(config: Mapping) -> None:
    """Check what no single key shows."""
    for kind in ("time_stretch", "pitch_shift"):
        section = config["augment"][kind]
        if section["low"] > section["high"]:
            raise UserError(
                f"config: augment.{kind}.low is {section['low']}, above augment.{kind}.high ({section['high']})"
            )
    if config["split"]["test"] + config["split"]["valid"] >= 1:
        raise UserError("config: split.test and split.valid leave nothing to train on: their sum must be below 1")
    limits = config["catalog"]["audit"]
    if limits["min_seconds"] >= limits["max_seconds"]:
        raise UserError("config: catalog.audit.min_seconds must be below catalog.audit.max_seconds")
    known = set(config["models"])
    for number, run in enumerate(config["runs"]):
        if run["protocol"] == "custom" and not config["split"]["table"]:
            raise UserError(f"config: runs.{number}.protocol is 'custom': set split.table to the CSV with your split")
        unknown = [model for model in run["models"] if model not in known]
        if unknown:
            raise UserError(f"config: runs.{number}.models names {unknown[0]!r}, but models has: {', '.join(known)}")
    filters, kernels = (config["models"]["cnn2d"][key] for key in ("filters", "kernels"))
    if len(filters) != len(kernels):
        raise UserError("config: models.cnn2d.filters and models.cnn2d.kernels must have three entries each")
