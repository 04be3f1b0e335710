"""The same rows, to the byte up to the features, for any number of cores and shards."""

import hashlib

import numpy as np
import pytest

from serflow.corpus.shards import shard_names
from serflow.models.data import Features
from serflow.storage import read_table

FOLDERS = ("recordings", "catalog", "augmented", "fixed", "frames", "functionals", "mel", "splits")


def digests(results):
    found = [path for folder in FOLDERS for path in (results / folder).rglob("*.*")]
    files = [results / "length.json", results / "target.json", *found]
    return {str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def other(sample, empty):
    """An empty workspace with the sample's recordings."""
    (empty.folder / "resources").symlink_to(sample.folder / "resources")
    return empty


@pytest.mark.extended
def test_one_core_gives_the_bytes_of_two(sample, other):
    other.run("features", "catalog", cores=1)
    assert digests(other.results()) == digests(sample.results())


@pytest.mark.extended
@pytest.mark.parametrize("shards", [2, 7])
def test_shards_do_not_change_a_row(sample, other, shards):
    other.run("features", "catalog", shards=shards, threads={"features": 2})
    for folder, suffix in (("frames", "parquet"), ("functionals", "parquet"), ("mel", "npy")):
        ours, theirs = (
            Features(
                [workspace.results() / f"{folder}/{shard}.{suffix}" for shard in shard_names(count)],
                [workspace.results() / f"{folder}/{shard}.parquet" for shard in shard_names(count) if suffix == "npy"],
            )
            for workspace, count in ((sample, 4), (other, shards))
        )
        split = read_table(sample.results() / "splits/notebook.parquet").to_pydict()
        classes = sorted(set(split["label"]))
        rows = [features.rows(split["clip"], split["label"], classes) for features in (ours, theirs)]
        np.testing.assert_array_equal(ours.take(rows[0].places), theirs.take(rows[1].places))
    for name in ("catalog/clips.parquet", "splits/notebook.parquet", "length.json"):
        assert (other.results() / name).read_bytes() == (sample.results() / name).read_bytes()
