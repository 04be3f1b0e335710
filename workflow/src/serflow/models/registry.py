"""The models that the workflow knows: the files in :mod:`serflow.models.architectures`.

Such a file has

- ``FEATURES``: what the model reads, ``"frames"``, ``"mel"`` or ``"functionals"``;
- ``SETTINGS``: the rules, in JSON Schema, of its own settings, by name. A rule may have a ``default``. Those of the
  training, :data:`TRAINING`, are added;
- ``build(input_shape, classes, settings)``, which gives a ``keras.Sequential``;
- ``fit(network, train, valid, settings, seed)`` where the model is not trained by gradient. It has no settings but its
  own then.

The first two are read without running the file, so that Snakemake starts as fast with any model.
"""

import ast
import functools
import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from serflow.models import architectures
from serflow.runtime.errors import UserError, did_you_mean

KINDS = ("frames", "mel", "functionals")
# Of every model that is trained by gradient. The rules are those of the schema of the configuration.
TRAINING = {
    "epochs": {"$ref": "#/$defs/epochs", "default": 100},
    "patience": {"type": "integer", "minimum": 0, "maximum": 1000000, "default": 5},
    "min_delta": {"type": "number", "minimum": 0, "maximum": 1000, "default": 0.001},
    "batch_size": {"$ref": "#/$defs/units", "default": 32},
    "learning_rate": {"$ref": "#/$defs/learning_rate", "default": 0.001},
}


@dataclass(frozen=True)
class Architecture:
    """A model.

    Attributes
    ----------
    name
        That of its file and of its section in the configuration.
    features
        What it reads: ``"frames"``, ``"mel"`` or ``"functionals"``.
    settings
        Rules of its settings, by name.
    by_gradient
        Whether Keras trains it. If not, the module's function ``fit`` sets its weights in one go, and the
        features are standardised under every protocol.
    """

    name: str
    features: str
    settings: Mapping[str, Mapping]
    by_gradient: bool

    @property
    def module(self) -> str:
        """The module that builds it."""
        return f"{architectures.__name__}.{self.name}"

    @property
    def defaults(self) -> dict:
        """Values of those settings that may be left out."""
        return {name: rule["default"] for name, rule in self.settings.items() if "default" in rule}

    def build(self, input_shape: tuple[int, ...], classes: int, settings: Mapping):
        """Build the uncompiled Keras model; ``settings`` is its section of the configuration.

        Raises
        ------
        UserError
            If it is no ``keras.Sequential``, to which the standardisation can be put in front.
        """
        import keras

        network = importlib.import_module(self.module).build(input_shape, classes, settings)
        if not isinstance(network, keras.Sequential):
            kind = type(network).__name__
            raise UserError(f"models.{self.name}: build gives a {kind}, but must give a keras.Sequential")
        return network

    def fit(self, network, train: tuple, valid: tuple, settings: Mapping, seed: int) -> None:
        """Set the weights of a model that is not trained by gradient."""
        importlib.import_module(self.module).fit(network, train, valid, settings, seed)


class _Models(Mapping[str, Architecture]):
    """The models by name; a file is read when its model is asked for."""

    def __init__(self, folder: Path):
        self._paths = {name: folder / f"{name}.py" for _, name, _ in pkgutil.iter_modules([str(folder)])}

    def __getitem__(self, name: str) -> Architecture:
        return _read(self._paths[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


MODELS = _Models(Path(architectures.__file__).parent)


@functools.cache
def _read(path: Path) -> Architecture:
    """Read what a file says of its model; ``UserError`` where it is not one of a model."""
    try:
        tree = ast.parse(path.read_bytes())
        constants = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("FEATURES", "SETTINGS")
        }
    except SyntaxError as error:
        raise UserError(f"{path}, line {error.lineno}: not valid Python ({error.msg})") from error
    except ValueError as error:
        raise UserError(f"{path}: FEATURES and SETTINGS must be written out, as they are read, not run") from error
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    features, settings = constants.get("FEATURES"), constants.get("SETTINGS", {})
    if features not in KINDS:
        raise UserError(f"{path}: FEATURES must say what the model reads, one of {', '.join(KINDS)}")
    if not isinstance(settings, dict) or not all(isinstance(rule, dict) for rule in settings.values()):
        raise UserError(f'{path}: SETTINGS must give each setting its rule, such as {{"units": {{"type": "integer"}}}}')
    if "build" not in functions:
        raise UserError(f"{path}: has no function build(input_shape, classes, settings)")
    by_gradient = "fit" not in functions
    return Architecture(path.stem, features, (TRAINING if by_gradient else {}) | settings, by_gradient)


def known_model(name: str, where: str) -> Architecture:
    """Give a model by its name; ``where`` it stands begins the message.

    Raises
    ------
    UserError
        If there is no such model.
    """
    if name not in MODELS:
        known = f"{', '.join(MODELS)}{did_you_mean(name, MODELS)}"
        raise UserError(f"{where} names {name!r}, but models has: {known}")
    return MODELS[name]


def training_settings(model: str, config: Mapping, *, sample: bool) -> dict:
    """Give a model's settings, on the sample within the bounds that it sets to be done in minutes."""
    settings = dict(config["models"][model])
    if sample and MODELS[model].by_gradient:
        bounds = config["sample"]
        settings["epochs"] = min(settings["epochs"], bounds["epochs"] or settings["epochs"])
        settings["batch_size"] = bounds["batch_size"] or settings["batch_size"]
    return settings


def training_threads(model: str, config: Mapping, *, sample: bool) -> int:
    """Give a training its threads; what is done in seconds has one, so that several stand side by side."""
    return 1 if sample or not MODELS[model].by_gradient else config["threads"]["training"]
