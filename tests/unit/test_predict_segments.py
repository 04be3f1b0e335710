"""What `predict` labels of a recording: its windows, the segments of speech in it, or a part of the file."""

import numpy as np
import pytest
import soundfile as sf

from serflow.bundle.demo.result import result
from serflow.bundle.predict import predict_recordings
from serflow.bundle.reader import open_bundle
from serflow.inference.label import label_recordings
from serflow.inference.recordings import RecordingToLabel, list_recordings, recording_digests
from serflow.inference.windows import Heard, cut
from serflow.runtime.errors import UserError
from serflow.storage import read_table
from steps import AS_RECORDED
from tiny_bundle import write_bundle
from voice import voice

HOW = {"sampling_rate": 16_000, "target_length": 4000, "longest": 8000} | AS_RECORDED
RATE = 44_100
# Two channels of a rate that is not the model's: a pause of 2 s, a voice for 0.45 s, 1.5 s, a voice for 3 s, 1 s.
LONG = np.concatenate(
    [np.zeros(2 * RATE), voice(0.45, RATE), np.zeros(3 * RATE // 2), voice(3, RATE, 0.2), np.zeros(RATE)]
)
LONG = np.column_stack([LONG, 0.5 * LONG]).astype(np.float32)
SPOKEN = [(2.0, 2.45), (3.95, 6.95)]


@pytest.fixture
def folder(tmp_path):
    write_bundle(tmp_path / "b.zip")
    sf.write(tmp_path / "long.wav", LONG, RATE, subtype="FLOAT")
    sf.write(tmp_path / "noise.wav", np.random.default_rng(0).uniform(-0.3, 0.3, 50_000), 16_000)
    return tmp_path


def predict(folder, *inputs, **options):
    tables = folder / "x.parquet", folder / "t.parquet"
    predict_recordings(
        str(folder / "b.zip"), [str(folder / name) for name in inputs], output=tables[0], timeline=tables[1], **options
    )
    return tuple(read_table(path).to_pylist() for path in tables)


def shares(row):
    return [row[name] for name in row if name.startswith("p_")]


def test_a_row_for_each_segment_of_speech(folder):
    (row, noise), timeline = predict(folder, "long.wav", "noise.wav", segments="speech")
    assert noise["label"] is None and "no speech" in noise["warning"] and noise["windows"] == 0
    assert [line["file"] for line in timeline] == [row["file"]] * 2
    for line, segment in zip(timeline, SPOKEN, strict=True):
        assert (line["start"], line["end"]) == pytest.approx(segment, abs=0.35)
    assert row["seconds"] == pytest.approx(7.95) and row["start"] is row["end"] is None


def test_a_segment_is_labelled_as_a_recording_of_its_own(folder):
    source, bundle = RecordingToLabel(str(folder / "long.wav")), open_bundle(str(folder / "b.zip"))
    (whole,) = label_recordings(bundle.classifier, [source], segments="speech")
    assert len(whole.timeline) == 2 < len(whole.windows)
    counts = []
    for start, end, found in whole.timeline:
        sf.write(folder / "one.wav", LONG[round(start * RATE) : round(end * RATE)], RATE, subtype="FLOAT")
        (alone,) = label_recordings(bundle.classifier, [RecordingToLabel(str(folder / "one.wav"))])
        np.testing.assert_allclose(found, alone.probabilities, atol=1e-6)
        ends = [window[1] - start for window in whole.windows if start <= window[0] < end]
        np.testing.assert_allclose(ends, [window[1] for window in alone.windows], atol=1e-9)
        counts.append(len(alone.windows))
    assert counts[0] < counts[1] and sum(counts) == len(whole.windows)
    np.testing.assert_allclose(whole.probabilities, np.mean([row for *_, row in whole.windows], axis=0))


def test_parts_of_a_file_are_labelled_as_such(folder):
    (folder / "list.csv").write_text("file,start,end\nlong.wav,0,1.5\nlong.wav,4,4.4\nlong.wav,3,\nlong.wav,,\n")
    rows, timeline = predict(folder, "list.csv")
    assert [(row["start"], row["end"]) for row in rows] == [(0, 1.5), (4, 4.4), (3, None), (None, None)]
    assert [row["seconds"] for row in rows] == pytest.approx([1.5, 0.4, 4.95, 7.95])
    assert [bool(row["label"]) for row in rows] == [False, True, True, True]
    sf.write(folder / "one.wav", LONG[4 * RATE : round(4.4 * RATE)], RATE, subtype="FLOAT")
    np.testing.assert_allclose(shares(rows[1]), shares(predict(folder, "one.wav")[0][0]), atol=1e-6)
    # The times of the windows are those of the file.
    counts = [row["windows"] for row in rows]
    assert counts[0] == 0 and counts[1] == 1 and len(timeline) == sum(counts)
    assert (timeline[0]["start"], timeline[0]["end"]) == pytest.approx((4, 4.4), abs=1e-3)
    assert timeline[1]["start"] == 3 and timeline[counts[2]]["end"] == pytest.approx(7.95, abs=1e-3)


def test_speech_in_a_part_of_a_file(folder):
    heard = Heard()
    windows = list(
        cut(RecordingToLabel("x", path=str(folder / "long.wav"), start=3.0, end=5), HOW, segments="speech", heard=heard)
    )
    ((start, end),) = heard.segments
    assert 3.7 < start < 4.3 and end == 5 and heard.seconds == 2 and heard.has_speech
    assert windows[0].start == start and windows[-1].end == pytest.approx(5, abs=1e-3)


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("8", "", "column start: 8 is beyond the end of .*long.wav, which has 7.950 s"),
        ("0", "9", "column end: 9 is beyond the end of .*long.wav"),
    ],
)
def test_a_part_that_is_not_in_the_file_is_a_problem_of_its_own(folder, start, end, words, capsys):
    (folder / "list.csv").write_text(f"file,start,end\nlong.wav,{start},{end}\nlong.wav,4,5\n")
    with pytest.raises(SystemExit):
        predict(folder, "list.csv")
    rows = read_table(folder / "x.parquet").to_pylist()
    assert [bool(row["label"]) for row in rows] == [False, True] and rows[0]["start"] == float(start)
    assert len(capsys.readouterr().err.splitlines()) == 3
    with pytest.raises(UserError, match=words):
        raise UserError(rows[0]["problem"])


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ("x,", r"list\.csv, line 3, column start: 'x' is not a number of seconds, 0 or more"),
        ("-1,", r"line 3, column start: '-1' is not"),
        ("1,inf", r"line 3, column end: 'inf' is not"),
        ("2,1.5", r"line 3, column end: 1\.5 must be greater than the start, 2"),
        (",0", r"line 3, column end: 0 must be greater than the start, 0"),
    ],
)
def test_times_that_are_none(folder, times, words):
    (folder / "list.csv").write_text(f"file,start,end\nlong.wav,,\nlong.wav,{times}\n")
    with pytest.raises(UserError, match=words):
        list(list_recordings([str(folder / "list.csv")]))


def test_other_times_are_other_recordings(folder):
    digests = []
    for times in ("0,1", "0,2", ","):
        (folder / "list.csv").write_text(f"file,start,end\nlong.wav,{times}\n")
        digests.append(recording_digests(str(folder / "list.csv"), 1)[0])
    assert len(set(digests)) == 3


def test_segments_of_another_kind(folder):
    with pytest.raises(UserError, match="--segments is 'words'; use windows or speech"):
        predict(folder, "long.wav", segments="words")


def test_the_demo_shows_the_segments_of_a_long_recording(folder):
    bundle, shown = open_bundle(str(folder / "b.zip")), []
    page = result(bundle, bundle.classifier, str(folder / "long.wav"), lambda *seconds: shown.append(seconds))
    assert "Table of segments of speech" in page and page.count("<tr><td>") == 2 and "There is no timeline" not in page
    (row,), timeline = predict(folder, "long.wav", segments="speech")
    assert f"mean of {row['windows']} windows" in page
    for line in timeline:
        assert f"<tr><td>{line['start']:.2f}</td><td>{line['end']:.2f}</td>" in page
    assert shown[-1][0] == pytest.approx(timeline[-1]["end"], abs=1e-3) and shown[-1][1] == pytest.approx(7.95)
