"""Pieces of a file that overlap are one recording for a split: together in one part, or refused."""

import math

import numpy as np
import pytest
import soundfile as sf

import steps
from serflow.runtime.errors import UserError
from serflow.splits.folds import parts_of_speakers
from serflow.splits.overlaps import find_overlaps

RATE = 8000
SETTINGS = {"test": 0.3, "valid": 0.2, "random_state": 42}
AUDIT = steps.default_config()["catalog"]["audit"] | {"exclude": []}


def piece(clip, start=None, end=None, file="f"):
    return {"clip": clip, "sha256": file, "start": start, "end": end}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([piece("a", 0, 2), piece("b", 2, 4), piece("c", 4)], {}),
        ([piece("a", 0, 2), piece("b", 1.9, 4), piece("c", 4)], {"a": "a", "b": "a"}),
        ([piece("c", 3.5, 5), piece("b", 1, 4), piece("a", 0, 2)], {"a": "a", "b": "a", "c": "a"}),
        ([piece("a", 0, 9), piece("b", 1, 2), piece("c", 8, 10), piece("d", 10)], {"a": "a", "b": "a", "c": "a"}),
        ([piece("whole"), piece("b", 5, 6)], {"whole": "whole", "b": "whole"}),
        ([piece("a", 0, 2), piece("b", 1, 3, file="g")], {}),
        ([piece("a", None, 2), piece("b", 1, None)], {"a": "a", "b": "a"}),
        ([], {}),
    ],
)
def test_what_overlaps_is_one(rows, expected):
    assert find_overlaps(rows) == find_overlaps(rows[::-1]) == expected


def corpus(folder, pieces):
    """Read a corpus of pieces: file, speaker, label, start and end."""
    rng, lines = np.random.default_rng(0), []
    for file, speaker, label, start, end in pieces:
        path = folder / file
        if not path.exists():
            sf.write(path, 0.1 * rng.standard_normal(20 * RATE), RATE)
        lines.append(f"{file},{speaker},{label},{start},{end}\n")
    (folder / "list.csv").write_text("file,speaker,label,start,end\n" + "".join(lines))
    return steps.read_corpus(folder / "results", folder / "list.csv", format="manifest")


def split(folder, indices, protocol, settings=SETTINGS):
    plans = [folder / "results/plan/s00.parquet"]
    formats = {"": "manifest"}
    return steps.split(indices, plans, folder / "split", protocol, settings, audit=AUDIT, formats=formats)


def test_overlapping_pieces_are_in_one_part_of_a_random_split(tmp_path):
    """Windows of two seconds that overlap by half are one recording; single pieces are split as before."""
    pieces = [
        (f"{label}{number}.wav", "p", label, k, k + 2) for number in range(20) for label in "AB" for k in range(3)
    ]
    rows = split(tmp_path, corpus(tmp_path, pieces), "random")
    parts = {}
    for row in rows:
        parts.setdefault(row["clip"].partition("[")[0], set()).add(row["part"])
    assert len(parts) == 40 and all(len(found) == 1 for found in parts.values())
    counts = {part: sum(found == {part} for found in parts.values()) for part in ("train", "valid", "test")}
    assert counts == {"test": 12, "valid": 6, "train": 22}


def test_pieces_that_only_touch_are_split_like_recordings(tmp_path):
    pieces = [("long.wav", "p", "AB"[k % 2], k, k + 1) for k in range(20)]
    rows = split(tmp_path, corpus(tmp_path, pieces), "random")
    assert {row["part"] for row in rows} == {"train", "valid", "test"}


@pytest.mark.parametrize("copied", [False, True])
def test_one_stretch_under_two_speakers_is_refused(tmp_path, copied):
    pieces = [(f"{s}.wav", s, label, k, k + 1) for s in "pqrs" for label, k in (("A", 0), ("B", 2))]
    indices = corpus(tmp_path, pieces)
    assert split(tmp_path, indices, "speaker-independent")
    if copied:
        (tmp_path / "copy.wav").write_bytes((tmp_path / "p.wav").read_bytes())
    indices = corpus(tmp_path, [*pieces, ("copy.wav" if copied else "p.wav", "q", "A", 0.5, 1.5)])
    with pytest.raises(UserError) as error:
        split(tmp_path, indices, "speaker-independent")
    text = str(error.value)
    assert "one stretch of a file is in more than one part" in text and "p_p[0-1000]" in text
    assert text.endswith("change start and end so that they do not overlap, or move them to one part")


def test_a_custom_table_that_tears_them_apart_is_refused(tmp_path):
    indices = corpus(tmp_path, [("long.wav", "p", "AB"[k % 2], k, k + 2) for k in range(15)])
    lines = [f"p_long[{k * 1000}-{k * 1000 + 2000}],{('train', 'valid', 'test')[k // 5]}\n" for k in range(15)]
    (tmp_path / "table.csv").write_text("clip,part\n" + "".join(lines))
    with pytest.raises(UserError, match="one stretch of a file is in more than one part"):
        split(tmp_path, indices, "custom", {"table": str(tmp_path / "table.csv")})


def test_validation_clips_of_a_single_training_speaker_keep_together():
    labels = {f"p_{number}": "A" for number in range(40)} | {"q_0": "A"}
    overlaps = {f"p_{number}": f"p_{number // 4 * 4}" for number in range(40)}
    settings = {"valid": 0.1, "random_state": 0, "overlaps": overlaps}
    parts = parts_of_speakers(labels, ["q"], [], settings)
    groups = [{parts[f"p_{number}"] for number in range(first, first + 4)} for first in range(0, 40, 4)]
    assert all(len(group) == 1 for group in groups)
    assert 0 < sum(group == {"valid"} for group in groups) <= math.ceil(0.1 * 40)
