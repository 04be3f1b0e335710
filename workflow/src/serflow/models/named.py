"""Named models: architectures with settings, as the configuration lists them under ``models``."""

from collections.abc import Mapping
from dataclasses import dataclass

from serflow.corpus.copies import KINDS as COPY_KINDS
from serflow.corpus.copies import NOTEBOOK
from serflow.corpus.ids import corpus_of, speaker_of
from serflow.features import KINDS, from_recordings
from serflow.models.architectures import ARCHITECTURES
from serflow.models.gradient_settings import gradient_rules
from serflow.runtime.errors import UserError, did_you_mean
from serflow.runtime.plugins import Plugin
from serflow.splits import PROTOCOLS

NONE, TRAINING = "none", "training"
GROUPS = {"corpus": corpus_of, "speaker": speaker_of}  # ways to standardise by groups → group of a clip
# Settings of every model, in addition to those of its architecture, which may give them other defaults.
COMMON = {
    "standardize": {"enum": [NONE, TRAINING, *GROUPS], "default": TRAINING},
    "copies": {
        "description": f"a list of kinds of copies, of {', '.join(COPY_KINDS)}",
        "type": "array",
        "uniqueItems": True,
        "items": {"enum": list(COPY_KINDS)},
        "default": list(NOTEBOOK),
    },
}
# In place of copies above, for features that are looked up.
NO_COPIES = {"copies": {"description": "[]: copies are in no table", "type": "array", "maxItems": 0, "default": []}}
ENCODER = {"encoder": {"type": "string", "default": "whisper-tiny.en"}}  # of those that read embeddings
# Not a file in architectures/, since it has no network: serflow.models.ensemble combines the members' predictions.
ENSEMBLE = Plugin(
    "ensemble",
    "serflow.models.ensemble",
    frozenset(),
    {
        "features": None,
        "settings": {
            "members": {
                "description": "a list of names of models, each once",
                "type": "array",
                "minItems": 1,
                "uniqueItems": True,
                "items": {"type": "string"},
            },
            "seeds": {
                "description": "a list of seeds of the members; empty: the seed of the ensemble",
                "type": "array",
                "uniqueItems": True,
                "items": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
                "default": [],
            },
        },
    },
)


@dataclass(frozen=True)
class NamedModel:
    """An architecture with settings, of which ``settings`` has every one, with the defaults filled in."""

    architecture: Plugin
    settings: Mapping

    @property
    def features(self) -> str | None:
        """The kind of features that the model reads; None for an ensemble."""
        return features_of(self.architecture, self.settings)

    @property
    def by_gradient(self) -> bool:
        """Whether Keras trains the model."""
        return "build" in self.architecture.functions and "fit" not in self.architecture.functions

    @property
    def copies(self) -> list[str]:
        """The kinds of copies that the model is trained on."""
        return self.settings.get("copies", [])

    @property
    def adapted(self) -> str | None:
        """What the model is adapted to by unlabelled recordings, a corpus or a speaker, if it is."""
        standardize = self.settings.get("standardize")
        return standardize if standardize in GROUPS else None

    @property
    def members(self) -> list[str]:
        """Names of the models whose probabilities the model averages, if it is an ensemble."""
        return self.settings.get("members", [])


def models_schema(models: Mapping) -> dict:
    """Return the JSON Schema of the section ``models``.

    Parameters
    ----------
    models
        The section itself: the architecture that a name stands for decides which settings it may have.

    Raises
    ------
    UserError
        If a name stands for no architecture, or the constants of an architecture are not valid.
    """
    schemas, sections = {}, models if isinstance(models, Mapping) else {}
    for name, architecture in _architectures(sections).items():
        rules = model_rules(architecture, sections.get(name, {}))
        schemas[name] = {
            "type": "object",
            "additionalProperties": False,
            "required": [setting for setting, rule in rules.items() if "default" not in rule],
            "properties": {"architecture": {"type": "string"}, **rules},
        }
    names = {
        "description": "letters, digits, hyphens and underscores, at most 100",
        "pattern": r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}\Z",
    }
    return {"type": "object", "propertyNames": names, "properties": schemas}


def named_models(models: Mapping[str, Mapping]) -> dict[str, NamedModel]:
    """Return all models by name, with the errors of :func:`models_schema`; each architecture is also a model.

    Parameters
    ----------
    models
        The section ``models`` of the configuration. Settings that are left out have the defaults of the architecture.
    """
    found = {}
    for name, architecture in _architectures(models).items():
        section = models.get(name, {})
        settings = {k: rule["default"] for k, rule in model_rules(architecture, section).items() if "default" in rule}
        settings |= {key: value for key, value in section.items() if key != "architecture"}
        found[name] = NamedModel(architecture, settings)
    return found


def _architectures(models: Mapping) -> dict[str, Plugin]:
    found = dict(ARCHITECTURES.items())
    for name, section in models.items():
        architecture = section.get("architecture", name) if isinstance(section, Mapping) else name
        if architecture == ENSEMBLE.name:
            found[name] = ENSEMBLE
        else:
            found[name] = ARCHITECTURES.find(str(architecture), f"config: models.{name}")
    return found


def features_of(architecture: Plugin, settings: Mapping) -> str | None:
    """Return the kind of features that a model of an architecture reads with some settings."""
    return settings.get("features", architecture.features)


def model_rules(architecture: Plugin, section: Mapping) -> dict[str, dict]:
    """Return the JSON Schema rule of each setting of a model.

    Parameters
    ----------
    architecture
        Its architecture.
    section
        Its section of the configuration: the features that it reads decide which settings it has.
    """
    file, rules = f"{architecture.name}.py", architecture.settings
    if architecture is ENSEMBLE:
        return rules
    if architecture.features not in KINDS:
        raise UserError(f"{file}: FEATURES must name what the model reads, one of {', '.join(KINDS)}")
    if not isinstance(rules, dict) or not all(isinstance(rule, dict) for rule in rules.values()):
        raise UserError(f'{file}: SETTINGS must give each setting a rule, such as {{"units": {{"type": "integer"}}}}')
    kind, of_features = architecture.features, {}
    if architecture.vectors:
        vectors = [name for name, plugin in KINDS.items() if not plugin.time]
        of_features = {"features": {"enum": vectors, "default": kind}}
        if isinstance(section, Mapping) and section.get("features") in vectors:
            kind = section["features"]
    of_features |= ENCODER if KINDS[kind].encoder else {}
    of_features |= {} if from_recordings(kind) else NO_COPIES
    more = {} if "fit" in architecture.functions else gradient_rules(architecture)
    rules = {**COMMON, **of_features, **more, **rules}
    for name, default in architecture.defaults.items():
        if name not in rules:
            raise UserError(f"{file}: DEFAULTS names {name!r}, but the settings are {', '.join(rules)}")
        rules[name] = {**rules[name], "default": default}
    return rules


def find_model(models: Mapping[str, NamedModel], name: str, where: str) -> NamedModel:
    """Return a model by name, or raise ``UserError``; ``where`` names the setting in the message."""
    if name not in models:
        raise UserError(f"{where} names {name!r}, but models has: {', '.join(models)}{did_you_mean(name, models)}")
    return models[name]


def training_settings(model: NamedModel, protocol: str) -> dict:
    """Return the settings that a model is trained with under a protocol."""
    forced = PROTOCOLS[protocol].forces if model.by_gradient else {}
    copies = [kind for kind in model.copies if kind in PROTOCOLS[protocol].copies]
    return {**model.settings, **forced, "copies": copies}
