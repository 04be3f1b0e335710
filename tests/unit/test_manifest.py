"""A corpus given by a table: what it may contain, what is read of its files, and mistakes with row and column."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
import soundfile as sf

from manifests import RATE, read, sound, write
from serflow.audio.io import decode
from serflow.audio.pieces import decode_piece
from serflow.audio.read_recordings import Recordings
from serflow.corpus.formats import manifest
from serflow.corpus.formats.manifest import list_recordings
from serflow.corpus.ids import speaker_of
from serflow.runtime.errors import UserError, printable
from steps import list_corpus, read_shard

STRANGE = [
    "a b.wav",
    "it's.wav",
    'say "no".wav',
    "two\nlines.wav",
    "🙂.wav",
    "$(touch x).wav",
    "<script>.wav",
    "a_b.c.wav",
]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_any_names_speakers_and_labels(tmp_path, suffix):
    files = [*STRANGE, str(sound(tmp_path / "elsewhere/absolute.wav", seed=99))]
    for seed, file in enumerate(STRANGE):
        sound(tmp_path / "here" / file, seed=seed)
    speakers = [f"Dr. A_{number} %" for number in range(len(files))]
    labels = ['très content 🙂, $x$ "y"', *["<b>"] * (len(files) - 1)]
    table = write(tmp_path / f"here/list{suffix}", file=files, speaker=speakers, label=labels)
    rows = read(table, tmp_path)
    assert {row["file"]: row["emotion"] for row in rows} == dict(zip(map(printable, files), labels, strict=True))
    assert len({row["clip"] for row in rows}) == len({row["speaker"] for row in rows}) == len(files)
    for row in rows:
        assert row["problem"] is None and row["samples"] == 2 * RATE
        assert speaker_of(row["clip"]) == row["speaker"] and "." not in row["clip"] and "\n" not in row["clip"]


def test_pieces_of_a_file(tmp_path):
    whole, _ = sf.read(sound(tmp_path / "long.wav", 10), dtype="float32")
    times = {"start": [0.0, 2.5, 9.0, None], "end": [1.5, 4.0, None, 0.25]}
    table = write(tmp_path / "list.csv", file=["long.wav"] * 4, speaker=["a"] * 4, label=["x"] * 4, **times)
    rows = {row["clip"]: row for row in read(table, tmp_path)}
    pieces = {
        "a_long[0-1500]": (0, 1.5),
        "a_long[2500-4000]": (2.5, 4),
        "a_long[9000-]": (9, 10),
        "a_long[0-250]": (0, 0.25),
    }
    assert set(rows) == set(pieces)
    recordings = tmp_path / "results/recordings/s00"
    recorded = Recordings([recordings.with_suffix(".npy")], [recordings.with_suffix(".parquet")])
    for clip, (start, end) in pieces.items():
        expected = whole[round(start * RATE) : round(end * RATE)]
        assert rows[clip]["samples"] == len(expected)
        assert np.array_equal(recorded[clip], expected)
    assert len({row["audio_sha256"] for row in rows.values()}) == 4


def test_only_the_piece_is_read(tmp_path, monkeypatch):
    sound(tmp_path / "long.wav", 10)
    asked = []
    read = sf.SoundFile.read
    monkeypatch.setattr(
        sf.SoundFile, "read", lambda file, frames=-1, **k: asked.append(frames) or read(file, frames, **k)
    )
    assert len(decode_piece(tmp_path / "long.wav", 3, 3.5).samples) == 8000 and asked == [8000]


def test_the_order_of_rows_means_nothing_and_a_changed_row_concerns_its_speaker(tmp_path):
    columns = {"file": [], "speaker": [], "label": []}
    for number in range(8):
        sound(tmp_path / f"{number}.wav", 0.1)
        for column, value in zip(columns.values(), (f"{number}.wav", f"s{number % 4}", "x"), strict=True):
            column.append(value)

    def listings(**changed):
        turned = {name: changed.get(name, column)[::-1] for name, column in columns.items()}
        list_corpus(tmp_path / "results", write(tmp_path / "list.csv", **turned), format="manifest", shards=4)
        return [path.read_bytes() for path in sorted((tmp_path / "results/listing").glob("s0*.parquet"))]

    before = listings()
    assert len(before) == 4
    for column in columns.values():
        column.reverse()
    assert listings() == before
    for column in columns.values():
        column.reverse()

    def differ(**changed):
        return [old != new for old, new in zip(before, listings(**changed), strict=True)]

    assert differ(label=["x", "y", *["x"] * 6]) == [False, True, False, False]
    assert differ(speaker=["s1", *columns["speaker"][1:]]) == [True, True, False, False]
    sound(tmp_path / "6.wav", 0.2)
    assert differ() == [False, False, True, False]


def test_a_table_that_has_changed_since_it_was_listed(tmp_path):
    """The message about a recording names the row that it is in now, or the table alone."""
    for file in ("a.wav", "b.wav"):
        sound(tmp_path / file)
    columns = {"file": ["a.wav", "b.wav"], "speaker": ["x", "x"], "label": ["y", "y"]}
    table = write(tmp_path / "list.csv", **columns)
    list_corpus(tmp_path / "results", table, format="manifest")
    (tmp_path / "b.wav").unlink()
    write(table, **{name: column[::-1] for name, column in columns.items()})
    with pytest.raises(UserError, match=r"list\.csv, row 2: .*b\.wav: cannot be read"):
        read_shard(tmp_path / "results", "s00")
    table.write_text("file\n")
    manifest._rows.cache_clear()
    with pytest.raises(UserError, match=r"list\.csv: .*b\.wav: cannot be read"):
        read_shard(tmp_path / "results", "s00")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,speaker\na.wav,x\n", "has no column label; it has: file, speaker"),
        ("", "has no column file; it has: none"),
        ("file,speaker,label\n", "has no rows"),
        ("file,speaker,label,label\na.wav,x,y,z\n", "has two columns label"),
        ("file,speaker,label\na.wav,x,\n", "row 2, column label: is empty"),
        ("file,speaker,label\na.wav,x,y\nb.wav,  ,y\n", "row 3, column speaker: is empty"),
        ("file,speaker,label\n,x,y\n", "row 2, column file: is empty"),
        ("file,speaker,label,start,end\na.wav,x,y,2,1\n", "row 2, column end: 1 must be greater than the start, 2"),
        ("file,speaker,label,start,end\na.wav,x,y,1,1\n", "row 2, column end"),
        ("file,speaker,label,start,end\na.wav,x,y,,0\n", "row 2, column end: 0 must be greater than the start, 0"),
        ("file,speaker,label,start,end\na.wav,x,y,-1,1\n", "row 2, column start: -1 must be 0 or more seconds"),
        ("file,speaker,label,end\na.wav,x,y,1\nb.wav,x,y,now\n", "row 3, column end: 'now' is not a number of seconds"),
        ("file,speaker,label,end\na.wav,x,y,inf\n", "row 2, column end: inf must be a number"),
        ("file,speaker,label\na.wav,x,y\nb.wav,x,y\na.wav,z,y\n", "row 4, column file: the same recording as in row 2"),
        ("file,speaker,label\na.wav,x,y\na.flac,x,y\n", "row 3, column file: the same clip"),
        ("file,speaker,label,start\na.wav,x,y,\na.wav,x,y,0\n", "row 3, column file: the same recording as in row 2"),
        ("file,speaker,label\na.wav,x\n", "not a readable table of recordings"),
        ("file,speaker,label\na.wav,x,\xff\n", "not a readable table of recordings"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_table(tmp_path, text, message):
    path = tmp_path / "list.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError) as error:
        list_recordings(path)
    assert str(path) in str(error.value) and message in str(error.value) and "\n" not in str(error.value)


def test_files_that_are_no_table(tmp_path):
    with pytest.raises(UserError, match=r"none\.csv: no such file"):
        list_recordings(tmp_path / "none.csv")
    with pytest.raises(UserError, match=r"a table in a \.csv, \.tsv or \.parquet file"):
        list_recordings(tmp_path)
    (tmp_path / "list.parquet").write_text("no such table")
    with pytest.raises(UserError, match="not a readable table of recordings"):
        list_recordings(tmp_path / "list.parquet")


@pytest.mark.parametrize(
    ("file", "start", "end", "message"),
    [
        ("missing.wav", None, None, r"list\.csv, row 2: .*missing\.wav: cannot be read \(No such file"),
        ("missing.wav", 1.0, None, r"list\.csv, row 2: .*missing\.wav: cannot be read"),
        ("a.wav", 2.0, None, r"row 2: column start: 2 is beyond the end of .*a\.wav, which has 2\.000 s"),
        ("a.wav", 1.0, 2.5, r"row 2: column end: 2\.5 is beyond the end"),
        ("a.wav", 1.0, 1.00001, r"row 2: column end: .* has no samples between"),
        ("text.wav", 1.0, 2.0, r"row 2: .*text\.wav: not a readable audio file"),
    ],
)
def test_a_row_that_its_file_does_not_bear_out(tmp_path, file, start, end, message):
    sound(tmp_path / "a.wav")
    (tmp_path / "text.wav").write_text("no audio")
    times = {"start": pa.array([start], pa.float64()), "end": pa.array([end], pa.float64())}
    table = write(tmp_path / "list.csv", file=[file], speaker=["x"], label=["y"], **times)
    with pytest.raises(UserError, match=message):
        read(table, tmp_path)
    assert not list((tmp_path / "results/recordings").iterdir())
    (row,) = read(table, tmp_path, policy="exclude")
    assert row["problem"] and row["samples"] is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(sound(path, 6).read_bytes()[:100_000]), "truncated, or its header is wrong"),
        (lambda path: sf.write(path, np.zeros(12_000), 2000), "a rate of 2000 Hz, outside 4000 to 192000"),
        (lambda path: sf.write(path, np.zeros(RATE * 6), RATE, format="AIFF"), "AIFF audio is not supported"),
        (lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1"), "a Git LFS pointer"),
        (os.mkfifo, "a pipe, socket or device, not a file"),
        (lambda path: path.touch(), "the file is empty"),
    ],
)
def test_a_piece_is_refused_of_whatever_is_refused_as_a_whole(tmp_path, make, message):
    make(tmp_path / "x.wav")
    for read_it in (decode, lambda path: decode_piece(path, 1, 2)):
        with pytest.raises(UserError, match=message) as error:
            read_it(tmp_path / "x.wav")
        assert str(error.value).startswith(f"{tmp_path / 'x.wav'}: ")


def test_a_piece_is_neither_shorter_nor_longer_than_a_recording_may_be(tmp_path):
    sf.write(tmp_path / "x.flac", np.zeros(8000 * 200, np.int16), 8000)
    with pytest.raises(UserError, match=r"x\.flac: 40 samples, less than 0\.01 s"):
        decode_piece(tmp_path / "x.flac", 1, 1.005)
    with pytest.raises(UserError, match=r"x\.flac: 150 s long, above 120; cut it into utterances"):
        decode_piece(tmp_path / "x.flac", 1, 151)
    assert len(decode_piece(tmp_path / "x.flac", 30, 150).samples) == 8000 * 120


def test_an_end_that_was_rounded_up(tmp_path):
    sound(tmp_path / "a.wav", 1.996)
    assert len(decode_piece(tmp_path / "a.wav", 1, 2).samples) == round(0.996 * RATE)


def test_many_rows(tmp_path):
    count = 100_000
    number = pa.array(range(count))
    files = pa.array([f"{index // 1000}.wav" for index in range(count)])
    times = {"start": number, "end": pa.array(range(1, count + 1))}
    write(tmp_path / "list.parquet", file=files, speaker=pa.array(range(count)), label=["x"] * count, **times)
    found = list_recordings(tmp_path / "list.parquet")
    assert len(found) == count and len({entry.name.clip for entry in found}) == count
