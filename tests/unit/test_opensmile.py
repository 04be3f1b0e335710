"""eGeMAPS and ComParE are those of openSMILE, for each clip at its own length."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import soundfile as sf

from serflow.audio.io import read_clip
from serflow.features import KINDS, compute_features
from serflow.features.extract import extract_features
from serflow.features.smile import open_set
from serflow.runtime.errors import UserError
from serflow.storage import ArrayWriter, read_table, table_of, write_table

RATE = 16_000
SETS = {"egemaps": 88, "compare": 6_373}
SCHEMA = {"clip": "string", "offset": "int64", "length": "int64"}


def voices():
    """Three clips of different lengths that sound like a voice."""
    rng, clips = np.random.default_rng(0), []
    for pitch, seconds in ((120, 1.0), (210, 1.7), (300, 0.8)):
        time = np.arange(int(seconds * RATE)) / RATE
        phase = 2 * np.pi * pitch * (time + 0.01 * np.sin(8 * time))
        tones = sum(np.sin(number * phase) / number for number in range(1, 15))
        loud = 0.5 + 0.5 * np.sin(2 * np.pi * 3 * time)
        clips.append((0.1 * tones * loud + 0.002 * rng.normal(size=len(time))).astype(np.float32))
    return clips


@pytest.fixture
def shard(tmp_path):
    """Recordings end to end and their index, and the same as WAV files."""
    clips = [np.round(clip * 32_768) / np.float32(32_768) for clip in voices()]
    rows, offset = [], 0
    with ArrayWriter(tmp_path / "s00.npy") as out:
        for number, clip in enumerate(clips):
            sf.write(tmp_path / f"clip{number}.wav", clip, RATE, subtype="PCM_16")
            np.testing.assert_array_equal(read_clip(tmp_path / f"clip{number}.wav", RATE), clip)
            rows.append((f"clip{number}", offset, len(clip)))
            offset += len(clip)
            out.write(clip)
    write_table(tmp_path / "s00.parquet", table_of(rows, SCHEMA))
    return tmp_path


def extract(folder, kind, threads=1):
    output = folder / f"{kind}.parquet"
    files = {"index": folder / "s00.parquet", "output": output}
    extract_features(kind, folder / "s00.npy", settings={"sampling_rate": RATE}, threads=threads, **files)
    return read_table(output)


def test_without_opensmile_a_line_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    with pytest.raises(UserError) as error:
        compute_features("egemaps", voices(), {"sampling_rate": RATE})
    assert "need opensmile, whose licence allows research and private use only: pip install -r envs/" in str(
        error.value
    )


@pytest.mark.parametrize("kind", SETS)
def test_values_are_those_of_opensmile_for_the_file(shard, kind):
    opensmile = pytest.importorskip("opensmile")
    names = {"egemaps": "eGeMAPSv02", "compare": "ComParE_2016"}
    smile = opensmile.Smile(opensmile.FeatureSet[names[kind]], opensmile.FeatureLevel.Functionals)
    table = extract(shard, kind)
    assert table.column_names == ["clip", *smile.feature_names] and len(smile.feature_names) == SETS[kind]
    ours = np.column_stack([table[name].to_numpy() for name in smile.feature_names])
    theirs = np.concatenate([smile.process_file(str(shard / f"clip{n}.wav")).to_numpy() for n in range(3)])
    assert ours.shape == (3, SETS[kind]) and np.ptp(ours, axis=0).astype(bool).mean() > 0.8
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", SETS)
def test_other_clips_threads_and_processes_change_nothing(shard, kind):
    pytest.importorskip("opensmile")
    table = extract(shard, kind)
    assert table.equals(extract(shard, kind, threads=2))
    values = np.column_stack([table[name].to_numpy() for name in table.column_names[1:]])
    alone = compute_features(kind, voices_read(shard)[1:2], {"sampling_rate": RATE})
    assert alone.shape == (1, SETS[kind], 1) and alone.dtype == np.float32
    np.testing.assert_array_equal(alone[0, :, 0], values[1])
    again = f"from test_opensmile import *; extract(__import__('pathlib').Path({str(shard)!r}), {kind!r})"
    (shard / f"{kind}.parquet").rename(shard / "first.parquet")
    subprocess.run([sys.executable, "-c", again], cwd=__file__.rpartition("/")[0], check=True, capture_output=True)
    assert (shard / f"{kind}.parquet").read_bytes() == (shard / "first.parquet").read_bytes()


def voices_read(folder):
    return [read_clip(folder / f"clip{number}.wav", RATE) for number in range(3)]


def test_samples_beyond_full_scale_are_clipped():
    pytest.importorskip("opensmile")
    loud = voices()[0] * np.float32(30)
    clipped = np.clip(loud, -1, 32_767 / 32_768)
    assert np.abs(loud).max() > 1.5
    found, expected = (compute_features("egemaps", [clip], {"sampling_rate": RATE}) for clip in (loud, clipped))
    np.testing.assert_array_equal(found, expected)


def test_a_clip_that_is_too_short_is_named(tmp_path):
    pytest.importorskip("opensmile")
    with ArrayWriter(tmp_path / "s00.npy") as out:
        out.write(np.zeros(RATE + 300, np.float32))
    rows = [("long", 0, RATE), ("short", RATE, 300)]
    write_table(tmp_path / "s00.parquet", table_of(rows, SCHEMA))
    with warnings.catch_warnings(), pytest.raises(UserError, match="egemaps: the features of short hold NaN"):
        warnings.simplefilter("ignore")
        extract(tmp_path, "egemaps")


def test_a_shard_without_clips(tmp_path):
    pytest.importorskip("opensmile")
    with ArrayWriter(tmp_path / "s00.npy"):
        pass
    write_table(tmp_path / "s00.parquet", table_of([], SCHEMA))
    table = extract(tmp_path, "egemaps")
    assert len(table) == 0 and table.column_names == ["clip", *open_set("eGeMAPSv02").feature_names]


def test_every_set_is_a_kind():
    assert SETS.keys() <= KINDS.keys()
