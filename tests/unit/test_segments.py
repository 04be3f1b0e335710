"""Clips that are segments of speech in long recordings: the setting ``segments: speech``."""

import numpy as np
import pytest
import soundfile as sf

from serflow.audio.io import read_clip
from serflow.audio.pieces import decode_piece, find_speech
from serflow.audio.read_recordings import Recordings
from serflow.corpus.copies import plan_copies, plan_segments
from serflow.runtime.errors import UserError
from serflow.storage import read_table
from steps import catalog, default_config, read_corpus, rows_of
from voice import voice

RATE = 16_000
PAUSE = np.zeros(RATE, np.float32)
# Longer than a recording of a corpus may be.
LONG = np.concatenate([PAUSE, voice(3), *[PAUSE] * 130, voice(2, level=0.2), PAUSE])
HEADER = "file,speaker,label,start,end,room\n"


@pytest.fixture
def table(tmp_path):
    sf.write(tmp_path / "long.wav", np.column_stack([LONG, 0.5 * LONG]), RATE, subtype="FLOAT")
    sf.write(tmp_path / "short.wav", np.concatenate([PAUSE, voice(1)]), RATE)
    sf.write(tmp_path / "noise.wav", np.random.default_rng(0).uniform(-0.3, 0.3, 3 * RATE), RATE)
    path = tmp_path / "list.csv"
    path.write_text(f"{HEADER}long.wav,anna,ANG,,,hall\nshort.wav,ben,HAP,,,yard\nlong.wav,carl,SAD,133,,hall\n")
    return path


def read(table, policy="fail"):
    return read_corpus(table.parent / "results", table, policy, format="manifest", segments="speech")


def test_each_segment_is_a_clip_with_label_and_speaker_of_its_recording(table):
    indices = read(table)
    rows = rows_of(indices)
    assert [(row["recording"], row["speaker"], row["emotion"]) for row in rows] == [
        ("anna_long", "anna", "ANG"),
        ("anna_long", "anna", "ANG"),
        ("ben_short", "ben", "HAP"),
        ("carl_long[133000-]", "carl", "SAD"),
    ]
    for row, (start, end) in zip(rows, [(1, 4), (134, 136), (1, 2), (134, 136)], strict=True):
        assert (row["start"], row["end"]) == pytest.approx((start, end), abs=0.4)
        times = f"[{round(1000 * row['start'])}-{round(1000 * row['end'])}]"
        assert row["clip"] == row["recording"] + times and not row["problem"]
        assert row["duration"] == pytest.approx(row["end"] - row["start"], abs=1e-3)
    recordings = Recordings([index.with_suffix(".npy") for index in indices], indices)
    for row in rows:
        whole = read_clip(table.parent / row["file"], RATE) if row["speaker"] == "ben" else 0.75 * LONG
        samples = whole[round(row["start"] * RATE) :][: row["length"]]
        np.testing.assert_allclose(recordings[row["clip"]], samples, atol=1e-6)


def test_the_catalogue_keeps_what_the_table_says_of_the_recording(table):
    paths = catalog(read(table), table.parent / "catalog", formats={"": "manifest"})
    rows = read_table(paths["output"]).to_pylist()
    assert [row["group_room"] for row in rows] == ["hall", "hall", "yard", "hall"]
    assert "recording" not in rows[0]


def test_a_recording_without_speech_is_named_with_its_row(table):
    table.write_text(f"{HEADER}long.wav,anna,ANG,,,hall\nnoise.wav,ben,HAP,,,yard\n")
    with pytest.raises(
        UserError, match=r"list\.csv, row 3: .*noise\.wav: no speech was found in it; remove it, or set"
    ):
        read(table)
    rows = rows_of(read(table, "exclude"))
    assert [row["clip"] for row in rows if row["problem"]] == ["ben_noise"] and len(rows) == 3


def test_the_copies_are_those_of_the_segments(table, tmp_path):
    indices, augment = read(table), default_config()["augment"] | {"seed": 7}
    plan_segments(indices=indices, settings=augment, plans=[tmp_path / "s00", tmp_path / "s01"])
    found = [row["clip"] for name in ("s00", "s01") for row in read_table(tmp_path / name).to_pylist()]
    clips = [row["clip"] for row in rows_of(indices)]
    assert sorted(found) == sorted(copy.clip for copy in plan_copies(clips, augment)) and len(found) == 8
    assert not list((table.parent / "results").glob("plan/*"))


def test_times_of_another_rate_lie_in_the_file(tmp_path):
    sf.write(tmp_path / "x.flac", np.concatenate([voice(2, 44_100), np.zeros(44_100), voice(1.2347, 44_100)]), 44_100)
    segments = find_speech(tmp_path / "x.flac", None, None)
    assert len(segments) == 2 and segments[0][0] == 0 and segments[1][1] == pytest.approx(4.2347, abs=1e-3)
    for start, end in segments:
        assert len(decode_piece(tmp_path / "x.flac", start, end).samples) == pytest.approx(
            (end - start) * 44_100, abs=45
        )
    ((start, end),) = find_speech(tmp_path / "x.flac", 2.5, 4)
    assert 2.8 < start < 3.2 and end == 4
