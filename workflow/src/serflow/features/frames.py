"""Frame features for the 1D models: those that are listed, each from its file, side by side."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from serflow.audio.framing import FramedClips
from serflow.audio.stft import CLIPS_AT_ONCE, in_batches
from serflow.features.frame_features import feature_names, load_feature
from serflow.runtime.errors import UserError
from serflow.storage import FileArray, read_json, read_table, write_tables

ROWS_AT_ONCE = 256 * CLIPS_AT_ONCE  # of a table: some 7 MB


def frame_features(
    clips: np.ndarray,
    *,
    sampling_rate: int,
    frame_size: int,
    features: Sequence[str],
    n_mfcc: int,
    threads: int = 1,
) -> Iterator[np.ndarray]:
    """Compute the features of fixed-length clips, batch by batch.

    Parameters
    ----------
    clips
        float32 of shape (clips, samples).
    sampling_rate
        In Hz.
    frame_size
        Samples of a frame; frames are ``frame_size // 2`` apart and centred.
    features
        Names of :mod:`serflow.features.frame_features`.
    n_mfcc
        Number of mel-frequency cepstral coefficients.
    threads
        Threads; the result does not depend on them.

    Returns
    -------
    iterator of ndarray
        float32 of shape (clips in the batch, columns), in the order of :func:`column_names`.

    Raises
    ------
    UserError
        If a feature is unknown, or gives another shape than its columns have.
    """
    settings = {"n_mfcc": n_mfcc}
    count = _frames_of(clips.shape[1], frame_size)
    widths = {name: count * len(feature_names([name], settings)) for name in features}

    def compute(batch: np.ndarray) -> np.ndarray:
        framed = FramedClips(batch, sampling_rate, frame_size)
        parts = []
        for name, width in widths.items():
            values = load_feature(name).compute(framed, settings)
            if values.size != len(batch) * width:
                raise UserError(
                    f"frame feature {name!r} gives shape {values.shape} for {len(batch)} clips of {count} frames, but "
                    f"must give (clips, frames), or (clips, columns, frames) and name the columns"
                )
            parts.append(values.reshape(len(batch), width))
        return np.concatenate(parts, axis=1, dtype=np.float32)

    return in_batches(compute, clips, threads)


def _frames_of(samples: int, frame_size: int) -> int:
    return 1 + (samples + 2 * (frame_size // 2) - frame_size) // (frame_size // 2)


def column_names(samples: int, frame_size: int, features: Sequence[str], n_mfcc: int) -> list[str]:
    """Name the columns of :func:`frame_features`: 16 features by 51 frames are 816 at 40,775 samples."""
    names = feature_names(features, {"n_mfcc": n_mfcc})
    return [f"{name}_{index:03d}" for name in names for index in range(_frames_of(samples, frame_size))]


def extract_frames(
    fixed: Path,
    index: Path,
    length: Path,
    *,
    sampling_rate: int,
    features: Sequence[str],
    n_mfcc: int,
    threads: int,
    output: Path,
) -> None:
    """Write the frame features of a shard: the column ``clip`` and the named float32 columns.

    Parameters
    ----------
    fixed, index
        A shard of fixed-length clips.
    length
        ``target.json``, which holds the frame size.
    sampling_rate, features, n_mfcc, threads
        As in :func:`frame_features`.
    output
        The Parquet table.
    """
    from serflow.storage.arrow import pa

    clips = FileArray(fixed)
    frame_size = read_json(length)["frame_size"]
    chosen = {"features": features, "n_mfcc": n_mfcc}
    names = column_names(clips.shape[1], frame_size, **chosen)
    clip_names = read_table(index, ["clip"])
    computed = frame_features(clips, sampling_rate=sampling_rate, frame_size=frame_size, threads=threads, **chosen)

    def tables() -> Iterator[pa.Table]:
        for start in range(0, max(1, len(clips)), ROWS_AT_ONCE):
            named = clip_names.slice(start, ROWS_AT_ONCE)
            batches = list(itertools.islice(computed, -(-len(named) // CLIPS_AT_ONCE)))
            rows = np.concatenate([np.empty((0, len(names)), np.float32), *batches])
            columns = dict(zip(names, np.ascontiguousarray(rows.T), strict=True))
            yield pa.table({"clip": named["clip"]} | columns)

    write_tables(output, tables())
