"""Robustness conditions: ways in which a recording may differ from those of the corpus. One file each.

A condition has the function ``change(samples, level, rng, scene)``, which returns changed samples, float32, and the
constants

- ``TITLE``: what is changed, in a few words;
- ``KIND``: ``small`` (nobody hears it), ``noise``, ``channel`` or ``room``;
- ``LEVELS``: how strong it is, a list of values of which each is tested by itself: the ``name`` of the setting, the
  ``unit`` of the values, the rule of its ``items`` in JSON Schema, and its ``default``. None if there is one strength;
- ``SETTINGS``: the rules of its other settings, each with a ``default``. All of them are the section of the
  configuration ``robustness.{name}``;
- ``THRESHOLDS``: what a model has to reach: ``unchanged``, the smallest share of unchanged answers, and ``change``, the
  smallest change of UAR. ``levels`` are those that are judged, by default all. All three are settings;
- ``FILES``: that of its settings which names a folder of recordings, or null; a change of these tests again.

``samples`` are a recording as it was read, float32 of shape (samples,), ``rng`` is a NumPy generator that depends on
(seed, clip, condition) alone, and ``scene`` a :class:`Scene`. ``impossible(scene)`` is optional: it returns why the
condition cannot be tested in a fold, or None. ``check_settings(settings)`` is optional, and raises ``UserError``.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from serflow.runtime.plugins import REQUIRED, Plugin, Plugins

if TYPE_CHECKING:  # Snakemake lists the conditions and must start fast
    import numpy as np

CONDITIONS = Plugins(
    __name__,
    what="robustness condition",
    function="change",
    constants={"TITLE": REQUIRED, "KIND": REQUIRED, "LEVELS": None, "SETTINGS": {}, "THRESHOLDS": {}, "FILES": None},
)
UNCHANGED = "unchanged"  # the clips as they are, made and labelled in the same way
_LEAST = {
    "unchanged": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
    "change": {"type": ["number", "null"], "minimum": -1, "maximum": 0},
}
_SEED = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}


class Scene(NamedTuple):
    """What a condition knows beside the clip.

    ``rate`` is the sampling rate in Hz, ``settings`` the condition's, and ``speakers`` the number of test speakers of
    the fold. ``others(rng, count)`` returns up to ``count`` test clips of as many other speakers of the fold.
    """

    rate: int
    settings: Mapping
    speakers: int
    others: "Callable[[np.random.Generator, int], list[np.ndarray]] | None" = None


class Variant(NamedTuple):
    """A condition at one level: its name in tables and files, its title, and the level."""

    name: str
    title: str
    level: float | None


def variants_of(condition: str, settings: Mapping) -> list[Variant]:
    """Return what is tested of a condition with its settings: one variant for each level."""
    if condition == UNCHANGED:
        return [Variant(UNCHANGED, UNCHANGED, None)]
    plugin = CONDITIONS[condition]
    if plugin.levels is None:
        return [Variant(condition, plugin.title, None)]
    return [
        Variant(f"{condition}_{level:g}", f"{plugin.title}, {level:g} {plugin.levels['unit']}", level)
        for level in settings[plugin.levels["name"]]
    ]


def rules_of(plugin: Plugin) -> dict[str, dict]:
    """Return the rules of all settings of a condition, without its thresholds."""
    if plugin.levels is None:
        return dict(plugin.settings)
    levels = {key: plugin.levels[key] for key in ("items", "default")}
    return {plugin.levels["name"]: {"type": "array", "minItems": 1, "uniqueItems": True, **levels}, **plugin.settings}


def default_settings() -> dict[str, dict]:
    """Return the settings of every condition, with its thresholds."""
    return {
        name: {setting: rule["default"] for setting, rule in rules_of(plugin).items()}
        | {"thresholds": dict.fromkeys(_LEAST) | plugin.thresholds}
        for name, plugin in CONDITIONS.items()
    }


def settings_schema(protocols: list[str]) -> dict:
    """Return the rules of the section ``robustness`` of the configuration."""
    run = {
        "protocol": {"enum": protocols},
        "models": {"type": "array", "minItems": 1, "items": {"type": "string"}},
        "seeds": {"type": "array", "minItems": 1, "items": _SEED},
    }
    sections = {}
    for name, plugin in CONDITIONS.items():
        rules = rules_of(plugin)
        levels = {"levels": rules[plugin.levels["name"]]} if "levels" in plugin.thresholds else {}
        sections[name] = _closed(rules | {"thresholds": _closed(_LEAST | levels)})
    return _closed(
        {
            "runs": {"type": "array", "items": _closed(run)},
            "seed": _SEED,
            "conditions": {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"enum": list(CONDITIONS)}},
            **sections,
        }
    )


def _closed(properties: Mapping) -> dict:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": dict(properties),
    }
