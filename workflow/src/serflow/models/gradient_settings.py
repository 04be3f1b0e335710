"""Settings of every model that is trained by gradient. The defaults are those of the notebook's networks."""

from collections.abc import Mapping

from serflow.features import KINDS
from serflow.runtime.errors import UserError
from serflow.runtime.plugins import Plugin

_SHARE = {"type": "number", "minimum": 0, "exclusiveMaximum": 1, "default": 0}

TRAINING_RULES = {
    "epochs": {"type": "integer", "minimum": 1, "maximum": 1000000, "default": 100},
    "patience": {"type": "integer", "minimum": 0, "maximum": 1000000, "default": 5},
    "min_delta": {"type": "number", "minimum": 0, "maximum": 1000, "default": 0.001},
    "batch_size": {"type": "integer", "minimum": 1, "maximum": 65536, "default": 32},
    "learning_rate": {"type": "number", "exclusiveMinimum": 0, "maximum": 100, "default": 0.001},
    "monitor": {"enum": ["loss", "uar"], "default": "loss"},
    "optimizer": {"enum": ["adam", "adamw"], "default": "adam"},
    "weight_decay": {"type": "number", "minimum": 0, "maximum": 100, "default": 0},
    "schedule": {"enum": ["constant", "cosine"], "default": "constant"},
    "warmup": {"type": "number", "minimum": 0, "maximum": 1000000, "default": 0},
    "clip_norm": {"type": "number", "minimum": 0, "maximum": 1000000, "default": 0},
    "label_smoothing": _SHARE,
    "ema": _SHARE,
    "mixup": {"type": "number", "minimum": 0, "maximum": 100, "default": 0},
    "class_weight": {"enum": ["none", "balanced"], "default": "none"},
    "targets": {"enum": ["intended", "votes", "mixed"], "default": "intended"},
    "refit": {"type": "boolean", "default": False},
}
# Changes of spectrograms that are drawn anew for each clip in each epoch.
AUGMENTATION_RULES = {
    "mask_frames": {"type": "integer", "minimum": 0, "maximum": 100000, "default": 0},
    "mask_bands": {"type": "integer", "minimum": 0, "maximum": 4096, "default": 0},
    "shift_frames": {"type": "number", "minimum": 0, "maximum": 100000, "default": 0},
    "shift_bands": {"type": "number", "minimum": 0, "maximum": 4096, "default": 0},
    "gain": {"type": "number", "minimum": 0, "maximum": 100, "default": 0},
    "stretch": _SHARE,
}
BY_GRADIENT = {**TRAINING_RULES, **AUGMENTATION_RULES}


def gradient_rules(architecture: Plugin) -> dict[str, dict]:
    """Return the rules of an architecture's models that are trained by gradient: augmentation is of spectrograms."""
    return BY_GRADIENT if KINDS[architecture.features].spectrogram else TRAINING_RULES


def check_training(name: str, settings: Mapping) -> None:
    """Raise ``UserError`` if the training settings of the model ``name`` contradict each other."""
    if settings.get("weight_decay") and settings["optimizer"] != "adamw":
        raise UserError(
            f"config: models.{name}.weight_decay is {settings['weight_decay']:g}, but the optimizer is "
            f"{settings['optimizer']}, which has none; set optimizer: adamw"
        )
    if settings.get("warmup", 0) > settings.get("epochs", 0):
        raise UserError(
            f"config: models.{name}.warmup is {settings['warmup']:g} epochs, above the {settings['epochs']} of the "
            "whole training"
        )
