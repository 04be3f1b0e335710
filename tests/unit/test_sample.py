"""The sample corpus is the same on every run, sounds as it should, and refuses what it cannot do."""

import csv
import hashlib
import os
import subprocess
import sys
import wave
from collections import Counter

import espeakng_loader
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from serflow.corpus import sample
from serflow.corpus.crema_d_names import EMOTIONS, SENTENCES, parse_name
from serflow.runtime.errors import UserError

CLIPS = sample.sample_clips()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    sample.synthesize_sample(folder, seed=1)
    return folder


@pytest.fixture(scope="module")
def audio(corpus):
    return [read(corpus / "AudioWAV" / f"{clip.clip}.wav") for clip in CLIPS]


def read(path):
    with wave.open(str(path)) as file:
        assert file.getparams()[:3] == (1, 2, 16000)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pitch(frames):
    """Fundamental frequency in Hz of each frame: the highest peak of its autocorrelation, 60 to 400 Hz."""
    power = np.abs(np.fft.rfft(frames * np.hanning(frames.shape[1]), 2 * frames.shape[1])) ** 2
    return 16000 / (40 + np.fft.irfft(power)[:, 40:267].argmax(1))


def loud_frames(x):
    frames = np.lib.stride_tricks.sliding_window_view(x, 1024)[::256]
    rms = np.sqrt(np.mean(frames**2, axis=1))
    return frames[rms > 0.3 * rms.max()]


def statistics(x):
    frames = loud_frames(x)
    energy, f0 = np.log(np.mean(frames**2, axis=1)), np.log(pitch(frames))
    crossings = np.mean(np.diff(np.signbit(frames), axis=1), axis=1)
    power = np.abs(np.fft.rfft(frames)) ** 2
    centroid = np.log(power @ np.arange(power.shape[1]) / power.sum(1))
    spread = [energy.mean(), energy.std(), np.median(f0), f0.std(), crossings.mean(), centroid.mean()]
    return [*spread, np.log(len(x)), np.log(len(frames))]


# --- the list ---------------------------------------------------------------------------------------------


def test_names_are_sorted_unique_and_those_of_crema_d():
    names = [clip.clip for clip in CLIPS]
    assert names == sorted(set(names)) and len(names) == 288
    assert [parse_name(name) for name in names] == CLIPS


def test_the_design_is_balanced():
    assert set(Counter(clip.speaker for clip in CLIPS).values()) == {24}
    by_speaker = Counter((clip.speaker, clip.emotion) for clip in CLIPS)
    assert len(by_speaker) == 12 * 6 and set(by_speaker.values()) == {4}
    by_sentence = Counter((clip.sentence, clip.emotion) for clip in CLIPS)
    assert len(by_sentence) == 12 * 6 and set(by_sentence.values()) == {4}
    spoken = Counter((clip.speaker, clip.sentence) for clip in CLIPS)
    assert len(spoken) == 12 * len(SENTENCES) and set(spoken.values()) == {2}
    assert len({clip[:3] for clip in CLIPS}) == 288
    blocks = Counter((int(speaker) - 1001) // 18 for speaker in sample.SPEAKERS)
    assert blocks == {0: 4, 1: 4, 2: 4}
    assert Counter(sex for _, sex in sample.SPEAKERS.values()) == {"Male": 6, "Female": 6}


def test_only_one_sentence_has_levels():
    levels = Counter(clip.level for clip in CLIPS if clip.sentence == "IEO" and clip.emotion != "NEU")
    assert set(levels) == {"LO", "MD", "HI"} and min(levels.values()) >= 5
    for emotion in set(EMOTIONS) - {"NEU"}:
        assert len({clip.level for clip in CLIPS if clip[1:3] == ("IEO", emotion)}) > 1
    assert {clip.level for clip in CLIPS if clip.sentence != "IEO" or clip.emotion == "NEU"} == {"XX"}


def test_the_list_is_cheap():
    code = "import sys, serflow.corpus.sample as s; s.sample_clips(); print('numpy' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=here())
    assert ran.stdout.strip() == "False"


# --- determinism ------------------------------------------------------------------------------------------


def here(**more):
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **more}


def test_the_same_seed_gives_the_same_bytes(corpus, tmp_path):
    # In another interpreter, with other addresses and another filling of fresh memory: espeak-ng reads memory
    # that it never set for some of its voices, which two runs of one process do not show.
    code = "import sys; from serflow.corpus.sample import *; synthesize_sample(sys.argv[1], seed=1, processes=5)"
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, env=here(MALLOC_PERTURB_="165"))
    assert contents(tmp_path) == contents(corpus)


def test_a_clip_depends_on_the_seed_and_not_on_what_was_spoken_before(corpus, tmp_path):
    last = CLIPS[-1]
    for seed in (1, 2):
        sample._speak_all(tmp_path / str(seed), [last], seed, 1)
    name = f"{last.clip}.wav"
    original = (corpus / "AudioWAV" / name).read_bytes()
    assert (tmp_path / "1" / name).read_bytes() == original
    assert (tmp_path / "2" / name).read_bytes() != original


# --- the files --------------------------------------------------------------------------------------------


def test_manifest_lists_what_is_there(corpus):
    rows = list(csv.DictReader((corpus / "manifest.csv").open()))
    assert [row["file"] for row in rows] == [f"{clip.clip}.wav" for clip in CLIPS]
    files = {path.name: path.read_bytes() for path in (corpus / "AudioWAV").iterdir()}
    assert {row["file"] for row in rows} == set(files)
    for row in rows:
        data = files[row["file"]]
        assert (row["sha256"], int(row["bytes"])) == (hashlib.sha256(data).hexdigest(), len(data))
        assert data[36:40] == b"data"  # a header of 44 bytes, as CREMA-D has


def test_metadata_and_readme(corpus):
    people = list(csv.DictReader((corpus / "metadata" / "VideoDemographics.csv").open()))
    assert list(people[0]) == ["ActorID", "Age", "Sex", "Race", "Ethnicity"]
    assert {row["ActorID"]: row["Sex"] for row in people} == {a: sex for a, (_, sex) in sample.SPEAKERS.items()}
    assert {row["Race"] for row in people} == {row["Ethnicity"] for row in people} == {"Synthetic"}
    readme = (corpus / "README.txt").read_text()
    assert "synthetic speech" in readme and "espeak-ng 1." in readme and "seed 1:" in readme


def test_audio_is_within_bounds(audio):
    seconds = np.array([len(x) / 16000 for x in audio])
    assert seconds.min() > 0.8 and seconds.max() < 3.0 and 1.5 < seconds.mean() < 1.8
    peaks = np.array([np.abs(x).max() for x in audio])
    assert peaks.max() <= 0.9501 and peaks.min() > 0.03
    for x in audio:
        assert np.count_nonzero(x[:800]) > 700  # noise, not digital silence, before the first word
        assert -63 < 20 * np.log10(np.std(x[:800])) < -57
        assert abs(x.mean()) < 0.01


# --- what can be heard ------------------------------------------------------------------------------------


def test_voices_differ_and_have_the_pitch_of_their_sex(audio):
    heard = {}
    for speaker, (_, sex) in sample.SPEAKERS.items():
        plain = [x for x, clip in zip(audio, CLIPS, strict=True) if clip[0] == speaker and clip.emotion == "NEU"]
        frames = np.concatenate([loud_frames(x) for x in plain])
        middle = np.median(pitch(frames))
        assert middle < 155 if sex == "Male" else middle > 155, (speaker, middle)
        spectrum = np.log(np.mean(np.abs(np.fft.rfft(frames)) ** 2, axis=0))
        heard[speaker] = spectrum[1:].reshape(16, -1).mean(1)  # bands of 500 Hz
    for speaker, spectrum in heard.items():
        nearest = min(np.abs(spectrum - other).mean() for a, other in heard.items() if a != speaker)
        assert nearest > 0.3, speaker  # 1.3 dB


def test_emotions_can_be_learned_across_speakers_but_not_perfectly(audio):
    features = np.array([statistics(x) for x in audio])
    blocks = [int(clip.speaker) // 18 for clip in CLIPS]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    accuracy = cross_val_score(model, features, [c.emotion for c in CLIPS], groups=blocks, cv=LeaveOneGroupOut())
    assert 0.5 < accuracy.mean() < 0.85, accuracy


# --- what goes wrong --------------------------------------------------------------------------------------


def test_an_unknown_voice_is_an_error_although_espeak_accepts_it(monkeypatch, tmp_path):
    for voice in ("en-us+nobody", "en-gb+f5", "nowhere"):
        monkeypatch.setitem(sample.SPEAKERS, "1001", (voice, "Male"))
        with pytest.raises(UserError, match=f"1001_DFA.*no voice {voice.replace('+', '.')}"):
            sample.synthesize_sample(tmp_path, seed=1)
        assert not (tmp_path / "manifest.csv").exists()


def test_missing_espeak_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(UserError, match="pip install espeakng-loader"):
        sample.synthesize_sample(tmp_path, seed=1)


def test_a_platform_without_fork_is_an_error(monkeypatch, tmp_path):
    def refuse(method):
        raise ValueError(f"cannot find context for {method!r}")

    monkeypatch.setattr(sample.multiprocessing, "get_context", refuse)
    with pytest.raises(UserError, match="fork"):
        sample.synthesize_sample(tmp_path, seed=1)


def test_a_killed_child_is_an_error_and_leaves_no_manifest(monkeypatch, tmp_path):
    (tmp_path / "manifest.csv").write_text("of an earlier run")
    (tmp_path / "AudioWAV").mkdir()
    (tmp_path / "AudioWAV" / ".1001_DFA_ANG_XX.q.part.wav").write_text("of an earlier run that was killed")
    monkeypatch.setattr(sample, "_render", lambda clip, seed: os.kill(os.getpid(), 9))
    with pytest.raises(UserError, match=r"1001_DFA.* code -9"):
        sample.synthesize_sample(tmp_path, seed=1)
    assert not (tmp_path / "manifest.csv").exists() and not list(tmp_path.rglob("*.wav"))


def test_a_long_path_to_the_voices_is_no_hindrance(corpus, monkeypatch, tmp_path):
    far = tmp_path / ("x" * 200)  # espeak-ng itself cuts paths at 160 bytes
    far.symlink_to(espeakng_loader.get_data_path())
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: str(far))
    sample._speak_all(tmp_path, CLIPS[:1], 1, 1)
    name = f"{CLIPS[0].clip}.wav"
    assert (tmp_path / name).read_bytes() == (corpus / "AudioWAV" / name).read_bytes()


def test_recordings_of_others_are_left_alone(tmp_path):
    recording = tmp_path / "AudioWAV" / "1005_DFA_ANG_XX.wav"
    recording.parent.mkdir()
    recording.write_bytes(b"RIFF")
    with pytest.raises(UserError, match=r"1005_DFA_ANG_XX.* is not part of the sample corpus"):
        sample.synthesize_sample(tmp_path, seed=1)
    assert contents(tmp_path) == {"AudioWAV/1005_DFA_ANG_XX.wav": b"RIFF"}
