"""Environments, limits, full disks, Ctrl-C and kills: the same bytes at the end, and at most one line on the way."""

import contextlib
import hashlib
import os
import pty
import random
import shutil
import signal
import subprocess
import time

import psutil
import pytest
from test_disk import disk

from small_corpus import SETTINGS, make_recordings
from tiny_bundle import write_bundle
from workspace import Workspace, lines

__all__ = ["disk"]
PREDICT = {"input": "ok", "bundle": "b.zip"}
TARGETS = ("features", "catalog", "predict")
NO_SPACE = r"No space left on device"


@pytest.fixture(scope="session")
def tiny(project, make_once):
    """A finished run on four speakers up to features and labels. Not to be changed."""

    def fill(folder):
        make_recordings(folder / "ok")
        write_bundle(folder / "b.zip")
        Workspace(folder, project, SETTINGS | PREDICT).run(*TARGETS)

    return Workspace(make_once("tiny", fill), project, SETTINGS | PREDICT)


@pytest.fixture
def fresh(tiny, tmp_path):
    """A folder with the same recordings and no results."""
    for name in ("ok", "b.zip"):
        (tmp_path / name).symlink_to(tiny.folder / name)
    return Workspace(tmp_path, tiny.project, tiny.settings)


@pytest.fixture
def finished(tiny, tmp_path):
    """A copy of the finished run, to be changed at will."""
    return Workspace(shutil.copytree(tiny.folder, tmp_path / "copy"), tiny.project, tiny.settings)


def digests(workspace):
    """Return the digests of all results but what tells of time, and of the recordings' place."""
    found = {}
    for path in workspace.results("mine").rglob("*"):
        name = str(path.relative_to(workspace.results("mine")))
        if path.is_file() and not name.startswith(("logs/", "benchmarks/", "listing/")):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    assert {name.partition("/")[0] for name in found} >= {"recordings", "fixed", "frames", "catalog", "predicted"}
    assert not [name for name in found if ".part" in name]
    return found


def limited(workspace, limit, *arguments, **variables):
    """Run Snakemake in a shell after a command such as ulimit."""
    command = ["bash", "-c", f'{limit}; exec "$@"', "bash", *workspace.command(*arguments)]
    environment = os.environ | variables
    return subprocess.run(
        command, cwd=workspace.folder, capture_output=True, text=True, check=False, timeout=300, env=environment
    )


@pytest.mark.parametrize(
    ("variables", "cores"),
    [
        ({"LC_ALL": "C", "LANG": "C", "PYTHONHASHSEED": "1"}, 1),
        ({"LC_ALL": "tr_TR.UTF-8", "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "2"}, 2),
        ({"PYTHONUTF8": "0", "LC_ALL": "POSIX", "TZ": "America/St_Johns", "COLUMNS": "20", "NO_COLOR": "1"}, 2),
        ({"PATH": os.defpath}, 2),  # the environment is not activated
    ],
)
def test_no_environment_changes_a_byte(tiny, fresh, variables, cores):
    done = limited(fresh, "umask 077", "--cores", str(cores), *TARGETS, **variables)
    assert done.returncode == 0, done.stderr[-3000:]
    assert digests(fresh) == digests(tiny)


def test_dates_alone_find_nothing_stale(finished):
    assert not finished.jobs(*TARGETS) and not finished.jobs(*TARGETS, "--rerun-triggers", "mtime")
    shutil.copy(finished.folder / "ok/1002_DFA_SAD_XX.wav", finished.folder / "ok/1001_DFA_ANG_XX.wav")
    assert finished.jobs("features", "--rerun-triggers", "mtime")["read_recordings"] == 1


@pytest.mark.parametrize(
    ("limit", "enough"), [("-f 12", False), ("-v 1500000", False), ("-n 12", False), ("-n 20", True)]
)
def test_a_limit_of_the_system(tiny, fresh, limit, enough):
    done = limited(fresh, f"ulimit {limit}", "--cores", "1", *TARGETS)
    said = lines(done)
    assert (done.returncode == 0) == enough and all(len(line) < 500 for line in said), done.stderr[-3000:]
    assert not said or "Traceback" not in done.stdout + done.stderr, (done.stdout + done.stderr)[-3000:]
    fresh.run(*TARGETS)
    assert digests(fresh) == digests(tiny)


RULES = {
    "read_recordings": ["recordings/s00.npy", "recordings/s00.parquet"],
    "measure_length": ["length.json", "target.json"],
    "fix_length": ["fixed/s00.npy", "fixed/s00.parquet"],
    "extract_frames": ["frames/s00.parquet"],
    "catalog_clips": [f"catalog/{name}" for name in ("clips.parquet", "excluded.tsv", "flagged.tsv", "audit.json")],
    "split_clips": ["splits/speaker-independent.parquet"],
    "predict_recordings": ["predicted/s00.parquet", "predicted/timeline/s00.parquet"],
    "collect_predictions": ["predicted/recordings.csv", "predicted/timeline.csv"],
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_on_a_full_disk(tiny, finished, disk, rule):
    folder, mount = disk
    mount("size=64m")
    shutil.copytree(finished.folder / "results", folder, dirs_exist_ok=True)
    shutil.rmtree(finished.folder / "results")
    (finished.folder / "results").symlink_to(folder)
    for output in RULES[rule]:
        (folder / "mine" / output).unlink()
    asked = [f"results/mine/{output}" for output in RULES[rule]]
    finished.run("--dry-run", *asked)  # the listing of this copy's recordings
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    done = finished.snakemake("--cores", "1", *asked)
    said = lines(done)
    assert done.returncode and "Traceback" not in done.stdout + done.stderr, (done.stdout + done.stderr)[-3000:]
    assert said and all(line.startswith(f"serflow {rule}: ") and NO_SPACE in line for line in said), said
    assert not [output for output in RULES[rule] if (folder / "mine" / output).exists()]
    filler.unlink()
    finished.run(*asked, *TARGETS)
    assert digests(finished) == digests(tiny)


@pytest.mark.parametrize("place", [".snakemake", "tmp"])
def test_other_folders_on_a_full_disk(tiny, fresh, disk, place):
    folder, mount = disk
    (folder / "filler").write_bytes(bytes((1 << 20) - 4096))
    (fresh.folder / place).symlink_to(folder)
    done = limited(fresh, "true", "--cores", "1", *TARGETS, TMPDIR=str(fresh.folder / "tmp"))
    if place == "tmp":  # no rule needs it
        assert done.returncode == 0, done.stderr[-3000:]
    else:
        assert done.returncode
        mount("size=64m")
        fresh.run("--rerun-incomplete", *TARGETS)
    assert digests(fresh) == digests(tiny)


def children_of(process):
    return [child for child in process.children(recursive=True) if "serflow" in " ".join(child.cmdline())]


@pytest.mark.parametrize("seed", range(4))
def test_ctrl_c_on_a_terminal(tiny, fresh, seed):
    """At random moments, three times; what a terminal sends goes to all processes of the run."""
    moments = random.Random(seed)
    for _ in range(3):
        process, terminal = pty.fork()
        if not process:
            os.chdir(fresh.folder)
            command = fresh.command("--cores", "2", *TARGETS)
            os.execv(command[0], command)
        began, wait = time.monotonic(), moments.uniform(0.5, 16)
        os.set_blocking(terminal, False)
        said, asked, ended = b"", False, None
        while ended is None:
            assert time.monotonic() - began < 120
            if not asked and time.monotonic() - began > wait:
                asked = bool(os.write(terminal, b"\x03"))
            try:
                said += os.read(terminal, 65536)
            except OSError:
                time.sleep(0.02)
            number, status = os.waitpid(process, os.WNOHANG)
            ended = status if number else None
        os.close(terminal)
        assert not [line for line in said.decode(errors="replace").splitlines() if line.startswith("serflow ")], said
    fresh.run(*TARGETS)
    assert digests(fresh) == digests(tiny)


@pytest.mark.parametrize("seed", range(3))
def test_kills_during_predict(tiny, finished, seed):
    """The controller is killed, or one of its jobs."""
    moments, killed = random.Random(seed), 0
    shutil.rmtree(finished.results("mine") / "predicted")
    for _ in range(4):
        with finished.start("--cores", "2", "predict") as run:
            time.sleep(moments.uniform(2, 7))
            victims = [psutil.Process(run.pid)] if run.poll() is None else []
            if moments.random() < 0.5 and victims:
                victims = children_of(victims[0]) or victims
            for victim in victims[:1]:
                victim.send_signal(signal.SIGKILL)
                killed += 1
            run.wait(timeout=120)
    assert killed
    finished.run(*TARGETS)
    assert digests(finished) == digests(tiny)
