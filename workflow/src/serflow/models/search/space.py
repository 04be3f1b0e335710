"""The section ``search`` of the configuration, and the trials that are drawn from it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from serflow.corpus.copies import generator_of
from serflow.models.gradient_settings import check_training
from serflow.models.named import NamedModel, find_model, model_rules
from serflow.runtime.errors import UserError, did_you_mean
from serflow.runtime.settings import check_settings

# Validation speakers cannot judge between these: one uses more of a speaker than the other, or they come after it. All
# trials read the same features.
NOT_SEARCHED = ("standardize", "refit", "features")
_NUMBER = {"type": "number", "minimum": -1000000000, "maximum": 1000000000}
_CHOICE = {
    "description": "{choices: [...]}, or {low: ..., high: ...} with log: true for a logarithmic range",
    "type": "object",
    "additionalProperties": False,
    "anyOf": [{"required": ["choices"]}, {"required": ["low", "high"]}],
    "properties": {
        "choices": {"type": "array", "minItems": 1},
        "low": _NUMBER,
        "high": _NUMBER,
        "log": {"type": "boolean"},
    },
}
SCHEMA = {
    "type": "object",
    "propertyNames": {
        "description": "letters, digits, hyphens and underscores, at most 100",
        "pattern": r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}\Z",
    },
    "additionalProperties": {
        "type": "object",
        "additionalProperties": False,
        "required": ["model", "protocol", "trials", "seed", "folds", "rungs", "keep", "space"],
        "properties": {
            "model": {"type": "string"},
            "protocol": {"type": "string"},
            "trials": {"type": "integer", "minimum": 1, "maximum": 10000},
            "seed": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
            "folds": {
                "description": "null, or a list of numbers of folds, from 0",
                "anyOf": [
                    {"type": "null"},
                    {
                        "type": "array",
                        "minItems": 1,
                        "uniqueItems": True,
                        "items": {"type": "integer", "minimum": 0, "maximum": 9999},
                    },
                ],
            },
            "rungs": {
                "description": "a list of numbers of epochs, each above the one before",
                "type": "array",
                "items": {"type": "integer", "minimum": 1, "maximum": 1000000},
            },
            "keep": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            "space": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": _CHOICE,
            },
        },
    },
}
DEFAULTS = {"protocol": "speaker-independent", "trials": 12, "seed": 0, "folds": None, "rungs": [], "keep": 0.34}
_TRIES = 100  # numbers that are drawn for a trial before the space counts as exhausted


@dataclass(frozen=True)
class Search:
    """A search, and the models that it tries: ``trials[0]`` is the model as it is, the others are drawn.

    ``epochs`` are those after which trials are compared; the last is None, the end of the training.
    """

    model: str
    protocol: str
    seed: int
    epochs: list[int | None]
    keep: float
    space: Mapping
    trials: list[NamedModel]


def open_searches(section: Mapping[str, Mapping], models: Mapping[str, NamedModel]) -> dict[str, Search]:
    """Return all searches by name.

    Parameters
    ----------
    section
        The section ``search`` of the configuration, which fits :data:`SCHEMA`.
    models
        All models by name.

    Raises
    ------
    UserError
        If a search has the name of a model, or its space does not fit the model.
    """
    return {name: _open(f"config: search.{name}", name, found, models) for name, found in section.items()}


def _open(where: str, name: str, section: Mapping, models: Mapping[str, NamedModel]) -> Search:
    if name in models:
        raise UserError(f"{where}: a model has this name already; rename the search")
    model = find_model(models, section["model"], f"{where}.model")
    if model.members:
        raise UserError(f"{where}.model is an ensemble; search the settings of its members")
    if section["rungs"] and not model.by_gradient:
        raise UserError(f"{where}.rungs needs a model that is trained in epochs, which {section['model']} is not")
    if section["rungs"] != sorted(set(section["rungs"])):
        raise UserError(f"{where}.rungs is {section['rungs']}, but each number must be above the one before")
    rules = model_rules(model.architecture, model.settings)
    _check(name, section["space"], rules)
    trials, seen = [model], {repr(model.settings)}
    for number in range(1, _TRIES * section["trials"]):
        if len(trials) == section["trials"]:
            break
        drawn = {
            setting: _draw(choice, rules[setting], generator_of(section["seed"], number, setting))
            for setting, choice in section["space"].items()
        }
        settings = {**model.settings, **drawn}
        if repr(settings) not in seen:
            seen.add(repr(settings))
            check_training(f"{section['model']} (search.{name})", settings)
            trials.append(NamedModel(model.architecture, settings))
    kept = {key: section[key] for key in ("model", "protocol", "seed", "keep", "space")}
    return Search(**kept, epochs=[*section["rungs"], None], trials=trials)


def _check(name: str, space: Mapping[str, Mapping], rules: Mapping) -> None:
    """Raise ``UserError`` if a choice is none, or has a value that its setting may not have."""
    for setting, choice in space.items():
        where = f"config: search.{name}.space.{setting}"
        if setting in NOT_SEARCHED:
            raise UserError(f"{where} cannot be searched; make a search for each value")
        if setting not in rules:
            raise UserError(f"{where} is not a setting of the model{did_you_mean(setting, rules)}")
        if "choices" in choice and len(choice) > 1:
            raise UserError(f"{where} has both choices and a range")
        if "low" in choice and (choice["low"] > choice["high"] or (choice.get("log") and choice["low"] <= 0)):
            raise UserError(f"{where}: low must not be above high, and with log: true it must be above 0")
    schema = {
        "properties": {
            setting: {
                "properties": {"choices": {"items": rules[setting]}, "low": rules[setting], "high": rules[setting]}
            }
            for setting in space
        }
    }
    for key in ("space", name, "search"):
        schema = {"properties": {key: schema}}
    check_settings({"search": {name: {"space": space}}}, schema)


def _draw(choice: Mapping, rule: Mapping, random: np.random.Generator):
    """Return a value of a choice, uniform, or uniform in its logarithm."""
    if "choices" in choice:
        return choice["choices"][random.integers(len(choice["choices"]))]
    low, high = choice["low"], choice["high"]
    if rule.get("type") == "integer":
        if choice.get("log"):
            return min(high, round(math.exp(random.uniform(math.log(low), math.log(high)))))
        return int(random.integers(low, high, endpoint=True))
    drawn = math.exp(random.uniform(math.log(low), math.log(high))) if choice.get("log") else random.uniform(low, high)
    return min(max(float(f"{drawn:.3g}"), low), high)  # three digits, which people can read and repeat
