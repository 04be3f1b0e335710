"""Random clips of the corpus, for the reader to look at and listen to."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from serflow.audio.read_recordings import Recordings
from serflow.corpus.copies import random_number
from serflow.report.clip_figure import show_clip
from serflow.runtime.errors import UserError
from serflow.storage import read_table, write_json

# What the page shows about a clip.
KEYS = ("clip", "speaker", "sentence", "emotion", "level", "duration")


def draw_clips(
    catalog: Path,
    *,
    samples: Sequence[Path],
    indices: Sequence[Path],
    seed: int,
    sampling_rate: int,
    mel: Mapping,
    figures: Sequence[Path],
    recordings: Sequence[Path],
    index: Path,
) -> None:
    """Draw waveforms and mel-spectrograms of randomly chosen clips, and write their recordings.

    Parameters
    ----------
    catalog
        ``clips.parquet``.
    samples, indices
        Arrays and indices of the recordings of all shards.
    seed
        Seed of the choice.
    sampling_rate
        Of the recordings, in Hz.
    mel
        The section ``mel`` of the configuration.
    figures
        PNG files to write, one for each clip to choose.
    recordings
        WAV files to write, as many.
    index
        JSON file to write: the clips, in the order of the files.

    Raises
    ------
    UserError
        If the corpus has fewer clips.
    """
    rows = {row["clip"]: row for row in read_table(catalog).to_pylist()}
    clips, recorded = choose_clips(list(rows), len(figures), seed), Recordings(samples, indices)
    for clip, figure, audio in zip(clips, figures, recordings, strict=True):
        show_clip(recorded[clip], mel, sampling_rate, figure=figure, audio=audio)
    write_json(index, {"clips": [{key: rows[clip][key] for key in KEYS} for clip in clips]})


def choose_clips(clips: Sequence[str], count: int, seed: int) -> list[str]:
    """Return ``count`` random clips in sorted order, the same ones for the same corpus and seed."""
    if count > len(clips):
        raise UserError(f"config: report.clips is {count}, but the corpus has only {len(clips)} clips; lower it")
    return sorted(sorted(clips, key=lambda clip: random_number(seed, clip, "report clip"))[:count])
