"""Clips of the corpus, drawn at random, for the reader to look at and listen to."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from serflow.audio.segments import read_row
from serflow.corpus.copies import draw
from serflow.corpus.locations import Location
from serflow.report.clip_figure import show_clip
from serflow.runtime.errors import UserError
from serflow.storage import read_table, write_json

# What the page says of a clip.
KEYS = ("clip", "speaker", "sentence", "emotion", "level", "duration")


def draw_clips(
    catalog: Path, source: Location, *, count: int, seed: int, sampling_rate: int, mel: Mapping, index: Path
) -> None:
    """Draw randomly chosen clips and put the recordings beside them.

    Parameters
    ----------
    catalog
        ``clips.parquet``.
    source
        The corpus' recordings: see :func:`serflow.corpus.locations.places_of`.
    count, seed
        How many, and the seed of the draw.
    sampling_rate
        Of the recordings written, in Hz.
    mel
        The section ``mel`` of the configuration.
    index
        JSON of what was drawn; ``clip{nn}.png`` and ``clip{nn}.wav`` go beside it.

    Raises
    ------
    UserError
        If there are fewer clips.
    """
    rows = {row["clip"]: row for row in read_table(catalog).to_pylist()}
    drawn = []
    for number, clip in enumerate(_chosen(list(rows), count, seed)):
        figure, audio = (f"clip{number:02d}.{kind}" for kind in ("png", "wav"))
        samples = read_row(source, rows[clip], sampling_rate)
        show_clip(samples, mel, sampling_rate, figure=index.parent / figure, audio=index.parent / audio)
        drawn.append({key: rows[clip][key] for key in KEYS} | {"figure": figure, "audio": audio})
    write_json(index, {"drawn": drawn})


def _chosen(clips: Sequence[str], count: int, seed: int) -> list[str]:
    """Draw as many clips as asked for, the same ones for the same corpus and seed."""
    if count > len(clips):
        raise UserError(f"config: report.clips is {count}, but there are {len(clips)} clips to draw from; lower it")
    return sorted(sorted(clips, key=lambda clip: draw(seed, clip, "report clip"))[:count])
