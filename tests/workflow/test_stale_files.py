"""Only what is stale when recordings, code or results change: asked of the DAG, and done for real."""

import json
import os
import shutil
from collections import Counter

import numpy as np
import pytest
import soundfile as sf

from serflow.corpus.copies import plan_copies
from workspace import SMALL, Workspace

READ = ("read_recordings", "augment_audio", "fix_length", "extract_frames", "extract_mel")
JOINT = Counter(catalog_clips=1, split_clips=1)
RUN = Counter(train_model=1, predict_test=1, evaluate_model=1, draw_curves=1, draw_confusion=1)
LENGTH = 20_000


def of_shards(count):
    return Counter(dict.fromkeys(READ, count)) + JOINT


@pytest.fixture(scope="module")
def fixed(mine, tmp_path_factory):
    """A copy of the run on a folder with a length that is set, up to the features. Not to be changed."""
    folder = shutil.copytree(mine.folder, tmp_path_factory.mktemp("fixed") / "run")
    workspace = Workspace(folder, mine.project, SMALL | {"length": LENGTH})
    workspace.run("features", "catalog")
    return workspace


@pytest.fixture
def recordings(fixed, tmp_path):
    """A copy of that run, to be changed at will."""
    return Workspace(shutil.copytree(fixed.folder, tmp_path / "run"), fixed.project, fixed.settings)


def add(audio):
    shutil.copy(audio / "1001_DFA_ANG_XX.wav", audio / "1001_TAI_ANG_XX.wav")


def remove(audio):
    (audio / "1001_DFA_ANG_XX.wav").unlink()


def replace(audio):
    other = next(clip for clip in sorted(audio.glob("1001_*")) if "_ANG_" not in clip.name)
    shutil.copy(other, audio / "1001_DFA_ANG_XX.wav")


def rename(audio):
    (audio / "1001_DFA_ANG_XX.wav").rename(audio / "1001_TAI_ANG_XX.wav")


def rename_to_another_speaker(audio):
    (audio / "1001_DFA_ANG_XX.wav").rename(audio / "1002_TAI_ANG_XX.wav")


def add_a_speaker(audio):
    for clip in list(audio.glob("1001_*")):
        shutil.copy(clip, audio / clip.name.replace("1001", "1005"))


def copy_with_the_same_content(audio):
    clip = audio / "1001_DFA_ANG_XX.wav"
    content = clip.read_bytes()
    clip.unlink()
    clip.write_bytes(content)
    clip.chmod(0o400)


def touch_the_metadata(audio):
    for table in (audio.parent / "metadata").iterdir():
        os.utime(table)


def other_files(audio):
    (audio / "notes.txt").write_text("not a recording")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (add, of_shards(1)),
        (remove, of_shards(1)),
        (replace, of_shards(1)),
        (rename, of_shards(1)),
        (rename_to_another_speaker, of_shards(2)),
        (add_a_speaker, of_shards(1)),
        (copy_with_the_same_content, Counter()),
        (touch_the_metadata, Counter()),
        (other_files, Counter()),
    ],
)
def test_a_recording_concerns_its_shard_alone(recordings, change, expected):
    change(recordings.folder / "AudioWAV")
    assert recordings.jobs("features", "catalog") == expected


def test_a_deleted_result_is_made_again(changed):
    (changed.results("mine") / "mel/s01.npy").unlink()
    assert not changed.jobs()  # all that is made of it is there
    assert changed.jobs("features") == Counter(extract_mel=1)
    changed.run("features")
    # What follows is asked anew: the array has the content that it had, so nothing does.
    assert not changed.jobs()


EVALUATION = ("evaluate_runs", "compare_runs", "draw_evaluation", "draw_mistakes", "record_provenance")
EVALUATION += ("explain_mistakes", "render_report")


@pytest.mark.parametrize(
    ("module", "old", "new", "expected"),
    [
        ("features/mel.py", "decibels.transpose(0, 2, 1))\n", "decibels.transpose(0, 2, 1))  # a remark\n", set()),
        ("audio/stft.py", "_TOP_DB = 80.0\n", "_TOP_DB = 80.0\nUNUSED = 1\n", set()),
        ("audio/io.py", "the file is empty; copy it", "empty; copy it", set()),
        ("storage/__init__.py", "__all__ = [", "_UNUSED = 1\n__all__ = [", set()),
        (
            "features/mel.py",
            "decibels.transpose(0, 2, 1))\n",
            "decibels.transpose(0, 2, 1).copy())\n",
            {"extract_mel", "draw_clips", *RUN, *EVALUATION},
        ),
        ("report/templates/page.css", "max-width: 84rem", "max-width: 80rem", {"render_report"}),
    ],
    ids=["a comment", "an unused constant", "a message", "plumbing", "a function of mel", "a style of the page"],
)
def test_code_concerns_what_runs_it(changed, tmp_path, module, old, new, expected):
    project = tmp_path / "project"
    project.mkdir()
    for name in ("Snakefile", "config.yaml"):
        shutil.copy2(changed.project / name, project)
    for name in ("workflow", "profiles", "envs", "config", "resources"):
        shutil.copytree(changed.project / name, project / name)
    there = Workspace(changed.folder, project, SMALL)
    assert not there.jobs()
    path = project / "workflow/src/serflow" / module
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    jobs = there.jobs()
    assert set(jobs) == expected
    if module.startswith("features") and expected:
        assert (jobs["extract_mel"], jobs["train_model"]) == (4, 1)


@pytest.mark.extended
def test_really_adding_a_clip_makes_one_shard_anew(changed):
    """Also with an average length, though a dry run cannot know yet that it stays the same."""
    results = changed.folder / "results/mine"
    measured = json.loads((results / "length.json").read_text())["measured_length"]
    clip = "1001_TAI_ANG_XX"
    copies = plan_copies([clip], {"seed": 0} | {
        kind: {"clips": 1, "low": low, "high": high}
        for kind, low, high in (("time_stretch", 0.8, 1.2), ("pitch_shift", -4, 4))
    })  # fmt: skip
    rate = next(copy.parameter for copy in copies if copy.kind == "time_stretch")
    noise = np.random.default_rng(0).normal(size=round(3 * (measured + 0.5) / (2 + 1 / rate)))
    sf.write(changed.folder / f"AudioWAV/{clip}.wav", 0.1 * noise, 16_000)
    assert changed.jobs()["fix_length"] == 4
    files = [
        path
        for folder in ("recordings", "augmented", "fixed", "frames", "mel")
        for path in (results / folder).iterdir()
    ]
    before = {path: path.stat().st_mtime_ns for path in files}
    changed.run()
    assert json.loads((results / "length.json").read_text())["measured_length"] == measured
    assert {path.stem for path, time in before.items() if path.stat().st_mtime_ns != time} == {"s01"}
    assert all(path.stat().st_mtime_ns != time for path, time in before.items() if path.stem == "s01")
    assert not changed.jobs()


@pytest.mark.extended
def test_really_editing_a_setting_leaves_the_rest_alone(changed):
    results = changed.folder / "results/mine"
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*.*") if "logs" not in path.parts}
    changed.run("features", mel={"n_mels": 64})
    redone = {path.parent.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    # The listing holds the inodes of the recordings, which those of a copy do not have.
    assert redone - {"listing"} == {"mel", "extract_mel"}
