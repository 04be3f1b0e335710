"""Recordings are read, copied and brought to one length as librosa and the notebook do it."""

import librosa
import numpy as np
import pytest
import soundfile as sf

from serflow.audio import augment, io, length
from serflow.audio.read_recordings import Recordings
from serflow.corpus.copies import NOTEBOOK
from serflow.runtime.errors import UserError
from serflow.storage import open_array, read_json, read_table
from steps import read_corpus, rows_of

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
    with pytest.raises(UserError, match="contains no samples"):
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


CLIPS = {"1001_DFA_ANG_XX": 1.0, "1001_DFA_SAD_XX": 0.6, "1002_DFA_HAP_XX": 1.4}  # seconds


@pytest.fixture
def folder(tmp_path):
    """A folder of three recordings of different lengths."""
    (tmp_path / "audio").mkdir()
    for clip, seconds in CLIPS.items():
        sf.write(tmp_path / f"audio/{clip}.wav", voice(seconds), RATE)
    return tmp_path


def test_a_recording_is_described_and_kept_as_it_is(folder):
    indices = read_corpus(folder, folder / "audio")
    rows = rows_of(indices)
    assert [row["samples"] for row in rows] == [row["length"] for row in rows] == [16_000, 9_600, 22_400]
    assert [row["offset"] for row in rows] == [0, 16_000, 25_600]
    first = rows[0]
    assert (first["speaker"], first["sentence"], first["emotion"], first["level"]) == ("1001", "DFA", "ANG", "XX")
    assert (first["rate"], first["channels"], first["subtype"], first["problem"]) == (RATE, 1, "PCM_16", None)
    samples = io.read_clip(folder / "audio" / first["file"], RATE)
    assert first["peak"] == pytest.approx(np.abs(samples).max()) and first["duration"] == 1.0
    assert first["rms"] == pytest.approx(np.sqrt(np.mean(samples**2)), rel=1e-5)
    assert len(first["sha256"]) == len(first["audio_sha256"]) == 64
    recorded = Recordings([indices[0].with_suffix(".npy")], indices)
    for clip in CLIPS:
        np.testing.assert_array_equal(recorded[clip], io.read_clip(folder / f"audio/{clip}.wav", RATE))


def make_copies(folder):
    """Augment the shard of a folder; return its arrays and their indices, recordings first."""
    stems = [folder / "recordings/s00", folder / "augmented/s00"]
    samples, indices = ([stem.with_suffix(suffix) for stem in stems] for suffix in (".npy", ".parquet"))
    plan = folder / "plan/s00.parquet"
    paths = {"output": samples[1], "output_index": indices[1]}
    augment.augment_audio(samples[0], indices[0], plan, sampling_rate=RATE, **paths)
    return samples, indices


def test_from_recordings_to_one_length_without_losing_a_label(folder):
    read_corpus(folder, folder / "audio", augment=AUGMENT)
    samples, indices = make_copies(folder)
    copies = read_table(indices[1]).to_pylist()
    assert [(row["clip"], row["origin"], row["kind"], row["length"]) for row in copies] == [
        ("1002_DFA_HAP_XX.pitch_shift", "1002_DFA_HAP_XX", "pitch_shift", 22_400),
        ("1001_DFA_SAD_XX.time_stretch", "1001_DFA_SAD_XX", "time_stretch", 12_000),
    ]
    stretched = augment.time_stretch(io.read_clip(folder / "audio/1001_DFA_SAD_XX.wav", RATE), 0.8)
    np.testing.assert_array_equal(open_array(samples[1])[22_400:], stretched)
    target = folder / "target.json"
    length.measure_length(indices, setting="average", output=folder / "length.json", target=target)
    found = read_json(folder / "length.json")
    assert found["measured_length"] == 82_400 // 5 and found["clips"] == 5
    assert read_json(target)["target_length"] == found["target_length"]
    outputs = {"output": folder / "f.npy", "output_index": folder / "f.parquet"}
    length.fix_length(samples, indices, target, copies=NOTEBOOK, **outputs)
    fixed, size = open_array(folder / "f.npy"), found["target_length"]
    assert fixed.shape == (5, size)
    rows = read_table(folder / "f.parquet").to_pylist()
    assert rows[:3] == [{"clip": clip, "origin": clip, "kind": "original"} for clip in CLIPS]
    assert rows[3:] == [{key: row[key] for key in ("clip", "origin", "kind")} for row in copies]
    for row, clip in zip(fixed, CLIPS, strict=False):
        whole = np.pad(io.read_clip(folder / f"audio/{clip}.wav", RATE), (0, size))
        np.testing.assert_array_equal(row, whole[:size])
    np.testing.assert_array_equal(fixed[4], np.pad(stretched, (0, size))[:size])


def test_copies_at_another_speed_neither_change_the_length_nor_join_the_others_unasked(folder):
    speed = {"speed": {"clips": 1.0, "rates": [0.5, 1.25]}}
    read_corpus(folder, folder / "audio", augment=AUGMENT | speed)
    samples, indices = make_copies(folder)
    made = [row for row in read_table(indices[1]).to_pylist() if row["kind"] == "speed"]
    assert [row["length"] for row in made if row["origin"] == "1001_DFA_ANG_XX"] == [2 * 16_000, 12_800]
    target, outputs = folder / "target.json", {"output": folder / "f.npy", "output_index": folder / "f.parquet"}
    length.measure_length(indices, setting="average", output=folder / "length.json", target=target)
    assert read_json(folder / "length.json")["measured_length"] == 82_400 // 5
    for copies, count in ((NOTEBOOK, 5), (["speed"], 9)):
        length.fix_length(samples, indices, target, copies=copies, **outputs)
        assert len(open_array(folder / "f.npy")) == count
    names, slow = read_table(folder / "f.parquet")["clip"].to_pylist(), augment.change_speed
    recorded = io.read_clip(folder / "audio/1002_DFA_HAP_XX.wav", RATE)
    fixed = open_array(folder / "f.npy")[names.index("1002_DFA_HAP_XX.speed@0.5")]
    np.testing.assert_array_equal(fixed, length.truncate_or_pad([slow(recorded, 0.5, RATE)], fixed.size)[0])


def test_another_speed_changes_tempo_and_pitch_together():
    tone = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)
    faster = augment.change_speed(tone, 1.25, RATE)
    assert len(faster) == RATE / 1.25
    spectrum = np.abs(np.fft.rfft(faster * np.hanning(len(faster))))
    assert abs(spectrum.argmax() * RATE / len(faster) - 550) < 2


def test_an_unusable_recording_has_no_copy_and_no_clip_of_the_common_length(folder):
    (folder / "audio/1002_DFA_HAP_XX.wav").write_bytes(b"")
    read_corpus(folder, folder / "audio", policy="exclude", augment=AUGMENT)
    samples, indices = make_copies(folder)
    assert read_table(indices[1])["kind"].to_pylist() == ["time_stretch"]
    length.measure_length(indices, setting="average", output=folder / "length.json", target=folder / "target.json")
    assert read_json(folder / "length.json")["measured_length"] == (16_000 + 9_600 + 12_000) // 3
    outputs = {"output": folder / "f.npy", "output_index": folder / "f.parquet"}
    length.fix_length(samples, indices, folder / "target.json", copies=NOTEBOOK, **outputs)
    clips = read_table(folder / "f.parquet")["clip"].to_pylist()
    assert clips == ["1001_DFA_ANG_XX", "1001_DFA_SAD_XX", "1001_DFA_SAD_XX.time_stretch"]
    assert len(open_array(folder / "f.npy")) == 3


def test_samples_that_are_not_those_of_the_index_are_refused(folder):
    read_corpus(folder / "a", folder / "audio")
    (folder / "audio/1002_DFA_HAP_XX.wav").unlink()
    read_corpus(folder / "b", folder / "audio")
    length.measure_length([], setting="40775", output=folder / "length.json", target=folder / "target.json")
    samples, index = folder / "a/recordings/s00.npy", folder / "b/recordings/s00.parquet"
    outputs = {"output": folder / "f.npy", "output_index": folder / "f.parquet"}
    with pytest.raises(UserError, match=r"s00\.npy: does not hold the clips of .*s00\.parquet"):
        length.fix_length([samples], [index], folder / "target.json", copies=NOTEBOOK, **outputs)
    assert not (folder / "f.npy").exists()


def test_a_configured_length_needs_no_measuring(tmp_path):
    length.measure_length([], setting="40775", output=tmp_path / "length.json", target=tmp_path / "target.json")
    expected = {"target_length": 40_775, "frames": 25, "frame_size": 1631, "hop_length": 815}
    assert read_json(tmp_path / "target.json") == expected
    assert expected.items() <= read_json(tmp_path / "length.json").items()


def test_a_corpus_without_usable_recordings_has_no_average(folder):
    for clip in CLIPS:
        (folder / f"audio/{clip}.wav").write_bytes(b"")
    indices = read_corpus(folder, folder / "audio", policy="exclude")
    with pytest.raises(UserError, match="the corpus is empty"):
        length.measure_length(indices, setting="average", output=folder / "length.json", target=folder / "target.json")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("1001_DFA_ANG_XX.wav", b"", "the file is empty"),
        ("hello.wav", b"x", "is not a CREMA-D name"),
        ("1001_DFA_ANG_XX.flac", b"fLaC and then nothing", "not a readable audio file"),
    ],
)
def test_a_bad_recording_fails_or_is_noted(folder, name, content, message):
    (folder / "audio/1001_DFA_ANG_XX.wav").unlink()
    (folder / "audio" / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_corpus(folder, folder / "audio")
    assert not list((folder / "recordings").iterdir())
    rows = rows_of(read_corpus(folder, folder / "audio", policy="exclude"))
    assert len(rows) == 3 and sum(message in (row["problem"] or "") for row in rows) == 1
