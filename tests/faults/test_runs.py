"""Two controllers, a controller that is killed, a clock that was wrong, and recordings that change under a run."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from serflow.models.backup import backup_path
from serflow.storage import tidy
from workspace import lines

MODEL = "results/mine/models/notebook/cnn1d/seed0/fold0/model.keras"
# Some hundred epochs, so that it is at work until it is stopped.
LONG = {"models": {"cnn1d": {"epochs": 400, "patience": 400}, "cnn2d": {"epochs": 1}}}
AUGMENT = {"seed": 0} | {kind: {"clips": 0, "low": 1, "high": 1} for kind in ("time_stretch", "pitch_shift")}


def steps(process):
    """Find the processes of a controller's steps, those of the rule's own command."""
    return [child for child in process.children(recursive=True) if child.cmdline()[1:3] == ["-m", "serflow"]]


@pytest.mark.whole
def test_two_controllers_and_one_that_is_killed(changed):
    backup = backup_path(changed.folder / MODEL)
    with changed.start("--cores", "2", MODEL, **LONG) as first:
        while not backup.exists():
            assert first.poll() is None
            time.sleep(0.02)
        (step,) = steps(psutil.Process(first.pid))
        (backup.parent / ".model.abc.part.keras").write_text("what a killed step leaves behind")
        second = changed.snakemake("--cores", "2", MODEL, **LONG)
        assert second.returncode == 1
        (said,) = lines(second)
        assert f"another run is using this folder (process {first.pid} on " in said and step.is_running()
        first.kill()
    # Nobody stops the step but itself.
    psutil.wait_procs([step], timeout=60)
    assert not step.is_running()
    assert (
        "the run that started this job has ended"
        in (changed.results("mine") / "logs/train_model/notebook/cnn1d/seed0/fold0.log").read_text()
    )
    assert backup.exists() and not (changed.folder / MODEL).exists()
    (changed.results("mine") / "mel/s00.npy").unlink()
    changed.run("results/mine/mel/s00.npy")
    assert not [path for path in changed.results("mine").rglob("*") if ".part" in path.name]


def test_a_step_ends_when_the_lock_is_given_up(tmp_path):
    lock = tmp_path / ".lock"
    hold = f"from serflow.runtime.locking import hold_lock; hold_lock({str(lock)!r}); print(flush=True); input()"
    watch = f"from serflow.runtime.locking import end_with_run; end_with_run({str(lock)!r}); print(flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", hold], **pipes) as run:
        run.stdout.readline()
        with subprocess.Popen([sys.executable, "-c", watch], **pipes) as step:
            step.stdout.readline()
            assert step.poll() is None
            run.kill()
            assert step.wait(timeout=60) == -signal.SIGKILL
            assert "so the job ends too" in step.stderr.read()


def test_what_a_killed_run_leaves_is_tidied(tmp_path):
    old, early, late, partial = (tmp_path / "below" / name for name in ("b", "c.npy", "a.json", ".s00.x1.part.npy"))
    old.parent.mkdir()
    for path, date in ((old, 10**9), (early, time.time() + 1000), (late, time.time() + 2000), (partial, 10**9)):
        path.touch()
        os.utime(path, (date, date))
    tidy(tmp_path)
    assert not partial.exists()
    assert old.stat().st_mtime == 10**9 < early.stat().st_mtime < late.stat().st_mtime <= time.time()


# Results count as too large to be compared by content, as those of a full corpus are.
LARGE = ("--max-checksum-file-size", "1")


def in_the_future(*paths):
    assert paths
    for path in paths:
        os.utime(path, (time.time() + 86_400,) * 2)


@pytest.mark.whole
def test_results_of_tomorrow_are_made_again_once_at_most(changed):
    results = changed.results("mine")
    in_the_future(*results.glob("fixed/*"), *results.glob("augmented/*"))
    changed.run(*LARGE)
    assert not changed.jobs(*LARGE)
    assert all(path.stat().st_mtime <= time.time() for path in results.rglob("*"))


@pytest.mark.whole
def test_a_clock_that_was_set_back_misses_nothing(changed):
    """A result that is made anew counts as such though its place had a later date."""
    results = changed.results("mine")
    in_the_future(*results.rglob("*.*"))
    before = (results / "mel/s00.npy").read_bytes()
    changed.run("features", *LARGE, mel={"n_mels": 64})
    assert (results / "mel/s00.npy").read_bytes() != before
    assert not changed.jobs("features", *LARGE, mel={"n_mels": 64})


def test_a_table_with_an_earlier_date_is_noticed(changed):
    path = changed.folder / "metadata/VideoDemographics.csv"
    path.write_text(path.read_text().replace("Female", "Male"))
    os.utime(path, (0, 0))
    assert changed.jobs("catalog") == {"catalog_clips": 1}
