"""The listing and the plan of a shard change with its recordings, and with nothing else."""

import os
import shutil
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from serflow.corpus.source import SAMPLE_FOLDER, open_corpus
from serflow.runtime.errors import UserError
from serflow.storage import read_table
from steps import default_config, list_corpus, read_corpus, read_shard, rows_of

SPEAKERS = range(1001, 1005)  # one in each of four shards: s01, s02, s03, s00


def record(path, seed):
    with path.open("wb") as file:  # libsndfile takes no path that is not UTF-8
        sf.write(file, 0.1 * np.random.default_rng(seed).standard_normal(1600), 16_000, format="WAV")


@pytest.fixture
def corpus(tmp_path):
    """A folder of four speakers; its results are beside it."""
    folder = tmp_path / "AudioWAV"
    folder.mkdir()
    for speaker in SPEAKERS:
        record(folder / f"{speaker}_DFA_ANG_XX.wav", speaker)
    return folder


def opened(corpus, **changes):
    return list_corpus(corpus.parent / "results", corpus, shards=4, **changes)


def state(corpus, kind="listing"):
    """Return content and date of each shard's file."""
    paths = sorted((corpus.parent / "results" / kind).glob("s0*.parquet"))
    assert len(paths) == 4
    return [(path.read_bytes(), path.stat().st_mtime_ns) for path in paths]


def changed_shards(corpus, change, kind="listing"):
    """List the corpus before and after a change; return the shards whose file has been written again."""
    opened(corpus)
    before = state(corpus, kind)
    change()
    opened(corpus)
    return [shard for shard, (old, new) in enumerate(zip(before, state(corpus, kind), strict=True)) if old != new]


def clip(corpus, speaker=1002):
    return corpus / f"{speaker}_DFA_ANG_XX.wav"


def test_nothing_changes_where_nothing_has_changed(corpus):
    for kind in ("listing", "plan"):
        assert changed_shards(corpus, lambda: None, kind) == []


def test_a_changed_file_changes_the_listing_of_its_shard_only(corpus):
    assert changed_shards(corpus, lambda: record(clip(corpus), seed=9)) == [2]
    read_corpus(corpus.parent / "results", corpus, shards=4)
    assert changed_shards(corpus, lambda: record(clip(corpus), seed=10)) == [2]


def test_a_new_and_a_removed_file_change_listing_and_plan_of_their_shard_only(corpus):
    new = corpus / "1003_DFA_SAD_XX.wav"
    for kind in ("listing", "plan"):
        assert changed_shards(corpus, lambda: record(new, seed=9), kind) == [3]
        assert changed_shards(corpus, new.unlink, kind) == [3]


def touch(path):
    os.utime(path, ns=(1, 1))


def copy_over(path):
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


def write_over(path):
    path.write_bytes(path.read_bytes())


def restrict(path):
    path.chmod(0o400)


@pytest.mark.parametrize("change", [touch, copy_over, write_over, restrict])
def test_the_same_bytes_do_not_change_the_listing_once_they_have_been_read(corpus, change):
    read_corpus(corpus.parent / "results", corpus, shards=4)
    assert changed_shards(corpus, lambda: change(clip(corpus))) == []
    # What has been seen is noted: another listing has nothing to compare.
    assert changed_shards(corpus, lambda: None) == []
    assert changed_shards(corpus, lambda: record(clip(corpus), seed=9)) == [2]


def test_the_same_bytes_under_a_name_with_odd_characters(tmp_path):
    corpus = tmp_path / "audio"
    (corpus / os.fsdecode(b"\xff\n")).mkdir(parents=True)
    path = corpus / os.fsdecode(b"\xff\n") / "OAF_back_angry.wav"
    record(path, seed=0)
    read_corpus(tmp_path / "results", corpus, format="tess")
    before = (tmp_path / "results/listing/s00.parquet").read_bytes()
    touch(path)
    list_corpus(tmp_path / "results", corpus, format="tess")
    assert (tmp_path / "results/listing/s00.parquet").read_bytes() == before


def test_before_they_have_been_read_a_new_date_may_be_new_content(corpus):
    assert changed_shards(corpus, lambda: touch(clip(corpus))) == [2]


def test_content_that_comes_back_is_listed_as_new_only_once(corpus):
    """The recordings that were made of the content in between are stale."""
    results = corpus.parent / "results"
    read_corpus(results, corpus, shards=4)
    first = clip(corpus).read_bytes()
    assert changed_shards(corpus, lambda: record(clip(corpus), seed=9)) == [2]
    read_shard(results, "s02")
    assert changed_shards(corpus, lambda: clip(corpus).write_bytes(first)) == [2]
    read_shard(results, "s02")
    assert changed_shards(corpus, lambda: touch(clip(corpus))) == []


def test_names_that_are_not_utf_8_are_listed_and_read(tmp_path):
    corpus = tmp_path / "audio"
    folder = corpus / os.fsdecode(b"latin\xe9")
    folder.mkdir(parents=True)
    record(folder / "OAF_back_angry.wav", seed=0)
    record(folder / os.fsdecode(b"YAF_caf\xe9_sad.wav"), seed=0)
    indices = read_corpus(tmp_path / "results", corpus, "exclude", format="tess")
    listed = read_table(tmp_path / "results/listing/s00.parquet").to_pylist()
    assert all(Path(os.fsdecode(row["path"])).exists() for row in listed) and len(listed) == 2
    good, bad = sorted(rows_of(indices), key=lambda row: row["problem"] is not None)
    assert (good["clip"], good["file"], good["length"]) == ("OAF_back_angry", r"latin\xe9/OAF_back_angry.wav", 1600)
    assert r"YAF_caf\xe9_sad" in bad["problem"] and "is not a TESS name" in bad["problem"]
    assert bad["problem"].isprintable() and bad["length"] == 0


def test_a_pipe_is_not_opened_by_the_listing(corpus):
    read_corpus(corpus.parent / "results", corpus, shards=4)
    path, opened_by_reader = clip(corpus), []

    def replace():
        path.unlink()
        os.mkfifo(path)

    def write():  # waits until somebody opens the pipe to read it
        with path.open("wb"):
            opened_by_reader.append(True)

    assert changed_shards(corpus, replace) == [2]
    writer = threading.Thread(target=write)
    writer.start()
    touch(path)
    opened(corpus)
    assert stat.S_ISFIFO(path.stat().st_mode) and not opened_by_reader
    os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    writer.join()
    with pytest.raises(UserError, match="a pipe, socket or device, not a file"):
        read_shard(corpus.parent / "results", "s02")


def test_a_link_is_as_old_as_what_it_leads_to(corpus, tmp_path):
    away = clip(corpus).rename(tmp_path / "away.wav")
    clip(corpus).symlink_to(away)
    assert changed_shards(corpus, lambda: record(away, seed=9)) == [2]
    away.unlink()
    assert changed_shards(corpus, lambda: None) == []
    with pytest.raises(UserError, match=r"a broken link to .*away\.wav;"):
        read_shard(corpus.parent / "results", "s02")


def test_a_job_sees_the_corpus_as_it_was_listed(corpus):
    (corpus.parent / "metadata").mkdir()
    (corpus.parent / "metadata/VideoDemographics.csv").touch()
    found = opened(corpus)
    config = default_config() | {"corpus": "mine", "audio": str(corpus), "shards": 4}
    shutil.rmtree(corpus)
    assert open_corpus(config, corpus.parent / "results", list_anew=False) == found
    assert found.speakers == [str(speaker) for speaker in SPEAKERS] and found.metadata and not found.made


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The sample with two of its clips, as its rule leaves it."""
    monkeypatch.chdir(tmp_path)
    (SAMPLE_FOLDER / "AudioWAV").mkdir(parents=True)
    files = [f"1001_{sentence}_ANG_XX.wav" for sentence in ("DFA", "ITS", "TIE")]
    for file in files:
        record(SAMPLE_FOLDER / "AudioWAV" / file, seed=0)
    (SAMPLE_FOLDER / "manifest.csv").write_text("file,bytes,sha256\n" + "".join(f"{file},3244,x\n" for file in files))
    return [SAMPLE_FOLDER / "AudioWAV" / file for file in files]


def test_a_made_recording_that_is_missing_is_one_line(made, tmp_path):
    assert open_corpus(default_config(), tmp_path / "results").speakers == ["1001"]
    made[0].unlink()
    again = r"; delete resources/corpora/sample/manifest\.csv to get it again$"
    with pytest.raises(UserError, match=r"AudioWAV/1001_DFA_ANG_XX\.wav: missing" + again):
        open_corpus(default_config(), tmp_path / "results")
    shutil.rmtree(made[0].parent)
    with pytest.raises(UserError, match=r"1001_DFA_ANG_XX\.wav: missing \(and 2 more\)" + again):
        open_corpus(default_config(), tmp_path / "results")


def test_the_sample_is_listed_before_it_is_made_and_its_listing_is_the_same_then(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = open_corpus(default_config(), tmp_path / "results")
    assert found.made and len(found.speakers) == 12
    before = state(tmp_path / "AudioWAV")
    files = [row["file"] for row in rows_of(sorted((tmp_path / "results/listing").glob("s0*.parquet")))]
    (SAMPLE_FOLDER / "AudioWAV").mkdir(parents=True)
    for seed, file in enumerate(files):
        record(SAMPLE_FOLDER / "AudioWAV" / file, seed)
    (SAMPLE_FOLDER / "manifest.csv").write_text("file,bytes,sha256\n" + "".join(f"{file},3244,x\n" for file in files))
    for shard in range(4):
        read_shard(tmp_path / "results", f"s0{shard}")
    assert open_corpus(default_config(), tmp_path / "results") == found
    assert state(tmp_path / "AudioWAV") == before and len(files) == 288
