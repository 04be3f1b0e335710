"""Names in a manifest that only look different, and what it says about speakers and groups."""

import datetime

import pyarrow as pa
import pytest

from manifests import read, sound, speakers_of, write
from serflow.corpus.formats.manifest import list_recordings
from serflow.runtime.errors import UserError
from serflow.storage import read_table
from steps import catalog, list_corpus, read_corpus


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
