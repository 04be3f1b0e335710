"""Frame features side by side, for 1D models: zero-crossing rate, RMS, MFCC, spectral centroid, F0 and your own."""

from collections.abc import Iterator, Mapping

import numpy as np

from serflow.audio.framing import FramedClips
from serflow.audio.stft import in_batches
from serflow.features.frame_features import FRAME_FEATURES, track_names
from serflow.runtime.errors import UserError

READS = "fixed"
WRITES = "parquet"
SETTINGS = {
    "features": {
        "description": "a list of frame features, at least one and each once",
        "type": "array",
        "minItems": 1,
        "uniqueItems": True,
        "items": {"type": "string"},
        "default": ["zcr", "rms", "mfcc", "centroid"],
    },
    "n_mfcc": {"type": "integer", "minimum": 1, "maximum": 128, "default": 13},
    "size": {"anyOf": [{"type": "null"}, {"type": "number", "minimum": 5, "maximum": 1000}], "default": None},
    "hop": {"anyOf": [{"type": "null"}, {"type": "number", "minimum": 1, "maximum": 1000}], "default": None},
}


def check_settings(config: Mapping) -> None:
    """Raise ``UserError`` for an unknown frame feature, and for frames between which samples are left out."""
    size, hop = config["frames"]["size"], config["frames"]["hop"]
    if size and hop and hop > size:
        raise UserError(
            f"config: frames.hop is {hop:g} ms, above frames.size ({size:g} ms); it must be at most as long"
        )
    for name in config["frames"]["features"]:
        FRAME_FEATURES.find(name, "config: frames.features")


def frame_lengths(settings: Mapping) -> tuple[int, int]:
    """Return the length of a frame and the hop from one to the next, in samples.

    By default the notebook's: ``frame_size``, which divides the common length of all clips, and half of it.
    """
    per_ms = settings["sampling_rate"] / 1000
    size = round(settings["size"] * per_ms) if settings["size"] else settings["frame_size"]
    return size, round(settings["hop"] * per_ms) if settings["hop"] else size // 2


def compute(rows: np.ndarray, settings: Mapping, threads: int = 1) -> Iterator[np.ndarray]:
    """Compute the frame features of clips, float32 of shape (clips, samples), batch by batch.

    Frames are centred. Batches are float32 of shape (clips, columns), in the order of
    :func:`column_names`. ``UserError`` if a feature is unknown or returns another shape than its columns have.
    """
    (size, hop), features = frame_lengths(settings), settings["features"]
    count = _count_frames(rows.shape[1], size, hop)
    widths = {name: count * len(track_names([name], settings)) for name in features}

    def side_by_side(batch: np.ndarray) -> np.ndarray:
        framed = FramedClips(batch, settings["sampling_rate"], size, hop)
        parts = []
        for name, width in widths.items():
            values = FRAME_FEATURES[name].load().compute(framed, settings)
            if values.size != len(batch) * width:
                raise UserError(
                    f"frame feature {name!r} returns shape {values.shape} for {len(batch)} clips of {count} frames, "
                    "but must return (clips, frames), or (clips, columns, frames) and name the columns"
                )
            parts.append(values.reshape(len(batch), width))
        return np.concatenate(parts, axis=1, dtype=np.float32)

    return in_batches(side_by_side, rows, threads)


def _count_frames(samples: int, size: int, hop: int) -> int:
    return 1 + (samples + 2 * (size // 2) - size) // hop


def column_names(settings: Mapping) -> list[str]:
    """Return ``{feature}_{frame}``: by default 16 features in 51 frames are 816 columns at 40,775 samples."""
    count = _count_frames(settings["target_length"], *frame_lengths(settings))
    return [f"{name}_{index:03d}" for name in track_names(settings["features"], settings) for index in range(count)]
