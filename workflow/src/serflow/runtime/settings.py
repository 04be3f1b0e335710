"""Checking the configuration: each message names the key, the value and what is allowed."""

import contextlib
import itertools
import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path

from serflow.features.frame_features import ENERGY, FEATURES
from serflow.models.named import find_model, models_schema, named_models
from serflow.runtime.errors import UserError, did_you_mean

_SCALARS = [f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool", "null")]


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
        tag = yaml.SafeLoader("").resolve(yaml.ScalarNode, value, (True, False))
        if tag in _SCALARS:
            # A number of thousands of digits is left as text, which the schema then refuses.
            with contextlib.suppress(ValueError):
                return yaml.constructor.SafeConstructor().construct_object(yaml.ScalarNode(tag, value))
    return value


def with_defaults(config: Mapping, defaults: Path) -> dict:
    """Take the settings that a configuration lacks, at any depth, from a YAML file."""
    import yaml

    def fill(given, usual):
        if not isinstance(given, Mapping) or not isinstance(usual, Mapping):
            return given
        return {**usual, **{key: fill(value, usual.get(key)) for key, value in given.items()}}

    return fill(config, yaml.safe_load(defaults.read_text(encoding="utf-8")))


def check_file(path: Path) -> None:
    """Check that a settings file can be read, and that no key is given twice: YAML would take the last in silence.

    Raises
    ------
    UserError
        With the line.
    """
    import yaml

    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise UserError(f"{path}: must hold settings, a key and a value each, like 'shards: 4'")
        if (twice := _given_twice(node)) is not None:
            raise UserError(
                f"{path}, line {twice.start_mark.line + 1}: {twice.value} is given twice; remove one of them"
            )
        loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{path}{line}: not valid YAML ({error.problem}); mind indentation and brackets") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid YAML ({str(error).splitlines()[0]})") from error


def _given_twice(node):
    """Find a key that stands twice in one mapping; give its node."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        keys = [(key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for number, (key, below) in enumerate(node.value):
            if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in keys[:number]:
                return key
            if (twice := _given_twice(below)) is not None:
                return twice
    elif isinstance(node, yaml.SequenceNode):
        return next((twice for below in node.value if (twice := _given_twice(below)) is not None), None)
    return None


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
    faults = sorted(_checker(schema, config).iter_errors(config), key=lambda fault: list(fault.path))
    if faults:
        raise UserError("; ".join(dict.fromkeys(message for fault in faults for message in _messages(fault))))
    _check_pairs(config)


def read_schema(path: Path, models: Mapping = {}) -> dict:
    """Read the schema of the configuration, and put in what files beside it in the package add to it.

    These are the settings of each model, as its file has them, and the names of the frame features.
    """
    import yaml

    schema = yaml.safe_load(path.read_text(encoding="utf-8"))
    schema["properties"]["models"] = models_schema(models)
    schema["properties"]["frames"]["properties"]["features"]["items"] = {"enum": list(FEATURES)}
    return schema


def _checker(schema: Path, config: Mapping):
    """Make the validator of a schema.

    JSON Schema takes 3.0 for an integer, which range() does not, and NaN for a number, which no bound holds.
    """
    import jsonschema

    draft = jsonschema.Draft202012Validator
    kinds = draft.TYPE_CHECKER.redefine_many({"integer": _is_integer, "number": _is_number})
    return jsonschema.validators.extend(draft, type_checker=kinds)(read_schema(schema, config.get("models")))


def _is_integer(checker, value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(checker, value) -> bool:
    return _is_integer(checker, value) or (isinstance(value, float) and math.isfinite(value))


def _shown(value) -> str:
    """Write a value as it would stand in YAML, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str, skipkeys=True)
    return text if len(text) <= 200 else f"{text[:200]}…"


def runs_on(config: Mapping, corpora: Collection[str]) -> list[Mapping]:
    """Give the configured runs; on several corpora also ``cross-corpus``, as the last of them, where none is listed."""
    runs = config["runs"]
    if len(corpora) < 2 or any(run["protocol"] == "cross-corpus" for run in runs):
        return runs
    return [*runs, {**runs[-1], "protocol": "cross-corpus"}]


def _messages(fault) -> list[str]:
    key = ".".join(str(part) for part in fault.absolute_path)
    value = _shown(fault.instance)
    if fault.validator == "additionalProperties":
        known = list(fault.schema.get("properties", {}))
        return [_unknown(key, name, known) for name in fault.instance if name not in known]
    if fault.validator == "required":
        missing = [name for name in fault.validator_value if name not in fault.instance]
        return [f"config: {'.'.join(filter(None, (key, name)))} is missing" for name in missing]
    nearest = did_you_mean(fault.instance, fault.validator_value) if _is_word(fault) else ""
    return [f"config: {key or 'the whole'} is {value}, but must be {_allowed(fault.schema)}{nearest}"]


def _is_word(fault) -> bool:
    return fault.validator == "enum" and isinstance(fault.instance, str)


def _unknown(section: str, name: str, known: list[str]) -> str:
    name = str(name) if len(str(name)) <= 200 else f"{str(name)[:200]}…"
    hint = did_you_mean(name, known) or f"; known here: {', '.join(known)}"
    return f"config: {'.'.join(filter(None, (section, name)))} is no setting{hint}"


def _allowed(schema: Mapping) -> str:
    """Say in words what a schema allows."""
    if "description" in schema:
        return schema["description"]
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
    bounds = " and ".join(words_.format(schema[key]) for key, words_ in limits.items() if key in schema)
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words} {bounds}".rstrip()


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
    mel = config["mel"]
    if mel["n_mels"] > mel["n_fft"] // 2 + 1:
        raise UserError(
            f"config: mel.n_mels is {mel['n_mels']}, more bands than mel.n_fft ({mel['n_fft']}) has frequencies: "
            f"at most {mel['n_fft'] // 2 + 1}, or raise mel.n_fft"
        )
    models, named = named_models(config["models"]), {}
    for number, run in enumerate(config["runs"]):
        if run["protocol"] == "custom" and not config["split"]["table"]:
            raise UserError(f"config: runs.{number}.protocol is 'custom': set split.table to the CSV with your split")
        for model in run["models"]:
            reads = find_model(models, model, f"config: runs.{number}.models").features
            if reads == "functionals" and ENERGY not in config["frames"]["features"]:
                raise UserError(
                    f"config: frames.features lacks {ENERGY!r}, which the functionals that {model} reads need, to tell "
                    f"a clip from the silence after it: add {ENERGY}, or leave {model} out of runs.{number}.models"
                )
        for model, seed in itertools.product(run["models"], run["seeds"]):
            first = named.setdefault((run["protocol"], model, seed), number)
            if first != number or run["models"].count(model) > 1 or run["seeds"].count(seed) > 1:
                raise UserError(
                    f"config: runs.{number} names {run['protocol']}, {model}, seed {seed} again; name each run once"
                )
