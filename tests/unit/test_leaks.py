"""A planted leak of each kind is refused; a split of the user's own is read, checked and used."""

import itertools

import pyarrow as pa
import pytest
import yaml

from serflow.corpus.crema_d_names import EMOTIONS
from serflow.runtime.errors import UserError
from serflow.splits import split_clips as splits
from serflow.splits.custom import read_custom_split
from serflow.splits.leaks import check_leaks
from serflow.storage import read_table, write_table

CLIPS = [f"{speaker}_DFA_{emotion}_XX" for speaker in range(1001, 1007) for emotion in sorted(EMOTIONS)]
DIGESTS = {clip: clip for clip in CLIPS}


def rows(parts):
    return [(clip, clip.partition(".")[0], 0, part, clip.split("_")[2]) for clip, part in parts.items()]


COPIES = {"time_stretch": 1000, "pitch_shift": 0}  # every clip, and none
SOUND = {CLIPS[0]: "train", f"{CLIPS[0]}.time_stretch": "train", CLIPS[6]: "valid", CLIPS[12]: "test"}


def test_a_sound_split_passes():
    check_leaks("x", rows(SOUND), DIGESTS, speakers_apart=True)


@pytest.mark.parametrize(
    ("planted", "digests", "message"),
    [
        (
            {f"{CLIPS[12]}.time_stretch": "train"},
            {},
            f"the same recording .*{CLIPS[12]}.*train: {CLIPS[12]}.time_stretch",
        ),
        ({CLIPS[13]: "train"}, {}, rf"the same speaker \(1003\) .*test: {CLIPS[12]}; train: {CLIPS[13]}"),
        ({CLIPS[20]: "valid"}, {CLIPS[20]: CLIPS[0]}, f"identical audio .*train: {CLIPS[0]}.*; valid: {CLIPS[20]}"),
    ],
)
def test_a_planted_leak_is_refused_and_its_clips_named(planted, digests, message):
    with pytest.raises(UserError, match=message) as error:
        check_leaks("x", rows(SOUND | planted), DIGESTS | digests, speakers_apart=True)
    assert "\n" not in str(error.value)


def test_speakers_may_stand_in_two_parts_where_the_protocol_does_not_forbid_it():
    check_leaks("random", rows(SOUND | {CLIPS[13]: "train"}), DIGESTS, speakers_apart=False)


def test_a_leak_in_another_fold_is_none():
    split = [*rows(SOUND), (CLIPS[12], CLIPS[12], 1, "train", "ANG")]
    check_leaks("x", split, DIGESTS, speakers_apart=True)


@pytest.fixture
def catalogue(tmp_path, project):
    """Write a scan, and give what a split is made of: scans, the plan of copies, the audit's settings."""
    limits = yaml.safe_load((project / "config.yaml").read_text())["catalog"]["audit"] | {"exclude": []}
    augment = {kind: {"clips": count, "low": 1, "high": 1} for kind, count in COPIES.items()} | {"seed": 0}
    sound = {"rms": 0.1, "clipped": 0.0, "dc_offset": 0.0, "rate": 16_000, "channels": 1, "duration": 2.0}

    def write(digests=DIGESTS):
        columns = {
            "clip": CLIPS,
            "speaker": [clip[:4] for clip in CLIPS],
            "emotion": [clip.split("_")[2] for clip in CLIPS],
            "sha256": [digests[clip] for clip in CLIPS],
            "problem": pa.nulls(len(CLIPS), pa.string()),
            **{name: [value] * len(CLIPS) for name, value in sound.items()},
        }
        write_table(tmp_path / "scan.parquet", pa.table(columns))
        return [tmp_path / "scan.parquet"], augment, limits

    return write


def test_the_notebook_is_exempt(catalogue, tmp_path):
    options = {"test": 0.3, "valid": 0.3, "random_state": 42}
    twins = DIGESTS | dict.fromkeys(CLIPS[:12], "same")
    splits.split_clips(*catalogue(twins), "notebook", options, tmp_path / "split.parquet")
    with pytest.raises(UserError, match="split random: fold 0: identical audio stands in more than one part"):
        splits.split_clips(*catalogue(twins), "random", options, tmp_path / "other.parquet")
    assert not (tmp_path / "other.parquet").exists()


def table(tmp_path, text):
    path = tmp_path / "split.csv"
    path.write_text(text)
    return path


def custom(tmp_path, catalogue, lines, header="clip,part"):
    path = table(tmp_path, "\n".join([header, *(",".join(map(str, line)) for line in lines)]) + "\n")
    output = tmp_path / "custom.parquet"
    splits.split_clips(*catalogue(), "custom", {"table": str(path)}, output)
    return read_table(output).to_pylist()


def test_a_split_by_part(tmp_path, catalogue):
    part_of = {1001: "train", 1002: "train", 1003: "valid", 1004: "test"}
    lines = [(clip, part_of[speaker]) for clip in CLIPS if (speaker := int(clip[:4])) in part_of]
    found = custom(tmp_path, catalogue, lines)
    assert {(row["clip"], row["part"]) for row in found if row["clip"] == row["origin"]} == set(lines)
    copied = {row["origin"] for row in found if row["clip"] != row["origin"]}
    assert copied == {clip for clip, part in lines if part == "train"}


def test_a_split_by_fold(tmp_path, catalogue):
    lines = [(number % 4 + 8, clip) for number, clip in enumerate(CLIPS)]
    found = custom(tmp_path, catalogue, lines, "fold,clip")
    fold_of = {clip: fold for fold, clip in lines}
    for number, fold in enumerate((8, 9, 10, 11)):
        originals = [row for row in found if row["fold"] == number and row["clip"] == row["origin"]]
        tested = {row["clip"] for row in originals if row["part"] == "test"}
        valid = {row["clip"] for row in originals if row["part"] == "valid"}
        assert {fold_of[clip] for clip in tested} == {fold} and {fold_of[clip] for clip in valid} == {
            (fold - 7) % 4 + 8
        }
        assert len(originals) == len(CLIPS)
    assert splits.folds_of("custom", [], str(tmp_path / "split.csv")) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip,kind\nx,train\n", "needs the columns clip and either fold or part, has: clip, kind"),
        ("clip,fold,part\nx,1,train\n", "either fold or part"),
        ("", "has: none"),
        ("clip,part\nx,train\nx,test\n", "row 3: x stands in the table twice"),
        ("clip,part\nx,training\n", "row 2: part is 'training', not one of train, valid, test"),
        ("clip,part\nx,train\ny,test\n", "no clip has the part valid"),
        ("clip,part\nx,\n", "row 2: part is empty"),
        ("clip,fold\nx,1\ny,2\n", "2 folds; at least three"),
    ],
)
def test_a_table_that_is_no_split(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read_custom_split(table(tmp_path, text))
    with pytest.raises(UserError, match="no such file"):
        read_custom_split(tmp_path / "nowhere.csv")


def test_a_clip_that_is_not_in_the_corpus(tmp_path, catalogue):
    lines = [*itertools.product(CLIPS[:2], ["train"]), (CLIPS[7], "valid"), (CLIPS[14], "test"), ("1001_XXX", "test")]
    with pytest.raises(UserError, match="1001_XXX is no usable clip of the corpus"):
        custom(tmp_path, catalogue, lines)
