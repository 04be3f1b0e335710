"""Noise that you recorded."""

import functools
from pathlib import Path

from serflow.audio.io import read_clip
from serflow.corpus.folders import SOUND, list_files
from serflow.evaluation.robustness.noise import add_noise, looped
from serflow.runtime.errors import UserError

TITLE = "recorded noise"
KIND = "noise"
LEVELS = {
    "name": "snr",
    "unit": "dB",
    "items": {"type": "number", "minimum": -100, "maximum": 100},
    "default": [20, 10, 0],
}
SETTINGS = {
    # Folder of recordings, of at most 120 s each.
    "folder": {
        "type": ["string", "null"],
        "minLength": 1,
        "maxLength": 4096,
        "pattern": "^[^\\x00]+$",
        "default": None,
    },
}
THRESHOLDS = {"unchanged": 0.9, "change": -0.05, "levels": [20]}
FILES = "folder"


def check_settings(settings):
    """Raise ``UserError`` if there is no folder."""
    folder = settings["folder"]
    if not (folder and Path(folder).is_dir()):
        raise UserError(
            f"config: robustness.recorded_noise.folder is {folder!r}; name a folder of recordings, or leave "
            "recorded_noise out of robustness.conditions"
        )


def change(samples, level, rng, scene):
    """Add a part of one of the recordings at this signal-to-noise ratio."""
    files = _files(scene.settings["folder"])
    noise = _read(files[rng.integers(len(files))], scene.rate)
    return add_noise(samples, looped(noise, len(samples), rng), level)


@functools.cache
def _files(folder):
    files = sorted(file for file, _ in list_files(folder, SOUND))
    if not files:
        raise UserError(f"{folder}: holds no recordings ({', '.join(sorted(SOUND))})")
    return [Path(folder, file) for file in files]


@functools.lru_cache(maxsize=8)  # 8 MB each at most
def _read(path, rate):
    return read_clip(path, rate)
