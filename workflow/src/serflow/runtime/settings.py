"""Settings and their JSON schema: defaults, types and messages. :mod:`serflow.configuration` knows the settings."""

import contextlib
import datetime
import math
from collections.abc import Iterator, Mapping

from serflow.runtime.errors import UserError, did_you_mean

_SHOWN = 200  # characters of a value in a message


def fill(given, defaults):
    """Return settings in the order of the defaults, completed by them at any depth."""
    if not isinstance(given, Mapping) or not isinstance(defaults, Mapping):
        return given
    return {**defaults, **{key: fill(value, defaults.get(key)) for key, value in given.items()}}


def text_keys(value):
    """Return settings whose keys are text at any depth: YAML reads an unquoted name ``2024`` as a number or date."""
    if isinstance(value, Mapping):
        return {str(key) if _is_plain(key) else key: text_keys(inner) for key, inner in value.items()}
    return [text_keys(inner) for inner in value] if isinstance(value, list) else value


def _is_plain(value) -> bool:
    return type(value) is int or isinstance(value, datetime.date)


def read_scalars(value, schema: Mapping, rules: Mapping | None = None):
    """Convert values to the types that a schema allows, at any depth.

    Snakemake leaves the scalars of a nested ``--config`` value as text: ``models={cnn2d: {epochs: 3}}`` has ``"3"``.
    YAML reads an unquoted folder ``2024`` as a number and ``2024-11-25`` as a date.

    Parameters
    ----------
    value
        The settings, or a part of them.
    schema
        The schema of the settings.
    rules
        The part of the schema for ``value``; by default all of it.
    """
    options = list(_alternatives(schema if rules is None else rules, schema))
    if isinstance(value, Mapping):
        return {key: read_scalars(inner, schema, _rules_of(key, options)) for key, inner in value.items()}
    if isinstance(value, list):
        items = next((option["items"] for option in options if "items" in option), {})
        return [read_scalars(inner, schema, items) for inner in value]
    kinds = {kind for option in options for kind in _as_list(option.get("type", []))}
    if isinstance(value, str):
        known = [name for option in options for name in option.get("enum", [option.get("const")])]
        if value in known or ("string" in kinds and ("null" not in kinds or value not in ("null", "~"))):
            return value
        return _scalar(value)
    text = "string" in kinds and not kinds & {"integer", "number", "boolean"}
    return str(value) if text and _is_plain(value) else value


def _alternatives(rules: Mapping, schema: Mapping) -> Iterator[Mapping]:
    """Yield the schemas that a value may follow: references and alternatives of ``anyOf`` are looked up."""
    if isinstance(rules, Mapping):
        yield rules
        if "$ref" in rules:
            yield from _alternatives(schema["$defs"][rules["$ref"].rpartition("/")[2]], schema)
        for option in rules.get("anyOf", ()):
            yield from _alternatives(option, schema)


def _rules_of(key, options: list) -> Mapping:
    found = [option["properties"][key] for option in options if key in option.get("properties", {})]
    found += [option["additionalProperties"] for option in options if "additionalProperties" in option]
    return next((rules for rules in found if isinstance(rules, Mapping)), {})


def _as_list(value) -> list:
    return value if isinstance(value, list) else [value]


def _scalar(text: str):
    """Read a number, ``true``, ``false`` or ``null`` as YAML does; other text is returned as it is."""
    import yaml

    tag = yaml.SafeLoader("").resolve(yaml.ScalarNode, text, (True, False))
    if tag.rpartition(":")[2] in ("int", "float", "bool", "null"):
        with contextlib.suppress(ValueError):  # a number of thousands of digits stays text, which the schema refuses
            return yaml.constructor.SafeConstructor().construct_object(yaml.ScalarNode(tag, text))
    return text


def check_settings(config: Mapping, schema: Mapping) -> None:
    """Check settings against a JSON schema.

    Raises
    ------
    UserError
        With all faults in one line.
    """
    import jsonschema

    # JSON Schema takes 3.0 for an integer and NaN for a number.
    draft = jsonschema.Draft202012Validator
    types = draft.TYPE_CHECKER.redefine_many({"integer": _is_integer, "number": _is_number})
    validator = jsonschema.validators.extend(draft, type_checker=types)(schema)
    faults = sorted(validator.iter_errors(config), key=lambda fault: list(map(str, fault.path)))
    if faults:
        raise UserError("; ".join(dict.fromkeys(message for fault in faults for message in _messages(fault))))


def _is_integer(checker, value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(checker, value) -> bool:
    return _is_integer(checker, value) or (isinstance(value, float) and math.isfinite(value))


def _messages(fault) -> Iterator[str]:
    from jsonschema.exceptions import best_match

    key = ".".join(map(str, fault.absolute_path)) or "the whole"
    if fault.validator == "additionalProperties":
        known = list(fault.schema.get("properties", {}))
        for name in map(str, fault.instance):
            if name not in known:
                path = ".".join([*map(str, fault.absolute_path), name[:_SHOWN]])
                hint = did_you_mean(name, known) or f"; known here: {', '.join(known)}"
                yield f"config: {path} is not a setting{hint}"
        return
    shown = repr(fault.instance)
    if "description" in fault.schema:
        of_name = "propertyNames" in fault.absolute_schema_path
        what = f": the name {shown[:_SHOWN]}" if of_name else f" is {shown[:_SHOWN]}, but"
        yield f"config: {key}{what} must be {fault.schema['description']}"
        return
    best = best_match([fault])
    known = [name for name in best.validator_value if isinstance(name, str)] if best.validator == "enum" else ()
    message = best.message.replace(repr(best.instance), repr(best.instance)[:_SHOWN])
    yield f"config: {'.'.join(map(str, best.absolute_path)) or key}: {message}{did_you_mean(str(best.instance), known)}"
