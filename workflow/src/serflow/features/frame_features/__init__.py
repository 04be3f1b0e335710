"""Features of each frame: one file each.

A frame feature has the function ``compute(frames, settings)``, which returns the feature of each frame of a few clips,
shape (clips, frames), from a :class:`serflow.audio.framing.FramedClips`. A feature of several columns returns (clips,
columns, frames) and has ``columns(settings)``, which names them. ``settings`` are those of the feature kind ``frames``.
"""

from collections.abc import Iterable, Mapping

from serflow.runtime.errors import UserError
from serflow.runtime.plugins import Plugins

FRAME_FEATURES = Plugins(__name__, what="frame feature", function="compute")
ENERGY = "rms"  # tells a clip from the silence that it was padded with


def modules_of(names: Iterable[str]) -> list[str]:
    """Return the modules of frame features, for fingerprints."""
    return [FRAME_FEATURES.find(name, "frame feature").module for name in names]


def track_names(features: Iterable[str], settings: Mapping) -> list[str]:
    """Return the names of what is measured in each frame; ``UserError`` for an unknown feature or a name used twice."""
    names = []
    for feature in features:
        module = FRAME_FEATURES.find(feature, "config: frames.features").load()
        names += module.columns(settings) if hasattr(module, "columns") else [feature]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"frame features have two columns {twice!r}; rename one in {', '.join(modules_of(features))}")
    return names
