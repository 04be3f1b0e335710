"""Recordings to measure on: real ones where there are any, in any number by links under other speakers' names."""

import itertools
import os
import shutil
from pathlib import Path

from serflow.corpus.sample import synthesize_sample

FULL_SIZE = 7442
COPIED = 1500 / FULL_SIZE  # the notebook's share of clips with a copy of each kind


def recordings(folder: Path) -> tuple[list[Path], str]:
    """Find recordings, or make the sample; give them and what they are."""
    found = os.environ.get("SERFLOW_CREMA_D")
    if found:
        return sorted((Path(found) / "AudioWAV").glob("*.wav")), "real recordings of CREMA-D (SERFLOW_CREMA_D)"
    synthesize_sample(folder / "sample", seed=0, processes=2)
    return sorted((folder / "sample/AudioWAV").glob("*.wav")), "synthetic speech (SERFLOW_CREMA_D is not set)"


def link(source: list[Path], count: int, folder: Path) -> Path:
    """Fill a folder with ``count`` recordings, whole speakers one after another, numbered from 1001."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    speakers = [list(clips) for _, clips in itertools.groupby(source, key=lambda path: path.name[:4])]
    number = made = 0
    while made < count:
        for clip in speakers[number % len(speakers)][: count - made]:
            (folder / f"{1001 + number}{clip.name[4:]}").symlink_to(clip.resolve())
            made += 1
        number += 1
    return folder
