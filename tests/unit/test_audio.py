import json

import librosa
import numpy as np
import pyarrow as pa
import pytest
import soundfile as sf
from serflow.audio.scan import scan_recordings

from serflow.audio import augment, io, length
from serflow.runtime.errors import UserError
from serflow.storage import ArrayWriter, open_array, read_table, write_table

RATE = 16_000
# With this seed 1001_DFA_SAD_XX is stretched and 1002_DFA_HAP_XX shifted, and nothing else.
AUGMENT = {
    "seed": 3,
    "time_stretch": {"clips": 1, "low": 0.8, "high": 0.8},
    "pitch_shift": {"clips": 1, "low": 2.0, "high": 2.0},
}


def voice(seconds=1.5, rate=RATE, seed=0):
    """A harmonic tone with vibrato, noise and pauses: enough like speech for a phase vocoder."""
    time = np.arange(int(seconds * rate)) / rate
    phase = 2 * np.pi * (140 * time + 3 * np.sin(2 * np.pi * 3 * time))
    tone = sum(np.sin(k * phase) / k for k in range(1, 20)) * (np.sin(2 * np.pi * 1.7 * time) > -0.6)
    noise = np.random.default_rng(seed).normal(size=len(time))
    return (0.2 * tone + 0.005 * noise).astype(np.float32)


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 1), (8_000, 2), (48_000, 2)])
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_reading_is_librosas(tmp_path, rate, channels, suffix):
    path = tmp_path / f"x.{suffix}"
    sf.write(path, np.column_stack([voice(0.7, rate, seed) for seed in range(channels)]), rate)
    expected, _ = librosa.load(path, sr=RATE)
    ours = io.read_clip(path, RATE)
    assert ours.dtype == np.float32 and ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS pointer, not the recording"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a readable audio file"),
        (b"RIFF" + bytes(20), "not a readable audio file"),
    ],
)
def test_files_that_are_no_audio(tmp_path, content, message):
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        io.read_clip(path, RATE)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_file_without_samples(tmp_path):
    sf.write(tmp_path / "x.wav", np.zeros(0, dtype=np.float32), RATE)
    with pytest.raises(UserError, match="holds no samples"):
        io.read_clip(tmp_path / "x.wav", RATE)


@pytest.mark.parametrize("rate", [0.8, 0.93, 1.0, 1.2])
def test_time_stretch_is_librosas(rate):
    samples = voice()
    expected = librosa.effects.time_stretch(samples.astype(np.float64), rate=rate)
    ours = augment.time_stretch(samples, rate)
    assert ours.shape == expected.shape and ours.dtype == np.float32
    assert np.abs(ours - expected).max() < 1e-3 * np.abs(expected).max()


@pytest.mark.parametrize("semitones", [-4, -0.3, 0.0, 2.5, 4])
def test_pitch_shift_is_librosas(semitones):
    samples = voice()
    expected = librosa.effects.pitch_shift(samples.astype(np.float64), sr=RATE, n_steps=semitones)
    ours = augment.pitch_shift(samples, semitones, RATE)
    assert ours.shape == samples.shape and ours.dtype == np.float32
    assert np.abs(ours - expected).max() < 1e-3 * np.abs(expected).max()


@pytest.mark.parametrize("count", [1, 2, 100, 2047, 2048, 2049])
def test_very_short_and_silent_clips_can_be_augmented(count):
    for samples in (np.zeros(count, np.float32), np.ones(count, np.float32)):
        assert augment.time_stretch(samples, 0.8).shape == (round(count / 0.8),)
        shifted = augment.pitch_shift(samples, -3.3, RATE)
        assert shifted.shape == (count,) and np.isfinite(shifted).all()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [(40_775, (40_775, 25)), (40_697, (40_695, 15)), (40_690, (40_690, 26)), (2 * 31 * 1000, (62_000, 16))],
)
def test_the_length_divides_into_frames(wanted, expected):
    found, frames = length.choose_length(wanted)
    assert found % frames == 0 and (found, frames) == expected


def test_every_length_has_an_answer_near_it():
    for wanted in range(6000, 60_000, 7):
        found, frames = length.choose_length(wanted)
        assert wanted - 14 <= found <= wanted and found % frames == 0 and 15 <= frames <= 60
        if found != wanted:
            assert frames <= 24 and all(wanted % factor for factor in range(15, 61))


def test_a_length_too_short_for_frames():
    with pytest.raises(UserError, match="too short for features"):
        length.choose_length(300)


def test_lengths_are_checked():
    length.check_lengths([5, 5], 5)
    with pytest.raises(ValueError, match=r"2 clips are not 5 samples long: \[4, 6\]"):
        length.check_lengths([4, 5, 6], 5)


@pytest.fixture
def shard(tmp_path):
    """A scanned folder of three clips of different lengths."""
    folder = tmp_path / "audio"
    folder.mkdir()
    clips = {"1001_DFA_ANG_XX": 1.0, "1001_DFA_SAD_XX": 0.6, "1002_DFA_HAP_XX": 1.4}
    for clip, seconds in clips.items():
        sf.write(folder / f"{clip}.wav", voice(seconds), RATE)
    scan_recordings(folder, shard=0, shards=1, policy="fail", output=tmp_path / "scan.parquet")
    return tmp_path


def test_scan_describes_each_recording(shard):
    rows = read_table(shard / "scan.parquet").to_pylist()
    assert [row["samples"] for row in rows] == [16_000, 9_600, 22_400]
    first = rows[0]
    assert (first["speaker"], first["sentence"], first["emotion"], first["level"]) == ("1001", "DFA", "ANG", "XX")
    assert (first["rate"], first["channels"], first["subtype"], first["problem"]) == (RATE, 1, "PCM_16", None)
    samples = io.read_clip(shard / "audio" / first["file"], RATE)
    assert first["peak"] == pytest.approx(np.abs(samples).max()) and first["duration"] == 1.0
    assert first["rms"] == pytest.approx(np.sqrt(np.mean(samples**2)), rel=1e-5) and len(first["sha256"]) == 64


def test_from_recordings_to_one_length_without_losing_a_label(shard):
    augment.augment_audio(
        shard / "scan.parquet",
        AUGMENT,
        shard / "audio",
        sampling_rate=RATE,
        output=shard / "s.npy",
        index=shard / "s.parquet",
    )
    index = read_table(shard / "s.parquet").to_pylist()
    assert [(row["clip"].split(".")[-1], row["samples"]) for row in index] == [
        ("1001_DFA_ANG_XX", 16_000),
        ("1001_DFA_SAD_XX", 9_600),
        ("time_stretch", 12_000),
        ("1002_DFA_HAP_XX", 22_400),
        ("pitch_shift", 22_400),
    ]
    assert open_array(shard / "s.npy").shape == (sum(row["samples"] for row in index),)
    length.measure_length([shard / "s.parquet"], "average", shard / "length.json", shard / "target.json")
    found = json.loads((shard / "length.json").read_text())
    assert found["measured_length"] == 82_400 // 5
    length.fix_length(
        shard / "s.npy",
        shard / "s.parquet",
        shard / "target.json",
        output=shard / "f.npy",
        output_index=shard / "f.parquet",
    )
    fixed = open_array(shard / "f.npy")
    assert fixed.shape == (5, found["target_length"])
    assert read_table(shard / "f.parquet")["clip"].to_pylist() == [row["clip"] for row in index]
    original = io.read_clip(shard / "audio" / "1001_DFA_SAD_XX.wav", RATE)
    np.testing.assert_array_equal(fixed[1], np.pad(original, (0, found["target_length"] - len(original))))
    np.testing.assert_array_equal(
        fixed[3], io.read_clip(shard / "audio" / "1002_DFA_HAP_XX.wav", RATE)[: found["target_length"]]
    )


def test_samples_that_are_not_those_of_the_index_are_refused(tmp_path):
    with ArrayWriter(tmp_path / "s.npy") as out:
        out.write(np.zeros(9))
    row = {"clip": ["a"], "origin": ["a"], "kind": ["original"], "offset": [0], "samples": [10]}
    write_table(tmp_path / "s.parquet", pa.table(row))
    length.measure_length([], 40_775, tmp_path / "length.json", tmp_path / "target.json")
    places = {"output": tmp_path / "f.npy", "output_index": tmp_path / "f.parquet"}
    with pytest.raises(UserError, match=r"s\.npy: does not hold what .*s\.parquet says"):
        length.fix_length(tmp_path / "s.npy", tmp_path / "s.parquet", tmp_path / "target.json", **places)
    assert not (tmp_path / "f.npy").exists()


def test_a_configured_length_needs_no_measuring(tmp_path):
    length.measure_length([], 40_775, tmp_path / "length.json", tmp_path / "target.json")
    found = json.loads((tmp_path / "length.json").read_text())
    assert (found["target_length"], found["frames"], found["frame_size"], found["hop_length"]) == (
        40_775,
        25,
        1631,
        815,
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("1001_DFA_ANG_XX.wav", b"", "the file is empty"),
        ("hello.wav", b"x", "is not a CREMA-D name"),
        ("1001_DFA_ANG_XX.flac", b"fLaC and then nothing", "not a readable audio file"),
    ],
)
def test_a_bad_recording_fails_or_is_noted(shard, name, content, message):
    folder = shard / "audio"
    (folder / "1001_DFA_ANG_XX.wav").unlink()
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        scan_recordings(folder, shard=0, shards=1, policy="fail", output=shard / "new.parquet")
    assert not (shard / "new.parquet").exists()
    scan_recordings(folder, shard=0, shards=1, policy="exclude", output=shard / "new.parquet")
    rows = read_table(shard / "new.parquet").to_pylist()
    assert len(rows) == 3 and sum(message in (row["problem"] or "") for row in rows) == 1
