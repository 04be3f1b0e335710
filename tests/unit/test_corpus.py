"""CREMA-D's names, the plan of copies, and the protocols on a corpus of the size of CREMA-D."""

import itertools
from collections import Counter

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from serflow.corpus import copies, metadata
from serflow.corpus import crema_d_names as names
from serflow.corpus.formats import FORMATS, crema_d
from serflow.corpus.ids import copy_kind, is_copy
from serflow.corpus.listing import list_entries
from serflow.corpus.shards import shard_of
from serflow.runtime.errors import UserError
from serflow.splits import PARTS, PROTOCOLS

SPLIT = {"test": 0.3, "valid": 0.05, "random_state": 42, "folds": "published"}
AUGMENT = {
    "seed": 0,
    "time_stretch": {"clips": 1500, "low": 0.8, "high": 1.2},
    "pitch_shift": {"clips": 1500, "low": -4, "high": 4},
}
EMOTIONS = sorted(names.EMOTIONS)


def corpus(speakers=range(1001, 1092), sentences=tuple(names.SENTENCES), emotions=EMOTIONS, levels=("XX",)):
    return ["_".join(map(str, parts)) for parts in itertools.product(speakers, sentences, emotions, levels)]


def as_many_as_crema_d():
    return corpus(levels=("XX", "LO"))[:7442]


def label(clip):
    return clip.split("_")[2]


def split(protocol, clips, copies=()):
    of_corpus = {"speakers": sorted({clip[:4] for clip in clips}), "formats": {"": "crema-d"}}
    return PROTOCOLS[protocol].load().split({clip: label(clip) for clip in clips}, copies, SPLIT | of_corpus)


def test_names_of_crema_d():
    name = names.parse_name("1001_IEO_ANG_HI")
    assert name == ("1001", "IEO", "ANG", "HI") and name.clip == "1001_IEO_ANG_HI"
    assert names.parse_name("1040_ITH_SAD_X").clip == "1040_ITH_SAD_XX"
    assert names.parse_name("10234_DFA_SAD_XX").speaker == "10234"


@pytest.mark.parametrize(
    "stem", ["", "1001", "1001_IEO_ANG", "1001_IEO_JOY_XX", "101_IEO_ANG_HI", "2001_IEO_ANG_HI", "x1001_IEO_ANG_HI"]
)
def test_other_names_are_refused(stem):
    with pytest.raises(UserError, match="is not a CREMA-D name"):
        names.parse_name(stem)


def test_shards_hold_whole_speakers_evenly():
    counts = Counter(shard_of(str(speaker), 8) for speaker in range(1001, 1092))
    assert set(counts.values()) == {11, 12}


def test_the_notebooks_number_of_copies():
    clips = as_many_as_crema_d()
    plan = copies.plan_copies(clips, AUGMENT)
    assert [copy.kind for copy in plan] == ["pitch_shift"] * 1500 + ["time_stretch"] * 1500
    assert len({copy.clip for copy in plan}) == 3000
    stretch = [copy.parameter for copy in plan if copy.kind == "time_stretch"]
    shift = [copy.parameter for copy in plan if copy.kind == "pitch_shift"]
    assert 0.8 <= min(stretch) < 0.81 and 1.19 < max(stretch) < 1.2
    assert -4 <= min(shift) < -3.9 and 3.9 < max(shift) < 4
    # Drawn independently: a clip's stretch says nothing of its shift.
    both = {copy.origin: copy.parameter for copy in plan if copy.kind == "time_stretch"}
    pairs = [(both[copy.origin], copy.parameter) for copy in plan[:1500] if copy.origin in both]
    assert len(pairs) > 200 and abs(np.corrcoef(np.array(pairs).T)[0, 1]) < 0.2


def test_a_draw_depends_on_the_clip_alone():
    clips = corpus()
    whole = {copy.clip: copy for copy in copies.plan_copies(clips, AUGMENT)}
    assert {copy.clip: copy for copy in copies.plan_copies(clips[::-1], AUGMENT)} == whole
    share = AUGMENT | {kind: AUGMENT[kind] | {"clips": 0.2} for kind in copies.NOTEBOOK}
    all_clips, without = copies.plan_copies(clips, share), copies.plan_copies(clips[1:], share)
    assert [copy for copy in all_clips if copy.origin != clips[0]] == without
    assert abs(len(all_clips) / len(clips) - 0.4) < 0.03
    other_seed = copies.plan_copies(clips, AUGMENT | {"seed": 1})
    assert {copy.clip for copy in other_seed} != set(whole)


def test_more_copies_than_clips_are_capped():
    assert len(copies.plan_copies(corpus()[:10], AUGMENT)) == 20


def test_copies_at_other_speeds_have_every_rate_and_names_of_their_own():
    speed = {"speed": {"clips": 1.0, "rates": [0.9, 1.1]}}
    plan = [copy for copy in copies.plan_copies(corpus()[:10], AUGMENT | speed) if copy.kind == "speed"]
    assert len({copy.clip for copy in plan}) == len(plan) == 20
    assert {(copy.clip.removeprefix(copy.origin), copy.parameter) for copy in plan} == {
        (".speed@0.9", 0.9),
        (".speed@1.1", 1.1),
    }
    assert all(copy_kind(copy.clip, copy.origin) == "speed" and is_copy(copy.clip) for copy in plan)


def test_notebook_split_is_scikit_learns_and_of_the_published_sizes():
    clips = as_many_as_crema_d()
    made = [(copy.clip, copy.origin) for copy in copies.plan_copies(clips, AUGMENT)]
    rows = split("notebook", clips, made)
    assert len(rows) == 10_442
    parts = {part: {row[0] for row in rows if row[3] == part} for part in PARTS}
    assert {part: len(members) for part, members in parts.items()} == {"train": 6943, "valid": 366, "test": 3133}
    # The notebook's own calls, on the same rows in the same order.
    rows = [*sorted(clips), *(clip for clip, _ in made)]
    one_hot = np.eye(6)[[EMOTIONS.index(label(row)) for row in rows]]
    kept, test, y_kept, _ = train_test_split(
        np.arange(len(rows)), one_hot, test_size=0.3, random_state=42, stratify=one_hot
    )
    train, valid = train_test_split(kept, test_size=0.05, random_state=42, stratify=y_kept)
    for part, members in zip(PARTS, (train, valid, test), strict=True):
        assert parts[part] == {rows[index] for index in members}


def test_random_split_copies_training_clips_only():
    clips = corpus(range(1001, 1006))
    made = [(f"{clip}.time_stretch", clip) for clip in clips]
    rows = split("random", clips, made)
    part_of = {row[0]: row[3] for row in rows}
    copied = {origin for clip, origin, *_ in rows if clip != origin}
    assert copied == {clip for clip in clips if part_of[clip] == "train"}


def test_speaker_independent_folds_are_whole_speakers():
    clips = corpus()
    made = [(f"{clip}.time_stretch", clip) for clip in clips]
    rows = split("speaker-independent", clips, made)
    assert {row[2] for row in rows} == set(range(5))
    tested = []
    for fold, (first, last) in enumerate(crema_d.BLOCKS):
        speakers = {part: {row[0][:4] for row in rows if row[2] == fold and row[3] == part} for part in PARTS}
        assert speakers["test"] == {str(speaker) for speaker in range(first, last + 1)}
        assert not (speakers["train"] & speakers["test"] or speakers["train"] & speakers["valid"])
        tested += [row[0] for row in rows if row[2] == fold and row[3] == "test"]
    assert sorted(tested) == sorted(clips)


def test_two_blocks_still_leave_speakers_for_each_part():
    clips = corpus([*range(1001, 1006), *range(1019, 1024)])
    rows = split("speaker-independent", clips)
    for fold in (0, 1):
        speakers = {part: {row[0][:4] for row in rows if row[2:4] == (fold, part)} for part in PARTS}
        assert [len(speakers[part]) for part in PARTS] == [4, 1, 5]


def test_one_block_cannot_be_speaker_independent():
    clips = corpus(range(1001, 1010))
    with pytest.raises(UserError, match="at least two of the blocks"):
        split("speaker-independent", clips)


def test_a_class_too_small_to_stratify_is_named():
    clips = [*corpus([1001, 1002], emotions=EMOTIONS[:5]), "1001_DFA_SAD_XX"]
    with pytest.raises(UserError, match="1 of them of class SAD, are too few to stratify"):
        split("notebook", clips)


def test_a_class_without_clips_is_no_class():
    clips = corpus(emotions=EMOTIONS[:5])
    for protocol in ("notebook", "random", "speaker-independent"):
        rows = split(protocol, clips)
        assert {row[4] for row in rows} == set(EMOTIONS[:5])


def test_metadata_is_found_beside_the_recordings(tmp_path):
    audio = tmp_path / "AudioWAV"
    audio.mkdir()
    assert metadata.find_metadata(audio, None) == {}
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "VideoDemographics.csv").write_text(
        '"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","Caucasian","Not Hispanic"\n'
    )
    found = metadata.find_metadata(audio, None)
    assert list(found) == ["demographics"]
    assert metadata.read_demographics(found["demographics"])["1001"]["age"] == 51
    with pytest.raises(UserError, match=r"metadata: .* holds neither"):
        metadata.find_metadata(audio, str(audio))


def test_listing_refuses_what_is_no_corpus(tmp_path):
    def listed(folder):
        return list_entries(FORMATS["crema-d"].load(), folder)

    with pytest.raises(UserError, match="no such file or folder"):
        listed(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"holds no \.wav or \.flac"):
        listed(tmp_path)
    for suffix in ("wav", "flac"):
        (tmp_path / f"1001_DFA_ANG_XX.{suffix}").touch()
    with pytest.raises(UserError, match="are the same clip"):
        listed(tmp_path)
