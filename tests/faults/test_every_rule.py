"""Rules of encoders, models, evaluation, report and bundles: a full disk, and kills of a run with all its processes."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from harness import clear, half_written, jobs, lost, state
from test_disk import disk

from own_encoder import model as own_encoder
from small_corpus import SETTINGS, make_recordings
from workspace import Workspace, lines

__all__ = ["disk"]
TARGETS = ("catalog", "features", "models", "report", "robustness", "bundles", "predict")
PARTS = {"1001": "train", "1002": "train", "1020": "valid", "1040": "test"}
ADAPTED = "logreg_embedding_speaker"
ALL = SETTINGS | {
    "runs": [{"protocol": "custom", "models": ["cnn1d", ADAPTED], "seeds": [0]}],
    "split": {"table": "parts.csv"},
    "models": {
        "cnn1d": {"epochs": 2, "dense": 8, "blocks": [{"filters": [8], "kernel": 3, "pool": 3}]},
        ADAPTED: {"architecture": "logreg_embedding", "encoder": "own", "standardize": "speaker"},
    },
    "encoders": {"own": {"onnx": "own.onnx"}},
    "report": {"clips": 2, "mistakes": 2},
    "evaluation": {"resamples": 200},
    # With a run named, so that no checkpoint hides the jobs behind it from a dry run.
    "robustness": {"conditions": ["gain"], "runs": [{"protocol": "custom", "models": ["cnn1d"], "seeds": [0]}]},
    "input": "ok",
}
NO_SPACE = "cannot be written (No space left on device); make room"


@pytest.fixture(scope="session")
def complete(project, make_once):
    """A finished run of every rule on four speakers. Not to be changed."""

    def fill(folder):
        make_recordings(folder / "ok")
        (folder / "own.onnx").write_bytes(own_encoder().SerializeToString())
        rows = [f"{path.stem},{PARTS[path.name[:4]]}\n" for path in sorted((folder / "ok").iterdir())]
        (folder / "parts.csv").write_text("clip,part\n" + "".join(rows))
        Workspace(folder, project, ALL).run(*TARGETS)

    return Workspace(make_once("complete", fill), project, ALL)


@pytest.fixture
def workspace(complete, tmp_path):
    """A copy of the finished run, to be changed at will."""
    return Workspace(shutil.copytree(complete.folder, tmp_path / "copy"), complete.project, complete.settings)


@pytest.fixture(scope="session")
def outputs_of(complete):
    """The rules, each with the results of its jobs."""
    return jobs(complete.run("--dry-run", "--forceall", *TARGETS))


def expected(complete):
    """Describe the results of the run that nothing has disturbed."""
    return state(complete.folder, "mine")


def missing(complete, workspace):
    return lost(expected(complete), workspace.folder, "mine")


RULES = {
    "fetch_encoder": (0, 0.5),
    "extract_embedding": (0, 0.5),
    "train_model": (0, 0.5, 0.9),
    "predict_test": (0,),
    "evaluate_model": (0,),
    "evaluate_enrolment": (0,),
    "explain_mistakes": (0, 0.5),
    "test_robustness": (0, 0.5),
    "evaluate_runs": (0, 0.5),
    "compare_runs": (0, 0.5),
    "record_provenance": (0,),
    "draw_clips": (0, 0.5),
    "draw_confusion": (0, 0.5),
    "draw_mistakes": (0, 0.5),
    "draw_evaluation": (0, 0.5),
    "render_report": (0, 0.5),
    "bundle_model": (0, 0.5),
    "predict_recordings": (0,),
    "collect_predictions": (0,),
}


@pytest.mark.parametrize(("rule", "room"), [(rule, room) for rule, rooms in RULES.items() for room in rooms])
def test_each_rule_on_a_full_disk(complete, workspace, outputs_of, disk, rule, room):
    """There is ``room`` for a share of its results."""
    folder, mount = disk
    mount("size=200m")
    outputs = outputs_of[rule][-1]
    for place in ("results", "resources"):
        shutil.copytree(workspace.folder / place, folder / place)
        shutil.rmtree(workspace.folder / place)
        (workspace.folder / place).symlink_to(folder / place)
    paths = [path for name in outputs for path in [workspace.folder / name, *(workspace.folder / name).rglob("*")]]
    size = sum(path.stat().st_size for path in paths if path.is_file())
    clear(workspace.folder, outputs)
    workspace.run("--dry-run", *outputs)  # the listing of this copy's recordings
    with (folder / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    os.truncate(folder / "filler", (folder / "filler").stat().st_size - int(room * size))
    done = workspace.snakemake("--cores", "1", *outputs)
    said = lines(done)
    assert done.returncode and "Traceback" not in done.stdout + done.stderr, (done.stdout + done.stderr)[-3000:]
    assert said and all(line.startswith(f"serflow {rule}: ") and NO_SPACE in line for line in said), said
    assert not [name for name in outputs if (workspace.folder / name).exists()]
    assert not list(folder.rglob("*.part*")) and not half_written(expected(complete), workspace.folder, "mine")
    (folder / "filler").unlink()
    workspace.run(*outputs, *TARGETS)
    assert not missing(complete, workspace)


def kill_all_of(command, folder, seconds):
    """Start a command and kill it with all processes that it started; return whether it was at work."""
    nothing = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=folder, stdout=nothing, stderr=nothing, start_new_session=True) as run:
        try:
            run.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            return True
    return False


# What is asked for, and what is deleted before.
KILLED = {
    "bundles": ("results/mine/bundles",),
    "features": ("resources/encoders", "results/mine/embedding"),
    "models": ("results/mine/models",),
    "report": ("results/mine/report", f"results/mine/models/custom/{ADAPTED}/seed0/fold0/enrolment.json"),
    "robustness": ("results/mine/robustness",),
    "predict": ("results/mine/predicted", "results/mine/bundles"),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("target", KILLED)
def test_a_run_that_is_killed_with_all_its_processes(complete, workspace, target, seed):
    moments, killed = random.Random(f"{target} {seed}"), 0
    clear(workspace.folder, KILLED[target])
    for _ in range(4):
        killed += kill_all_of(workspace.command("--cores", "2", target), workspace.folder, moments.uniform(2, 12))
        assert not half_written(expected(complete), workspace.folder, "mine")
    assert killed
    workspace.run(*TARGETS)
    assert not missing(complete, workspace)


@pytest.mark.parametrize("model", ["cnn1d", ADAPTED])
def test_predict_that_is_killed(complete, tmp_path, model):
    """Its tables are old ones until they are whole."""
    out = tmp_path / "out"
    tables = [out / "labels.csv", out / "timeline.parquet"]
    bundle = complete.results("mine") / f"bundles/custom/{model}/seed0/fold0.zip"
    command = [sys.executable, "-m", "serflow", "predict", str(bundle), "ok"]
    command += ["--output", str(tables[0]), "--timeline", str(tables[1])]
    began = time.monotonic()
    subprocess.run(command, cwd=complete.folder, check=True)
    seconds, whole = time.monotonic() - began, [path.read_bytes() for path in tables]
    moments, killed = random.Random(model), 0
    for _ in range(12):
        for path in tables:
            path.write_text("old")
        killed += kill_all_of(command, complete.folder, moments.uniform(0.5, 1) * seconds)
        assert all(path.read_bytes() in (b"old", new) for path, new in zip(tables, whole, strict=True))
        assert all(path.name.startswith(".") for path in out.iterdir() if path not in tables)
    assert killed
    subprocess.run(command, cwd=complete.folder, check=True)
    assert [path.read_bytes() for path in tables] == whole
