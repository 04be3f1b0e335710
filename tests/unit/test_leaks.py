"""A planted leak of each kind is refused; a split given by the user is read, checked and used."""

import itertools

import pyarrow as pa
import pytest

import steps
from serflow.corpus.copies import PLAN_SCHEMA, plan_copies
from serflow.corpus.crema_d_names import EMOTIONS
from serflow.runtime.errors import UserError
from serflow.splits import count_folds
from serflow.splits.custom import read_table
from serflow.splits.leaks import check_leaks
from serflow.storage import table_of, write_table

CLIPS = [f"{speaker}_DFA_{emotion}_XX" for speaker in range(1001, 1007) for emotion in sorted(EMOTIONS)]
DIGESTS = {clip: clip for clip in CLIPS}


def rows(parts):
    return [(clip, clip.partition(".")[0], 0, part, clip.split("_")[2]) for clip, part in parts.items()]


COPIES = {"time_stretch": 1000, "pitch_shift": 0}  # of every clip, and of none
APART = ("speaker",)
SOUND = {CLIPS[0]: "train", f"{CLIPS[0]}.time_stretch": "train", CLIPS[6]: "valid", CLIPS[12]: "test"}


def test_a_sound_split_passes():
    check_leaks("x", rows(SOUND), DIGESTS, apart=APART)


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
        check_leaks("x", rows(SOUND | planted), DIGESTS | digests, apart=APART)
    assert "\n" not in str(error.value)


def test_speakers_may_be_in_two_parts_unless_the_protocol_forbids_it():
    check_leaks("random", rows(SOUND | {CLIPS[13]: "train"}), DIGESTS)


def test_the_same_clip_in_two_folds_is_not_a_leak():
    split = [*rows(SOUND), (CLIPS[12], CLIPS[12], 1, "train", "ANG")]
    check_leaks("x", split, DIGESTS, apart=APART)


@pytest.fixture
def split(tmp_path):
    """Return a function that writes the split table of a protocol and returns its rows."""

    def write(protocol, settings, output, digests=DIGESTS):
        sound = {
            "corpus": None,
            "loudest_rms": 0.1,
            "clipped": 0.0,
            "dc_offset": 0.0,
            "rate": 16_000,
            "channels": 1,
            "duration": 2.0,
        }
        columns = {
            "clip": CLIPS,
            "speaker": [clip[:4] for clip in CLIPS],
            "emotion": [clip.split("_")[2] for clip in CLIPS],
            "audio_sha256": [digests[clip] for clip in CLIPS],
            "sha256": CLIPS,
            "start": pa.nulls(len(CLIPS), pa.float64()),
            "end": pa.nulls(len(CLIPS), pa.float64()),
            "problem": pa.nulls(len(CLIPS), pa.string()),
            **{name: pa.array([value] * len(CLIPS)) for name, value in sound.items()},
        }
        index, plan = tmp_path / "index.parquet", tmp_path / "plan.parquet"
        write_table(index, pa.table(columns))
        augment = {kind: {"clips": count, "low": 1, "high": 1} for kind, count in COPIES.items()} | {"seed": 0}
        write_table(plan, table_of(plan_copies(CLIPS, augment), PLAN_SCHEMA))
        audit = steps.default_config()["catalog"]["audit"] | {"exclude": []}
        return steps.split([index], [plan], output, protocol, settings, audit=audit)

    return write


def test_the_notebook_is_exempt(split, tmp_path):
    options = {"test": 0.3, "valid": 0.3, "random_state": 42}
    twins = DIGESTS | dict.fromkeys(CLIPS[:12], "same")
    assert split("notebook", options, tmp_path / "split.parquet", twins)
    with pytest.raises(UserError, match="split random: fold 0: identical audio is in more than one part"):
        split("random", options, tmp_path / "other.parquet", twins)
    assert not (tmp_path / "other.parquet").exists()


def table(tmp_path, text):
    path = tmp_path / "split.csv"
    path.write_text(text)
    return path


def custom(tmp_path, split, lines, header="clip,part"):
    path = table(tmp_path, "\n".join([header, *(",".join(map(str, line)) for line in lines)]) + "\n")
    settings = {"table": str(path), "valid": 0.3, "random_state": 0}
    return split("custom", settings, tmp_path / "custom.parquet")


def test_a_split_by_part(tmp_path, split):
    part_of = {1001: "train", 1002: "train", 1003: "valid", 1004: "test"}
    lines = [(clip, part_of[speaker]) for clip in CLIPS if (speaker := int(clip[:4])) in part_of]
    found = custom(tmp_path, split, lines)
    assert {(row["clip"], row["part"]) for row in found if row["clip"] == row["origin"]} == set(lines)
    copied = {row["origin"] for row in found if row["clip"] != row["origin"]}
    assert copied == {clip for clip, part in lines if part == "train"}


def test_names_in_a_split_may_be_composed_in_another_way(tmp_path):
    path = table(tmp_path, "clip,part\nJose\u0301_a,train\nJos\u00e9_b\u200b,test\n")
    assert read_table(path) == [{"Jos\u00e9_a": "train", "Jos\u00e9_b": "test"}]


def test_a_split_by_fold(tmp_path, split):
    lines = [(number % 4 + 8, clip) for number, clip in enumerate(CLIPS)]
    found = custom(tmp_path, split, lines, "fold,clip")
    fold_of = {clip: fold for fold, clip in lines}
    for number, fold in enumerate((8, 9, 10, 11)):
        originals = [row for row in found if row["fold"] == number and row["clip"] == row["origin"]]
        tested = {row["clip"] for row in originals if row["part"] == "test"}
        valid = {row["clip"] for row in originals if row["part"] == "valid"}
        assert {fold_of[clip] for clip in tested} == {fold} and {fold_of[clip] for clip in valid} == {
            (fold - 7) % 4 + 8
        }
        assert len(originals) == len(CLIPS)
    assert count_folds("custom", [], {}, {"table": str(tmp_path / "split.csv")}) == 4


def speakers_of(rows, part, fold=0):
    return {row["origin"][:4] for row in rows if row["part"] == part and row["fold"] == fold}


def test_a_split_without_validation(tmp_path, split):
    """A fifth of the training speakers validates: of five one, and not the one that is tested."""
    found = custom(tmp_path, split, [(clip, "test" if clip.startswith("1004") else "train") for clip in CLIPS])
    assert speakers_of(found, "test") == {"1004"} and len(speakers_of(found, "valid")) == 1
    assert len(speakers_of(found, "train")) == 4
    assert not speakers_of(found, "train") & speakers_of(found, "valid")
    assert {row["part"] for row in found if row["clip"] != row["origin"]} == {"train"}


def test_a_split_without_validation_and_with_one_speaker_to_train_on(tmp_path, split):
    """Each of the six labels has one clip of a speaker, so three labels are given two."""
    lines = [(clip, "test" if clip.startswith("1001") else "train") for clip in CLIPS if clip[:4] in ("1001", "1002")]
    with pytest.raises(UserError, match="fold 0 has no clips to validate on; add speakers"):
        custom(tmp_path, split, lines)
    found = custom(tmp_path, split, [*lines, *((clip, "train") for clip in CLIPS if clip.startswith("1003"))])
    assert len(speakers_of(found, "valid")) == len(speakers_of(found, "train")) == 1


def test_a_split_of_two_folds(tmp_path, split):
    found = custom(tmp_path, split, [(clip, int(clip[:4]) % 2) for clip in CLIPS], "clip,fold")
    for fold, tested in enumerate(({"1002", "1004", "1006"}, {"1001", "1003", "1005"})):
        assert speakers_of(found, "test", fold) == tested
        assert len(speakers_of(found, "valid", fold)) == 1 and len(speakers_of(found, "train", fold)) == 2


def test_one_label_to_train_on_is_refused(tmp_path, split):
    parts = {"1001": "train", "1002": "valid", "1003": "test"}
    lines = [(clip, parts[clip[:4]]) for clip in CLIPS if clip[:4] in parts and (clip[:4] != "1001" or "ANG" in clip)]
    message = "split custom: fold 0 has clips of ANG only to train on; a model needs two labels"
    with pytest.raises(UserError, match=message):
        custom(tmp_path, split, lines)
    assert not (tmp_path / "custom.parquet").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip,kind\nx,train\n", "needs the columns clip and either fold or part, has: clip, kind"),
        ("clip,fold,part\nx,1,train\n", "either fold or part"),
        ("", "has: none"),
        ("clip,part\nx,train\nx,test\n", "row 3: x is in the table twice"),
        ("clip,part\nx,training\n", "row 2: part is 'training', not one of train, valid, test"),
        ("clip,part\nx,train\ny,valid\n", "no clip has the part test"),
        ("clip,part\nx,\n", "row 2: part is empty"),
        ("clip,fold\nx,1\ny,1\n", "one fold alone; at least two"),
    ],
)
def test_a_table_that_is_not_a_split(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read_table(table(tmp_path, text))
    with pytest.raises(UserError, match="no such file"):
        read_table(tmp_path / "nowhere.csv")


def test_a_clip_that_the_corpus_does_not_have(tmp_path, split):
    lines = [*itertools.product(CLIPS[:2], ["train"]), (CLIPS[7], "valid"), (CLIPS[14], "test"), ("1001_XXX", "test")]
    with pytest.raises(UserError, match="1001_XXX is not a usable clip of the corpus"):
        custom(tmp_path, split, lines)
