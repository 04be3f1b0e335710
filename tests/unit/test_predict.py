"""Using a bundle: recordings in, labels out."""

import csv
import io
import json
import os
import zipfile

import numpy as np
import pytest
import soundfile as sf

from serflow.audio.io import read_clip
from serflow.bundle.output import table_format, write_rows
from serflow.bundle.predict import predict_recordings
from serflow.bundle.reader import open_bundle
from serflow.inference.recordings import RecordingToLabel, list_recordings, shard_of_recording
from serflow.inference.windows import cut
from serflow.runtime.errors import UserError
from serflow.storage import read_table
from steps import AS_RECORDED

HOW = {"sampling_rate": 16000, "target_length": 4000, "longest": 8000} | AS_RECORDED
DRAWS = np.random.default_rng(0)


def recording(path, samples, rate=16000, channels=1, **options):
    values = DRAWS.uniform(-0.5, 0.5, (samples, channels)).astype(np.float32)
    sf.write(path, values, rate, subtype="FLOAT", **options)
    return RecordingToLabel(str(path))


def test_up_to_the_longest_of_training_a_recording_is_one_window_as_in_training(tmp_path):
    for samples in (200, 3999, 4000, 4001, 8000):
        source = recording(tmp_path / "x.wav", samples)
        (window,) = cut(source, HOW)
        whole = read_clip(source.name, 16000)
        assert (window.start, window.end) == (0, samples / 16000) and window.samples.shape == (4000,)
        np.testing.assert_array_equal(window.samples[: len(whole)], whole[:4000])
        assert not window.samples[len(whole) :].any()


@pytest.mark.parametrize("samples", [8001, 9999, 10000, 10001, 400_000, 400_001])
def test_windows_of_a_longer_one_overlap_by_half_and_reach_its_end(tmp_path, samples):
    source = recording(tmp_path / "x.flac.wav", samples)
    whole, windows = read_clip(source.name, 16000), list(cut(source, HOW))
    starts = [round(window.start * 16000) for window in windows]
    assert starts[0] == 0 and starts[-1] == samples - 4000 and set(np.diff(starts[:-1])) == {2000}
    assert 0 < starts[-1] - starts[-2] <= 2000
    for start, window in zip(starts, windows, strict=True):
        np.testing.assert_array_equal(window.samples, whole[start : start + 4000])


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44100, 2), (192000, 3)])
def test_windows_of_any_rate_and_channels(tmp_path, rate, channels):
    source = recording(tmp_path / "x.wav", 12 * rate, rate, channels)
    whole, windows = read_clip(source.name, 16000), list(cut(source, HOW))
    assert windows[-1].end == pytest.approx(12, abs=2e-3)
    for window in windows[1:-1]:
        start = round(window.start * 16000)
        np.testing.assert_allclose(window.samples, whole[start : start + 4000], atol=1e-4)


def test_what_cannot_be_read(tmp_path):
    (tmp_path / "text.wav").write_text("no audio")
    (tmp_path / "nothing.wav").touch()
    endless = np.full(9000, np.inf, np.float32)
    sf.write(tmp_path / "inf.wav", endless, 16000, subtype="FLOAT")
    for name, words in (
        ("text.wav", "not a readable audio file"),
        ("nothing.wav", "the file is empty"),
        ("inf.wav", "NaN, infinite"),
        ("none.wav", "No such file"),
    ):
        with pytest.raises(UserError, match=words) as error:
            list(cut(RecordingToLabel(str(tmp_path / name)), HOW))
        assert name in str(error.value)


# Raw samples say nothing of themselves, and Sound Designer keeps its header in a second file.
@pytest.mark.parametrize("form", sorted(set(sf.available_formats()) - {"RAW", "SD2"}))
def test_every_format_of_libsndfile_long_and_short(tmp_path, form):
    subtype = "PCM_16" if "PCM_16" in sf.available_subtypes(form) else sf.default_subtype(form)
    rate = {"WVE": 8000, "XI": 44100}.get(form, 16000)
    for samples, several in ((rate // 4, False), (2 * rate, True)):
        path = tmp_path / f"x.{form.lower()}"
        tone = np.sin(np.arange(samples) / 5).astype(np.float32) / 2
        sf.write(path, tone, rate, subtype, format=form)
        windows = list(cut(RecordingToLabel(str(path)), HOW))
        assert (len(windows) > 1) == several and windows[0].samples.std() == pytest.approx(0.35, abs=0.05)


@pytest.mark.parametrize(("rate", "channels"), [(1000, 1), (384_000, 1), (48_000, 24)])
def test_any_rate_and_channels_of_a_short_one(tmp_path, rate, channels):
    (window,) = cut(recording(tmp_path / "x.wav", rate // 4, rate, channels), HOW)
    assert window.end == 0.25 and window.samples.any()


@pytest.mark.parametrize("form", ["WAV", "W64", "RF64", "OGG", "FLAC", "AIFF", "CAF"])
@pytest.mark.parametrize("by_content", [False, True])
def test_a_long_one_that_broke_off_is_refused(tmp_path, form, by_content):
    path = tmp_path / "x"
    sf.write(path, DRAWS.uniform(-0.5, 0.5, 10 * 16000), 16000, format=form)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(UserError, match=r"^talk: (truncated|not a readable|.*its header is wrong)"):
        list(cut(RecordingToLabel("talk", *((path.read_bytes(),) if by_content else (None, str(path)))), HOW))


def test_inputs(tmp_path, monkeypatch):
    (tmp_path / "below").mkdir()
    for name in ("b.wav", "a.FLAC", "notes.txt", "below/c.ogg"):
        (tmp_path / name).touch()
    (tmp_path / "list.csv").write_text("who,file\nme,b.wav\nyou,below/c.ogg\n")
    found = [source.name for source in list_recordings([str(tmp_path), str(tmp_path / "list.csv"), "x.wav"])]
    names = ["a.FLAC", "b.wav", "below/c.ogg", "b.wav", "below/c.ogg"]
    assert found == [*(str(tmp_path / name) for name in names), "x.wav"]
    (tmp_path / "bad.csv").write_text("name\nx.wav\n")
    with pytest.raises(UserError, match="no column 'file'"):
        list(list_recordings([str(tmp_path / "bad.csv")]))
    for given, expected in ((b"one.wav\ntwo words.wav\n", ["one.wav", "two words.wav"]), (b"RIFF\xff\xff", None)):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
        found = list(list_recordings(["-"]))
        assert [source.name for source in found] == (expected or ["standard input"])
        assert expected or found[0].content == given


def test_names_that_are_not_utf_8_in_lists(tmp_path, monkeypatch):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    path = folder / os.fsdecode(b"\xe9\xff.wav")
    with path.open("wb") as file:
        sf.write(file, DRAWS.uniform(-0.5, 0.5, 4000), 16000, format="WAV")
    (folder / "plain.wav").write_bytes(path.read_bytes())
    (folder / "list.csv").write_text("file,who\nplain.wav,me\n")
    given = b"\n".join(os.fsencode(name) for name in (path, folder / "plain.wav")) + b"\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
    sources = [*list_recordings(["-"]), *list_recordings([str(folder / "list.csv")], "who")]
    names = ["\\xe9\\xff.wav", "plain.wav", "plain.wav"]
    assert [source.name for source in sources] == [f"{tmp_path}/caf\\xe9/{name}" for name in names]
    assert [source.speaker for source in sources] == [None, None, "me"]
    for source in sources:
        assert [window.end for window in cut(source, HOW)] == [0.25]


@pytest.mark.parametrize("options", [{"shards": 3}, {"shard": 1}, {"shard": 3, "shards": 3}])
def test_a_shard_needs_the_number_of_shards(options):
    with pytest.raises(UserError, match="--shard and --shards belong together"):
        predict_recordings("none.zip", ["none.wav"], **options)


def test_shards_of_sources_share_all_among_them():
    sources = [RecordingToLabel(f"{number}.wav") for number in range(1000)]
    counts = np.bincount([shard_of_recording(source, 4) for source in sources], minlength=4)
    assert counts.sum() == 1000 and counts.min() > 150


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_the_same_rows_in_every_format(tmp_path, suffix):
    columns = {"file": "string", "p_ANG": "float32", "windows": "int32", "problem": "string"}
    path = tmp_path / f"x.{suffix}"

    def rows():
        yield 'a "b",\n😀.wav', 0.25, 3, None
        assert not path.exists()
        yield "c.wav", None, None, "bad"

    write_rows(rows(), columns, path)
    if suffix == "csv":
        assert path.read_bytes() == 'file,p_ANG,windows,problem\n"a ""b"",\n😀.wav",0.25,3,\nc.wav,,,bad\n'.encode()
        found = list(csv.DictReader(path.open(newline="")))
        found = [{"file": row["file"], "p_ANG": float(row["p_ANG"] or "nan")} for row in found]
    else:
        found = json.loads(path.read_text()) if suffix == "json" else read_table(path).to_pylist()
        assert list(found[0]) == list(columns) and found[1]["problem"] == "bad" and found[1]["p_ANG"] is None
        assert found[0]["windows"] == 3 and found[1]["windows"] is None
    assert found[0]["file"] == 'a "b",\n😀.wav' and found[0]["p_ANG"] == 0.25


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_no_rows(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    write_rows([], {"file": "string", "p_ANG": "float32"}, path)
    if suffix == "parquet":
        table = read_table(path)
        assert len(table) == 0 and table.column_names == ["file", "p_ANG"]
    else:
        assert path.read_text() == {"csv": "file,p_ANG\n", "json": "[]\n"}[suffix]


def test_standard_output_and_formats_that_are_none(tmp_path, capsys):
    for path, format in ((tmp_path / "x.txt", None), (None, "parquet"), (None, "yaml")):
        with pytest.raises(UserError):
            table_format(path, format)
    write_rows([("a", 0.1234567)], {"file": "string", "p": "float64"}, None, "json")
    assert json.loads(capsys.readouterr().out) == [{"file": "a", "p": 0.123457}]

    def rows():
        yield ("a",)
        assert capsys.readouterr().out == "file\na\n"  # row by row
        yield ("b",)

    write_rows(rows(), {"file": "string"}, None)
    assert capsys.readouterr().out == "b\n"


def test_no_bundle(tmp_path):
    path = tmp_path / "x.zip"
    with pytest.raises(UserError, match="no such file"):
        open_bundle(path)
    path.write_bytes(b"PK no")
    with pytest.raises(UserError, match="not a serflow bundle"):
        open_bundle(path)
    for about in ("[]", "{}", '{"bundle_format": 99}'):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("bundle.json", about)
        with pytest.raises(UserError, match=r"not a serflow bundle|; make the bundle again"):
            open_bundle(path)


# What ffmpeg, SoX and arecord announce when they write to a pipe: bytes of the file and of its samples.
PIPED = {"ffmpeg": (0xFFFFFFFF, 0xFFFFFFFF), "sox": (0x7FFFF024, 0x7FFFF000), "arecord": (0x7FFFFF24, 0x7FFFFF00)}
LIST = b"LIST\x1a\0\0\0INFOISFT\x0e\0\0\0Lavf58.29.100\0"


@pytest.mark.parametrize("program", PIPED)
@pytest.mark.parametrize(("subtype", "channels"), [("PCM_16", 1), ("PCM_24", 2), ("FLOAT", 1)])
def test_a_wav_from_a_pipe_is_read_to_its_end(tmp_path, monkeypatch, program, subtype, channels):
    path = tmp_path / "x.wav"
    sf.write(path, DRAWS.uniform(-0.5, 0.5, (10_000, channels)), 16000, subtype)
    content = path.read_bytes()
    expected = [window.samples for window in cut(RecordingToLabel(str(path)), HOW)]
    place, (whole, data) = content.index(b"data"), PIPED[program]
    data -= data % ((3 if subtype == "PCM_24" else 4) * channels) if program == "sox" else 0
    piped = content[:4] + whole.to_bytes(4, "little") + content[8:place]
    piped += (LIST if program == "ffmpeg" else b"") + b"data" + data.to_bytes(4, "little") + content[place + 8 :]
    for end in (b"", b"\x01"):  # the second broke off within a frame
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(piped + end)))
        (source,) = list_recordings(["-"])
        windows = list(cut(source, HOW))
        assert windows[-1].end == 10_000 / 16000
        np.testing.assert_array_equal([window.samples for window in windows], expected)
    path.write_bytes(piped)
    with pytest.raises(UserError, match=r"x\.wav: truncated, or its header is wrong: it announces"):
        list(cut(RecordingToLabel(str(path)), HOW))


def test_a_wav_on_standard_input_that_broke_off_is_refused(tmp_path, monkeypatch):
    sf.write(tmp_path / "x.wav", DRAWS.uniform(-0.5, 0.5, 10_000), 16000)
    cases = (
        (tmp_path / "x.wav").read_bytes()[:-100],
        b"RIFF\xff\xff\xff\xffWAVEfmt \xff",
        b"RIFF\xff\xff\xff\xffWAVEdata\xff",
    )
    for content in cases:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        with pytest.raises(UserError, match=r"^standard input: (truncated|not a readable audio file)"):
            list(cut(*list_recordings(["-"]), HOW))


def test_a_mistyped_folder_is_named_with_the_one_that_is_meant(tmp_path):
    (tmp_path / "recordings").mkdir()
    with pytest.raises(UserError, match=r"recordngs: there is no such folder or file; did you mean 'recordings'"):
        list(list_recordings([str(tmp_path / "recordngs")]))
    with pytest.raises(UserError, match="nowhere/x: there is no such folder or file; check the path"):
        list(list_recordings([str(tmp_path / "nowhere/x")]))
