"""Who trains, validates and is tested on, in other corpora and across corpora."""

import numpy as np
import pytest
import soundfile as sf

import steps
from serflow.corpus.ids import corpus_of, speaker_of
from serflow.runtime.errors import UserError
from serflow.splits import PARTS, PROTOCOLS, count_folds
from serflow.splits.leaks import check_leaks
from serflow.storage import read_json, read_table

SPLIT = {"test": 0.3, "valid": 0.1, "random_state": 42, "folds": "published"}
AUGMENT = {"seed": 0} | {
    kind: {"clips": 1000, "low": 1, "high": 1} for kind in ("time_stretch", "pitch_shift")
}  # every clip


def labelled(speakers, labels=("ANG", "HAP", "SAD"), takes=10):
    return {f"{speaker}_{label}{take}": label for speaker in speakers for label in labels for take in range(takes)}


def parts_of(rows, fold):
    found = {part: [] for part in PARTS}
    for clip, origin, of_fold, part, _ in rows:
        assert clip == origin or part == "train"
        if of_fold == fold:
            found[part].append(origin)
    return found


def split(protocol, labels, formats, **changes):
    settings = SPLIT | changes
    copies = [(f"{clip}.time_stretch", clip) for clip in labels]
    rows = (
        PROTOCOLS[protocol]
        .load()
        .split(
            labels, copies, settings | {"formats": formats, "speakers": sorted({speaker_of(clip) for clip in labels})}
        )
    )
    check_leaks(protocol, rows, {clip: clip for clip in labels}, apart=PROTOCOLS[protocol].apart)
    folds = count_folds(protocol, sorted({speaker_of(clip) for clip in labels}), formats, settings)
    assert {row[2] for row in rows} == set(range(folds))
    return [parts_of(rows, fold) for fold in range(folds)]


def speakers(clips):
    return {speaker_of(clip) for clip in clips}


def test_four_speakers_are_four_folds_validated_on_the_next():
    folds = split("speaker-independent", labelled(["DC", "JE", "JK", "KL"]), {"": "savee"})
    assert [speakers(fold["test"]) for fold in folds] == [{"DC"}, {"JE"}, {"JK"}, {"KL"}]
    assert [speakers(fold["valid"]) for fold in folds] == [{"JE"}, {"JK"}, {"KL"}, {"DC"}]
    assert all(len(speakers(fold["train"])) == 2 for fold in folds)


def test_two_speakers_validate_on_some_clips_of_the_one_that_is_left():
    labels = labelled(["OAF", "YAF"])
    folds = split("speaker-independent", labels, {"": "tess"})
    assert [speakers(fold["test"]) for fold in folds] == [{"OAF"}, {"YAF"}]
    for fold in folds:
        assert speakers(fold["train"]) == speakers(fold["valid"]) != speakers(fold["test"])
        assert sorted(labels[clip] for clip in fold["valid"]) == ["ANG", "HAP", "SAD"]  # a tenth of each
        assert not set(fold["train"]) & set(fold["valid"]) and len(fold["test"]) == 30


EMO_DB = ["03", "08", "09", "10", "11", "12", "13", "14", "15", "16"]


def test_emo_db_is_tested_one_speaker_at_a_time_and_a_fifth_of_the_others_validates():
    folds = split("speaker-independent", labelled(EMO_DB), {"": "emo-db"})
    assert [speakers(fold["test"]) for fold in folds] == [{speaker} for speaker in EMO_DB]
    assert [speakers(fold["valid"]) for fold in folds[:2]] == [{"08", "09"}, {"09", "10"}]
    assert speakers(folds[-1]["valid"]) == {"03", "08"} and all(len(speakers(fold["train"])) == 7 for fold in folds)


@pytest.mark.parametrize(("wanted", "sizes"), [(2, [5, 5]), (3, [4, 3, 3]), (10, [1] * 10)])
def test_a_number_of_folds(wanted, sizes):
    folds = split("speaker-independent", labelled(EMO_DB), {"": "emo-db"}, folds=wanted)
    assert [len(speakers(fold["test"])) for fold in folds] == sizes
    assert set().union(*(speakers(fold["test"]) for fold in folds)) == set(EMO_DB)
    if wanted == 3:
        assert [speakers(fold["valid"]) for fold in folds] == [
            speakers(fold["test"]) for fold in [*folds[1:], folds[0]]
        ]


def test_leave_one_speaker_out_of_a_corpus_with_published_blocks():
    names = ["1001", "1002", "1019", "1020", "1037", "1055"]
    blocks = split("speaker-independent", labelled(names), {"": "crema-d"})
    assert [speakers(fold["test"]) for fold in blocks] == [{"1001", "1002"}, {"1019", "1020"}, {"1037"}, {"1055"}]
    folds = split("speaker-independent", labelled(names), {"": "crema-d"}, folds="leave-one-speaker-out")
    assert [speakers(fold["test"]) for fold in folds] == [{name} for name in names]
    assert [speakers(fold["valid"]) for fold in folds] == [{name} for name in [*names[1:], names[0]]]
    dealt = split("speaker-independent", labelled(names), {"": "crema-d"}, folds=2)
    assert [speakers(fold["test"]) for fold in dealt] == [{"1001", "1019", "1037"}, {"1002", "1020", "1055"}]


def test_more_folds_than_speakers_are_refused():
    with pytest.raises(UserError, match=r"split\.folds is 11, but the corpus has 10 speakers; lower it"):
        split("speaker-independent", labelled(EMO_DB), {"": "emo-db"}, folds=11)
    with pytest.raises(UserError, match="needs at least two speakers, found 1"):
        split("speaker-independent", labelled(["03"]), {"": "emo-db"})


def test_one_speaker_of_a_manifest_is_refused():
    with pytest.raises(UserError, match="needs at least two speakers, found 1"):
        split("speaker-independent", labelled(["anna"]), {"": "manifest"})


def test_a_lost_clip_leaves_the_folds():
    labels = labelled([f"{number:02d}" for number in range(1, 25)])
    whole = split("speaker-independent", labels, {"": "ravdess"})
    labels.pop("07_ANG3")
    assert [speakers(fold["test"]) for fold in whole] == [
        speakers(fold["test"]) for fold in split("speaker-independent", labels, {"": "ravdess"})
    ]


UNION = {"crema-d": "crema-d", "ravdess": "ravdess", "tess": "tess"}


def union():
    return (
        labelled([f"crema-d:{speaker}" for speaker in range(1001, 1021)], ("ANG", "DIS", "HAP", "SAD"))
        | labelled([f"ravdess:{speaker:02d}" for speaker in range(1, 25)], ("ANG", "CAL", "HAP", "SAD", "SUR"))
        | labelled(["tess:OAF", "tess:YAF"], ("ANG", "HAP", "SAD", "SUR"))
    )


def test_each_corpus_is_tested_on_by_speakers_of_the_others():
    labels = union()
    folds = split("cross-corpus", labels, UNION)
    for corpus, fold in zip(sorted(UNION), folds, strict=True):
        assert {corpus_of(clip) for clip in fold["test"]} == {corpus}
        assert corpus not in {corpus_of(clip) for clip in fold["train"] + fold["valid"]}
        assert not speakers(fold["train"]) & speakers(fold["valid"])
        others = speakers(fold["train"]) | speakers(fold["valid"])
        for other in UNION.keys() - {corpus}:
            of_other = {speaker for speaker in others if corpus_of(speaker) == other}
            assert len(speakers(fold["valid"]) & of_other) == max(1, round(len(of_other) / 5))
        for clips in fold.values():
            assert {labels[clip] for clip in clips} == {"ANG", "HAP", "SAD"}
        assert set(fold["test"]) == {
            clip for clip, label in labels.items() if corpus_of(clip) == corpus and label in ("ANG", "HAP", "SAD")
        }


def test_the_speakers_of_a_union_are_dealt_out():
    folds = split("speaker-independent", union(), UNION)
    assert [len(speakers(fold["test"])) for fold in folds] == [10, 9, 9, 9, 9]
    assert all({"crema-d", "ravdess"} <= {corpus_of(clip) for clip in fold["test"]} for fold in folds)


def test_one_speaker_against_a_corpus():
    labels = labelled(["mine:anna"]) | labelled(["tess:OAF", "tess:YAF"])
    mine, tess = split("cross-corpus", labels, {"mine": "manifest", "tess": "tess"})
    assert speakers(mine["test"]) == {"mine:anna"} and len(speakers(mine["valid"])) == 1
    assert speakers(tess["train"]) == speakers(tess["valid"]) == {"mine:anna"}


def test_across_what_cannot_be():
    with pytest.raises(UserError, match="needs several corpora, found one"):
        split("cross-corpus", labelled(["OAF", "YAF"]), {"": "tess"})
    labels = labelled(["a:x"], ("joy", "rage")) | labelled(["b:y"], ("joy", "fury"))
    with pytest.raises(UserError, match="found 1: a has joy, rage; b has fury, joy"):
        split("cross-corpus", labels, {"a": "manifest", "b": "manifest"})


def row(clip, part):
    return (clip, clip, 0, part, "ANG")


def test_a_planted_leak_across_corpora_is_refused():
    sound = [row("a:1_x", "train"), row("a:2_x", "valid"), row("b:1_x", "test")]
    digests = {clip: clip for clip in ("a:1_x", "a:2_x", "a:2_y", "b:1_x", "b:2_x")}
    options = {"apart": PROTOCOLS["cross-corpus"].apart}
    check_leaks("cross-corpus", sound, digests, **options)
    with pytest.raises(UserError, match=r"the same corpus \(b\) is in more than one part"):
        check_leaks("cross-corpus", [*sound, row("b:2_x", "train")], digests, **options)
    with pytest.raises(UserError, match=r"the same speaker \(a:2\)"):
        check_leaks("cross-corpus", [*sound, row("a:2_y", "train")], digests, **options)
    with pytest.raises(UserError, match="identical audio"):
        check_leaks("cross-corpus", sound, digests | {"b:1_x": "a:1_x"}, **options)


def test_a_single_training_speaker_may_validate_and_not_be_tested():
    shared = [row("OAF_x", "train"), row("OAF_y", "valid"), row("YAF_x", "test")]
    digests = {clip: clip for clip in ("OAF_x", "OAF_y", "OAF_z", "YAF_x")}
    check_leaks("speaker-independent", shared, digests, apart=("speaker",))
    with pytest.raises(UserError, match=r"the same speaker \(OAF\)"):
        check_leaks("speaker-independent", [*shared, row("OAF_z", "test")], digests, apart=("speaker",))


def test_the_tables_of_a_union(tmp_path, project):
    """Read, catalogue and split, with what each corpus documents of its speakers and CREMA-D's tables."""
    files = [f"a/1001_DFA_{label}_XX.wav" for label in ("ANG", "HAP")]
    files += [f"a/1019_DFA_{label}_XX.wav" for label in ("ANG", "HAP")]
    files += [f"b/DC_{code}.wav" for code in ("a01", "h01", "su01")] + [f"b/KL_{code}.wav" for code in ("a01", "h01")]
    for seed, file in enumerate(files):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        sf.write(tmp_path / file, 0.1 * np.random.default_rng(seed).standard_normal(16_000), 16_000)
    people = tmp_path / "people.csv"
    people.write_text("ActorID,Age,Sex,Race,Ethnicity\n1001,51,Male,x,y\n1019,29,Female,x,y\n")
    votes = tmp_path / "votes.csv"
    votes.write_text('"","A","D","F","H","N","S","fileName"\n"100001",5,0,0,1,0,0,"1001_DFA_ANG_XX"\n')
    source = {"crema-d": str(tmp_path / "a"), "savee": str(tmp_path / "b")}
    indices = steps.read_corpus(tmp_path, source, shards=3, augment=AUGMENT)
    formats = {name: name for name in source}
    paths = steps.catalog(indices, tmp_path / "out", demographics=people, votes=votes, formats=formats)
    rows = {row["clip"]: row for row in read_table(paths["output"]).to_pylist()}
    assert len(rows) == len(files) and {row["corpus"] for row in rows.values()} == set(formats)
    heard = rows["crema-d:1001_DFA_ANG_XX"]
    assert (heard["speaker"], heard["age"], heard["sex"], heard["votes_ANG"]) == ("crema-d:1001", 51, "Male", 5)
    acted = rows["savee:DC_su01"]
    assert (acted["speaker"], acted["sex"], acted["emotion"], acted["votes_ANG"]) == ("savee:DC", "Male", "SUR", None)
    assert acted["file"] == "savee/DC_su01.wav"
    assert read_json(paths["audit"])["corpora"] == {"crema-d": 4, "savee": 5}
    plans = sorted((tmp_path / "plan").iterdir())
    table = steps.split(indices, plans, tmp_path / "split", "cross-corpus", SPLIT, formats=formats)
    assert {row["label"] for row in table} == {"ANG", "HAP"} and {row["fold"] for row in table} == {0, 1}
    assert {row["clip"] for row in table if row["origin"] != row["clip"]}
