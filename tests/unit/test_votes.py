"""Listeners' votes as targets, and measures of the agreement with them."""

import numpy as np
import pyarrow as pa
import pytest

from serflow.corpus.crema_d_names import VOTES
from serflow.metrics.agreement import jensen_shannon_distance, share_correlation
from serflow.models.targets import targets_of
from serflow.runtime.errors import UserError
from serflow.storage import write_table

CLASSES = ["ANG", "DIS", "FEA", "HAP", "NEU", "SAD"]
COUNTS = {"a": [6, 0, 0, 0, 2, 0], "b": [0, 0, 0, 0, 0, 5], "c": [None] * 6}


@pytest.fixture
def catalog(tmp_path):
    columns = dict(
        zip(VOTES, (pa.array(column, pa.int32()) for column in zip(*COUNTS.values(), strict=True)), strict=True)
    )
    write_table(tmp_path / "clips.parquet", pa.table({"clip": list(COUNTS)} | columns))
    return tmp_path / "clips.parquet"


def test_targets_are_the_label_the_votes_or_the_mean_of_both(catalog):
    origins, labels = ["b", "a", "c", "a"], np.array([1, 0, 2, 0])
    one_hot = np.eye(6)[labels]
    np.testing.assert_array_equal(targets_of("intended", None, origins, labels, CLASSES), one_hot)
    votes = targets_of("votes", catalog, origins, labels, CLASSES)
    of_a = [0.75, 0, 0, 0, 0.25, 0]
    np.testing.assert_allclose(votes, [[0, 0, 0, 0, 0, 1], of_a, one_hot[2], of_a])
    np.testing.assert_allclose(targets_of("mixed", catalog, origins, labels, CLASSES), (votes + one_hot) / 2)


def test_votes_that_a_corpus_does_not_have(catalog):
    with pytest.raises(UserError, match="targets: votes needs listeners' votes, but the corpus has none"):
        targets_of("votes", catalog, ["c"], np.array([0]), CLASSES)
    with pytest.raises(UserError, match="but the classes are ANG, BOR; set targets: intended"):
        targets_of("mixed", catalog, ["a"], np.array([0]), ["ANG", "BOR"])


def test_jensen_shannon_distance():
    p, q = np.array([[1, 0], [0.5, 0.5], [1, 0]]), np.array([[1, 0], [1, 0], [0, 1]])
    # By hand: half of KL(p‖m) + KL(q‖m), with m = (0.75, 0.25), in bits.
    divergence = (0.5 * np.log2(0.5 / 0.75) + 0.5 * np.log2(0.5 / 0.25) + np.log2(1 / 0.75)) / 2
    np.testing.assert_allclose(jensen_shannon_distance(p, q), [0, np.sqrt(divergence), 1], atol=1e-7)
    same = np.random.default_rng(0).dirichlet(np.ones(6), 500).astype(np.float32)
    assert (jensen_shannon_distance(same, same.astype(float)) < 1e-3).all()


def test_correlation_of_shares():
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(3), 50), rng.dirichlet(np.ones(3), 50)
    wanted = [np.corrcoef(p[:, code], q[:, code])[0, 1] for code in range(3)]
    np.testing.assert_allclose(share_correlation(p, q), wanted)
    assert share_correlation(np.full((5, 2), 0.5), p[:5, :2]).tolist() == [0, 0]
