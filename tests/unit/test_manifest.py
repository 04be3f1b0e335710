"""A corpus given by a table: what it may contain, what is read of its files, and mistakes with row and column."""

import datetime
import os

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import soundfile as sf

from serflow.audio.io import decode
from serflow.audio.pieces import decode_piece
from serflow.audio.read_recordings import Recordings
from serflow.corpus.formats import manifest
from serflow.corpus.formats.manifest import list_recordings
from serflow.corpus.ids import speaker_of
from serflow.runtime.errors import UserError, printable
from serflow.storage import read_table
from steps import catalog, list_corpus, read_corpus, read_shard, rows_of

RATE = 16_000
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


def sound(path, seconds=2.0, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    sf.write(path, samples, RATE, subtype="PCM_16")
    return path


def write(path, **columns):
    table = pa.table(columns)
    pyarrow.csv.write_csv(table, path) if path.suffix == ".csv" else pq.write_table(table, path)
    return path


def read(path, folder, policy="fail"):
    return rows_of(read_corpus(folder / "results", path, policy, format="manifest"))


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
        ("a.wav", 1.0, 1.00001, r"row 2: column end: .* there is no sample"),
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


def speakers_of(tmp_path, names, labels=None, suffix=".csv", **more):
    """Return the entries of a manifest of one recording for each name."""
    files = [f"{number}.wav" for number in range(len(names))]
    labels = labels or ["x"] * len(names)
    return list_recordings(write(tmp_path / f"list{suffix}", file=files, speaker=names, label=labels, **more))


def test_names_that_look_alike_are_one(tmp_path):
    """In NFC and NFD, with a zero-width space, a byte-order mark, and a space that does not break."""
    names = ["Jos\u00e9", "Jose\u0301", "Jos\u00e9\u200b", "\ufeffJos\u00e9", "\u00a0Jos\u00e9 "]
    found = speakers_of(tmp_path, names, names)
    assert {entry.name.speaker for entry in found} == {entry.name.emotion for entry in found} == {"Jos\u00e9"}
    assert len({entry.name.clip for entry in found}) == 5
    assert len({entry.name.speaker for entry in speakers_of(tmp_path, ["José", "Jose", "Josè"])}) == 3


@pytest.mark.parametrize(("column", "names"), [("speaker", ["a", "\u200b"]), ("label", ["a", "\ufeff \u00ad"])])
def test_a_name_that_nobody_sees_is_empty(tmp_path, column, names):
    columns = {"names": ["a", "b"], "labels": ["x", "y"]} | {"names" if column == "speaker" else "labels": names}
    with pytest.raises(UserError, match=rf"row 3, column {column}: is empty"):
        speakers_of(tmp_path, **columns)


@pytest.mark.parametrize("column", ["speaker", "label", "file"])
def test_a_gap_in_a_column_of_numbers_is_no_name(tmp_path, column):
    columns = {"file": ["1", "2"], "speaker": ["a", "b"], "label": ["x", "y"]} | {column: [1.0, float("nan")]}
    with pytest.raises(UserError, match=rf"row 2, column {column}: is empty"):
        list_recordings(write(tmp_path / "list.parquet", **columns))


def test_a_file_name_is_found_however_it_is_composed(tmp_path):
    for folder, file in (("a\u0308", "Jose\u0301.wav"), ("b", "Ana\u00efs.wav")):
        sound(tmp_path / folder / file)
    listed = ["\u00e4/Jos\u00e9.wav", "b/Anai\u0308s.wav"]
    rows = read(write(tmp_path / "list.csv", file=listed, speaker=["x", "y"], label=["p", "q"]), tmp_path)
    assert {row["clip"] for row in rows} == {"x_\u00e4/Jos\u00e9", "y_b/Ana\u00efs"}
    assert {row["file"] for row in rows} == {"a\u0308/Jose\u0301.wav", "b/Ana\u00efs.wav"}
    twice = [listed[0], "a\u0308/Jose\u0301.wav"]
    with pytest.raises(UserError, match="row 3, column file: the same recording as in row 2"):
        list_recordings(write(tmp_path / "list.csv", file=twice, speaker=["x", "y"], label=["p", "q"]))


def test_words_for_known_emotions_are_codes(tmp_path):
    labels = [
        "HAP",
        "happy",
        "Happy",
        "happiness",
        "hap",
        "angry",
        "anger",
        "bored",
        "joy",
        "CALM",
        "neutral",
        "Neutral!",
    ]
    found = speakers_of(tmp_path, [str(number) for number in range(len(labels))], labels)
    used = {entry.file: entry.name.emotion for entry in found}
    assert [used[f"{number}.wav"] for number in range(len(labels))] == [
        *["HAP"] * 5, "ANG", "ANG", "BOR", "joy", "CAL", "NEU", "Neutral!"
    ]  # fmt: skip


def test_a_table_with_tabs(tmp_path):
    sound(tmp_path / "a, b.wav")
    path = tmp_path / "list.tsv"
    path.write_text("file\tspeaker\tlabel\nday 1, a.wav\tx\ty, z\n")
    (entry,) = list_recordings(path)
    assert (entry.file, entry.name.speaker, entry.name.emotion) == ("day 1, a.wav", "x", "y, z")
    path.write_text("file\tspeaker\tlabel\nc.wav\tx\t\n")
    with pytest.raises(UserError, match=r"list\.tsv, row 2, column label: is empty"):
        list_recordings(path)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_a_table_says_of_speakers_and_groups(tmp_path, suffix):
    more = {
        "gender": ["f", "Male", "", "non-binary"],
        "age": ["31", "40.0", "", "7"],
        "language": ["de", "en", "en", ""],
    }
    more |= {"room": ["big", "big", "small", ""], "level": ["1", "2", "1", "2"], "": list("abcd")}
    found = speakers_of(tmp_path, list("abcd"), suffix=suffix, **more)
    assert [entry.about for entry in found] == [
        {"sex": "Female", "age": 31, "language": "de", "group_room": "big", "group_level": "1"},
        {"sex": "Male", "age": 40, "language": "en", "group_room": "big", "group_level": "2"},
        {"sex": None, "age": None, "language": "en", "group_room": "small", "group_level": "1"},
        {"sex": "non-binary", "age": 7, "language": None, "group_room": None, "group_level": "2"},
    ]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (pa.array(["u", None]).dictionary_encode(), ["u", None]),  # as pandas writes a category
        (pa.array([True, False]), ["true", "false"]),
        (pa.array([1.5, float("nan")]), ["1.5", None]),
        (pa.array([datetime.date(2024, 11, 25)] * 2), ["2024-11-25"] * 2),
        (pa.nulls(2), [None, None]),
    ],
)
def test_groups_of_every_type(tmp_path, values, text):
    found = speakers_of(tmp_path, ["a", "b"], suffix=".parquet", room=values)
    assert [entry.about["group_room"] for entry in found] == text


def test_a_column_of_many_values_is_no_group(tmp_path):
    names = [str(number) for number in range(101)]
    texts = {"said": names, "part": ["a", *["b"] * 100], "numbers": pa.array([[1, 2]] * 101)}
    texts["bytes"] = pa.array([b"\xff"] * 101)
    found = speakers_of(tmp_path, names, suffix=".parquet", **texts)
    assert {tuple(entry.about) for entry in found} == {("group_part",)}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"age": ["31", "old"]}, "row 3, column age: 'old' is not a number of years; rename the column"),
        ({"age": ["-1", "3"]}, "row 2, column age: '-1' is not"),
        ({"sex": ["f", "m"], "gender": ["f", "m"]}, "has the columns sex and gender; remove one of them"),
    ],
)
def test_a_mistake_in_what_it_says(tmp_path, more, message):
    with pytest.raises(UserError) as error:
        speakers_of(tmp_path, ["a", "b"], **more)
    assert message in str(error.value)


def test_groups_are_in_the_catalogue_and_change_no_recording(tmp_path):
    for number in range(4):
        sound(tmp_path / f"{number}.wav", seed=number)
    columns = {"file": [f"{number}.wav" for number in range(4)], "speaker": list("aabb"), "label": list("xyxy")}
    more = {"sex": ["f", "f", "m", "m"], "age": ["30", "30", "", ""], "room": ["r", "s", "r", "s"]}
    indices = read_corpus(tmp_path / "results", write(tmp_path / "list.csv", **columns), format="manifest")
    listing = (tmp_path / "results/listing/s00.parquet").read_bytes()
    without = (tmp_path / "results/listing/groups.parquet").read_bytes()
    list_corpus(tmp_path / "results", write(tmp_path / "list.csv", **columns, **more), format="manifest")
    assert (tmp_path / "results/listing/s00.parquet").read_bytes() == listing
    assert (tmp_path / "results/listing/groups.parquet").read_bytes() != without
    paths = catalog(indices, tmp_path / "out", formats={"": "manifest"})
    rows = read_table(paths["output"]).to_pylist()
    known = [tuple(row[name] for name in ("speaker", "sex", "age", "language", "group_room")) for row in rows]
    assert known == [
        ("a", "Female", 30, None, "r"),
        ("a", "Female", 30, None, "s"),
        ("b", "Male", None, None, "r"),
        ("b", "Male", None, None, "s"),
    ]


def test_many_rows(tmp_path):
    count = 100_000
    number = pa.array(range(count))
    files = pa.array([f"{index // 1000}.wav" for index in range(count)])
    times = {"start": number, "end": pa.array(range(1, count + 1))}
    write(tmp_path / "list.parquet", file=files, speaker=pa.array(range(count)), label=["x"] * count, **times)
    found = list_recordings(tmp_path / "list.parquet")
    assert len(found) == count and len({entry.name.clip for entry in found}) == count
