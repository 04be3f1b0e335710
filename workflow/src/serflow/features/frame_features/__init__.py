"""What is measured of each frame: a feature is a file here, and a new file is a new feature.

Such a file has ``compute(frames, settings)``, which gives the feature of each frame of a few clips, of shape (clips,
frames), from a :class:`serflow.audio.framing.FramedClips`. A feature of several columns gives (clips, columns,
frames) and has ``columns(settings)``, which names them; else the column is called as the file. ``settings`` is the
section ``frames`` of the configuration without the list of features.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from types import ModuleType

from serflow.runtime.errors import UserError, did_you_mean

FEATURES = {name: f"{__name__}.{name}" for _, name, _ in pkgutil.iter_modules(__path__)}
ENERGY = "rms"  # by which a clip is told from the silence that it was padded with


def modules_of(names: Iterable[str]) -> list[str]:
    """Give the modules of features, for their fingerprint."""
    return [FEATURES[name] for name in names]


def load_feature(name: str) -> ModuleType:
    """Give the module of a feature.

    Raises
    ------
    UserError
        If there is none of that name.
    """
    if name not in FEATURES:
        known = f"{', '.join(FEATURES)}{did_you_mean(name, FEATURES)}"
        raise UserError(f"frame feature {name!r} is unknown here, but must be one of {known}")
    return importlib.import_module(FEATURES[name])


def feature_names(features: Iterable[str], settings: Mapping) -> list[str]:
    """Name what there is of each frame, in the order of the features.

    Raises
    ------
    UserError
        If a feature is unknown, or two have columns of the same name.
    """
    names = []
    for feature in features:
        module = load_feature(feature)
        names += module.columns(settings) if hasattr(module, "columns") else [feature]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"frame features have two columns {twice!r}; rename one in {', '.join(modules_of(features))}")
    return names
