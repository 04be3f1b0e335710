"""Changing the test clips of a fold, and computing what models read of them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from serflow import storage
from serflow.audio.length import truncate_or_pad
from serflow.audio.level import adjust_level
from serflow.audio.read_recordings import Recordings
from serflow.corpus.copies import generator_of
from serflow.corpus.ids import speaker_of
from serflow.evaluation.robustness import CONDITIONS, UNCHANGED, Scene, variants_of
from serflow.features import KINDS, column_names
from serflow.inference.classifier import BATCH, Classifier
from serflow.runtime.progress import progress

ABOUT, CLIPS = "about.json", "clips.parquet"


def change_clips(
    split: Path,
    *,
    fold: int,
    condition: str,
    seed: int,
    settings: Mapping,
    recordings: Sequence[Path],
    indices: Sequence[Path],
    kind: str,
    preprocessing: Mapping,
    length: Path | None = None,
    encoder: Path | None = None,
    description: Path | None = None,
    threads: int = 1,
    output: Path,
) -> None:
    """Change the recordings that a fold is tested on, and compute their features; copies are left out.

    Parameters
    ----------
    split
        Split table of the protocol.
    fold
        Number of the fold.
    condition
        Name of the condition, or ``unchanged``.
    seed
        Seed of the changes, which depend on it, the name of the clip and the condition alone.
    settings
        The settings of the condition.
    recordings, indices
        Recordings of all shards end to end, and their indices in the same order.
    kind
        The kind of features.
    preprocessing
        Its settings, and those of :func:`serflow.audio.level.adjust_level`.
    length
        ``target.json``, for kinds that read clips of one length.
    encoder, description
        ONNX file and description of the encoder, for kinds that need one.
    threads
        Number of threads of the features.
    output
        Folder to write. ``about.json`` has the variants of the condition, the ``reason`` if they cannot be made, and
        names of the ``columns`` of the features, if they have any. ``clips.parquet`` has ``clip``, ``label`` and the
        ``batch`` that each clip is in, of one speaker alone. ``{variant}/{batch}.npy`` are features in the shape that
        models read.
    """
    clips = FoldClips(split, fold, recordings, indices)
    rate = preprocessing["sampling_rate"]
    scene = Scene(rate, settings, len(clips.by_speaker))
    plugin = None if condition == UNCHANGED else CONDITIONS[condition].load()
    reason = plugin.impossible(scene) if hasattr(plugin, "impossible") else None
    variants = variants_of(condition, settings)
    if length is not None:
        known = storage.read_json(length)
        preprocessing = {**preprocessing, **{key: known[key] for key in ("target_length", "frame_size")}}
    length_of = preprocessing.get("target_length")
    opened = KINDS[kind].load().open_encoder(encoder, description) if KINDS[kind].encoder else None
    reader = Classifier(None, kind, preprocessing, threads, opened)
    batches = [] if reason else list(clips.batches(BATCH))
    with progress(f"{condition} of fold {fold}", total=len(batches) * len(variants), unit="batch") as advance:
        for variant in variants:
            for number, batch in enumerate(batches):
                changed = []
                for clip in batch:
                    around, rng = clips.around(clip, scene), generator_of(seed, clip, f"robustness {condition}")
                    samples = clips.read(clip)
                    if plugin:
                        samples = np.asarray(plugin.change(samples, variant.level, rng, around), np.float32)
                    changed.append(adjust_level(samples, rate, preprocessing))
                features = reader.read(truncate_or_pad(changed, length_of) if reader.pads else changed)
                with storage.ArrayWriter(output / variant.name / f"{number}.npy", features.shape[1:]) as out:
                    out.write(features)
                advance(1)
    rows = [(clip, clips.labels[clip], number) for number, batch in enumerate(batches) for clip in batch]
    schema = {"clip": "string", "label": "string", "batch": "int32"}
    storage.write_table(output / CLIPS, storage.table_of(rows, schema))
    about = {"variants": [variant.name for variant in variants], "reason": reason}
    storage.write_json(output / ABOUT, about | {"columns": column_names(kind, preprocessing)})


class FoldClips:
    """The recordings that a fold is tested on; parameters are those of :func:`change_clips`.

    Attributes
    ----------
    labels : dict
        Clip → label, sorted by clip.
    by_speaker : dict
        Speaker → clips, sorted.
    """

    def __init__(self, split: Path, fold: int, recordings: Sequence[Path], indices: Sequence[Path]):
        rows = storage.read_table(split, ["clip", "origin", "label", "fold", "part"]).to_pylist()
        tested = [row for row in rows if (row["fold"], row["part"]) == (fold, "test") and row["clip"] == row["origin"]]
        self.labels = {row["clip"]: row["label"] for row in sorted(tested, key=lambda row: row["clip"])}
        self.by_speaker: dict[str, list[str]] = {}
        for clip in self.labels:
            self.by_speaker.setdefault(speaker_of(clip), []).append(clip)
        self._recordings = Recordings(recordings, indices)

    def read(self, clip: str) -> np.ndarray:
        """Return the samples of a clip, float32 of shape (samples,)."""
        return self._recordings[clip]

    def batches(self, size: int) -> Iterator[list[str]]:
        """Yield clips of one speaker, at most ``size`` at a time."""
        for clips in self.by_speaker.values():
            for first in range(0, len(clips), size):
                yield clips[first : first + size]

    def around(self, clip: str, scene: Scene) -> Scene:
        """Return the scene of a clip, with the voices of the other test speakers."""
        speakers = [speaker for speaker in self.by_speaker if speaker != speaker_of(clip)]

        def others(rng: np.random.Generator, count: int) -> list[np.ndarray]:
            chosen = rng.permutation(len(speakers))[:count]
            of_each = [self.by_speaker[speakers[number]] for number in chosen]
            return [self.read(clips[rng.integers(len(clips))]) for clips in of_each]

        return scene._replace(others=others)
