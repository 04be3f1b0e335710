import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from serflow.corpus import metadata
from serflow.evaluation import references
from serflow.metrics import bootstrap
from serflow.metrics import scores as metrics
from serflow.runtime.errors import UserError

HEADER = '"","A","D","F","H","N","S","fileName","numResponses"\n'


def table(tmp_path, *rows, header=HEADER):
    path = tmp_path / "tabulatedVotes.csv"
    path.write_text(header + "".join(f"{row}\n" for row in rows))
    return path


def test_classes_are_the_corpus_emotions():
    assert references.CLASSES == ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")


def as_catalog(votes):
    return pd.DataFrame.from_dict(votes, orient="index", columns=references.VOTES)


def listeners(counts, truth):
    """Score one listener and the majority from votes, as if all clips were of one speaker."""
    shares = {"listener": counts, "majority": references.majority_shares(counts)}
    matrices = {
        name: bootstrap.speaker_confusions(np.zeros(len(truth)), truth, given, np.shape(counts)[1])[0]
        for name, given in shares.items()
    }
    return {
        name: metrics.scores_from_confusion(cm) | {"confusion_matrix": cm.tolist()} for name, cm in matrices.items()
    }


def test_majority_class():
    code = references.majority_class([2, 2, 1, 1, 0])
    assert code == 1  # the first of two
    cm = metrics.confusion_matrix([0, 1, 1, 2], [code] * 4, 3)
    assert cm.tolist() == [[0, 1, 0], [0, 2, 0], [0, 1, 0]]
    assert metrics.uar(cm) == pytest.approx(1 / 3)


def test_only_votes_on_the_voice_count(tmp_path):
    path = table(
        tmp_path,
        '"100001",1,2,3,4,5,6,"1001_IEO_NEU_XX",21',
        '"100002",1,0,0,0,0,1,"1001_IEO_NEU_XX",2',
        '"200001",9,9,9,9,9,9,"1001_IEO_NEU_XX",54',
        '"300001",9,9,9,9,9,9,"1002_IEO_NEU_XX",54',
        '"100003",0,0,1,0,0,3,"1040_ITH_SAD_X",4',
        '"100004",0,0,0,0,0,0,"1003_IEO_NEU_XX",0',
    )
    votes = metadata.voice_votes(path)
    assert {clip: counts.tolist() for clip, counts in votes.items()} == {
        "1001_IEO_NEU_XX": [2, 2, 3, 4, 5, 7],
        "1040_ITH_SAD_XX": [0, 0, 1, 0, 0, 3],
    }
    voted, counts = references.votes_on(as_catalog(votes), ["1040_ITH_SAD_XX", "1003_IEO_NEU_XX", "1001_IEO_NEU_XX"])
    assert voted.tolist() == [True, False, True]
    assert counts.tolist() == [[0, 0, 1, 0, 0, 3], [2, 2, 3, 4, 5, 7]]
    assert references.votes_on(as_catalog(votes), ["1003_IEO_NEU_XX"])[1].shape == (0, 6)


@pytest.mark.parametrize("name", ["1076_MTI_NEU_XX", "1064_TIE_SAD", "1064_IEO_DIS_MD", "1064_TIE_SAD_X"])
def test_votes_on_damaged_media_are_left_out(tmp_path, name):
    path = table(tmp_path, f'"100001",1,0,0,0,0,0,"{name}",1', '"100002",1,0,0,0,0,0,"1064_IEO_DIS_HI",1')
    assert list(metadata.voice_votes(path)) == ["1064_IEO_DIS_HI"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('"100001",1,0,0,0,0,0,"1001_XYZ_NEU_XX",1', "row 2: '1001_XYZ_NEU_XX' is not a CREMA-D name"),
        ('"100001",one,0,0,0,0,0,"1001_IEO_NEU_XX",1', "not the table of CREMA-D's votes"),
        ('"100001",,0,0,0,0,0,"1001_IEO_NEU_XX",1', "not the table of CREMA-D's votes"),
    ],
)
def test_a_damaged_table_is_a_users_error(tmp_path, row, message):
    with pytest.raises(UserError, match=message):
        metadata.voice_votes(table(tmp_path, row))


def test_another_table_is_a_users_error(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        metadata.voice_votes(tmp_path / "nowhere.csv")
    with pytest.raises(UserError, match="not the table of CREMA-D's votes"):
        metadata.voice_votes(table(tmp_path, "1,2", header="clip,fold\n"))
    with pytest.raises(UserError, match="not the table of CREMA-D's votes"):
        metadata.voice_votes(table(tmp_path, header=""))


def test_listener_and_majority_by_hand():
    human = listeners([[3, 1, 0], [2, 2, 0], [1, 1, 1]], [0, 1, 2])
    listener, majority = human["listener"], human["majority"]
    assert listener["confusion_matrix"] == [[3, 1, 0], [2, 2, 0], [1, 1, 1]]
    assert listener["accuracy"] == pytest.approx(6 / 11)
    assert listener["recall"] == pytest.approx([3 / 4, 1 / 2, 1 / 3])
    assert majority["confusion_matrix"] == [[1, 0, 0], [0.5, 0.5, 0], pytest.approx([1 / 3] * 3)]
    assert majority["accuracy"] == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    assert majority["support"] == pytest.approx([1, 1, 1])


@given(arrays(np.int64, st.tuples(st.integers(1, 20), st.just(6)), elements=st.integers(0, 9)))
@settings(deadline=None)
def test_a_majority_shares_out_one_clip(counts):
    counts[:, 0] += counts.sum(1) == 0
    shares = references.majority_shares(counts)
    assert shares.sum(1) == pytest.approx(1)
    assert ((shares > 0) == (counts == counts.max(1, keepdims=True))).all()


@pytest.fixture(scope="module")
def corpus_votes():
    folder = os.environ.get("SERFLOW_CREMA_D")
    if not folder:
        pytest.skip("SERFLOW_CREMA_D is unset: no table of votes")
    path = Path(folder) / "metadata" / "tabulatedVotes.csv"
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    votes = metadata.voice_votes(path)
    clips = sorted(votes)
    truth = np.array([references.CLASSES.index(clip.split("_")[2]) for clip in clips])
    speakers = np.array([clip[:4] for clip in clips])
    voted, counts = references.votes_on(as_catalog(votes), clips)
    assert voted.all()
    return speakers, truth, counts


def test_human_listeners_over_the_whole_corpus(corpus_votes):
    _, truth, counts = corpus_votes
    assert counts.shape == (7442 - 3, 6)
    assert counts.sum() == 68_568 - 24  # of the three clips with damaged media: 7, 8 and 9 votes
    human = listeners(counts, truth)
    percent = {name: {k: np.round(100 * np.array(v), 1) for k, v in one.items()} for name, one in human.items()}
    assert (percent["listener"]["accuracy"], percent["listener"]["uar"]) == (40.0, 40.7)
    assert (percent["majority"]["accuracy"], percent["majority"]["uar"]) == (44.6, 45.9)
    assert percent["majority"]["recall"].tolist() == [63.5, 30.4, 35.0, 29.6, 96.6, 20.0]


def test_intervals_of_human_listeners_over_the_whole_corpus(corpus_votes):
    speakers, truth, counts = corpus_votes
    for shares, expected in ((counts, (38.4, 41.5)), (references.majority_shares(counts), (42.3, 46.9))):
        sums = bootstrap.speaker_confusions(speakers, truth, shares, 6)
        interval = bootstrap.bootstrap_interval(sums, "accuracy")
        assert interval.speakers == 91
        # 2,000 resamples leave a tenth of a point of chance in an end
        assert (100 * interval.low, 100 * interval.high) == pytest.approx(expected, abs=0.2)
