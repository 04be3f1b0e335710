"""Running Snakemake as a user does, in a folder of its own."""

import fcntl
import gc
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

QUICK = {"models": {"cnn1d": {"epochs": 1}, "cnn2d": {"epochs": 1}}}


TARGETS = ("all", "catalog", "features", "models", "report", "notebook", "speaker_independent")
TARGETS += ("cross_corpus", "random", "custom", "bundles", "predict", "search", "robustness")
# A run on a folder of recordings, small enough to be done again and again.
RUNS = [{"protocol": "notebook", "models": ["cnn1d", "cnn2d"], "seeds": [0]}]
SMALL = {
    "corpus": "mine",
    "audio": "AudioWAV",
    "runs": RUNS,
    "split": {"valid": 0.2},
    "models": {"cnn1d": {"epochs": 1}, "cnn2d": {"epochs": 1}},
    "report": {"clips": 2, "mistakes": 2},
}


def in_a_fork(words: list[str], folder: Path) -> subprocess.CompletedProcess:
    """Run Snakemake in a fork of this process: importing it takes longer than a dry run does."""
    import snakemake.cli

    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if not child:
            gc.disable()  # functions of TensorFlow abort if they are collected in a fork
            code = 1
            try:
                os.chdir(folder)
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
                for name in [name for name in sys.modules if name.partition(".")[0] == "serflow"]:
                    del sys.modules[name]  # the project that is run may be a copy
                snakemake.cli.main(words)
            except SystemExit as end:
                code = end.code or 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read())
    return subprocess.CompletedProcess(words, code, *texts)


@dataclass
class Workspace:
    """A folder with results, and the settings that differ from config.yaml there."""

    folder: Path
    project: Path
    settings: dict = field(default_factory=dict)

    def snakemake(self, *arguments: str, **settings) -> subprocess.CompletedProcess:
        """Run Snakemake; keyword arguments are settings that go on top of the workspace's own."""
        command = self.command(*arguments, **settings)
        if "--dry-run" in arguments:
            return in_a_fork(command[3:], self.folder)
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)

    def start(self, *arguments: str, **settings) -> subprocess.Popen:
        """Start Snakemake and do not wait for it; what it says is lost."""
        nothing = subprocess.DEVNULL
        return subprocess.Popen(self.command(*arguments, **settings), cwd=self.folder, stdout=nothing, stderr=nothing)

    def command(self, *arguments: str, **settings) -> list[str]:
        merged = [f"{key}={json.dumps(value)}" for key, value in (self.settings | settings).items()]
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(self.project / "Snakefile"), *arguments]
        return command + (["--config", *merged] if merged else [])

    def run(self, *arguments: str, cores: int = 2, **settings) -> str:
        done = self.snakemake("--cores", str(cores), *arguments, **settings)
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout + done.stderr

    def jobs(self, *arguments: str, **settings) -> Counter:
        """Count the jobs that would run, by rule, targets left out."""
        done = self.snakemake("--dry-run", *arguments, **settings)
        assert done.returncode == 0, done.stderr[-4000:]
        text = done.stdout + done.stderr
        if "Nothing to be done" in text:
            return Counter()
        table = re.search(r"^Job stats:\n.*?\n-[- ]*\n(.*?)^total ", text, re.M | re.S)
        counts = Counter({name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table[1], re.M)})
        for target in TARGETS:
            del counts[target]
        return counts

    def results(self, corpus: str = "sample") -> Path:
        return self.folder / "results" / corpus


class Checkout(Workspace):
    """A copy of the project with results in it, where a user's commands are run as they are written."""

    def shell(self, command: str) -> str:
        """Run a documented command with two cores, and with the folder ``data`` in place of /data."""
        line = command.replace("--cores 8", "--cores 2").replace("/data/", f"{self.folder}/data/")
        # As after `make env` there, which installs the package of the folder.
        package, programs = self.folder / "workflow/src", Path(sys.executable).parent
        environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(package)}
        options = {"cwd": self.folder, "env": environment, "capture_output": True, "text": True, "check": False}
        done = subprocess.run(["bash", "-ec", line], **options)
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
        return done.stdout + done.stderr


def lines(done: subprocess.CompletedProcess) -> list[str]:
    """Return the lines of a run that serflow itself printed."""
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("serflow")]


@pytest.fixture(scope="session")
def make_once(tmp_path_factory, worker_id):
    """Return a function that makes a folder, once for all workers, and returns its path."""
    base = tmp_path_factory.getbasetemp()
    base = base if worker_id == "master" else base.parent

    def make(name, fill) -> Path:
        folder, done = base / name, base / f"{name}.done"
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def sample(make_once, project) -> Workspace:
    """The finished default run on the sample corpus, with models trained for one epoch. Not to be changed."""
    return Workspace(make_once("sample", lambda folder: Workspace(folder, project, QUICK).run()), project, QUICK)


BUNDLED = ("cnn1d", "cnn2d", "svm_functionals", "logreg_embedding")
ADAPTED, ENSEMBLE = "logreg_embedding_speaker", "ensemble"
SEARCH = {
    "linear": {"model": "logreg_embedding", "trials": 2, "folds": [0], "space": {"C": {"low": 0.0001, "high": 0.1}}}
}
BUNDLED_RUN = "speaker-independent/{}/seed0/fold0"


@pytest.fixture(scope="session")
def bundled(sample, make_once) -> Workspace:
    """A copy of the finished run with a bundle of each model, and a search. To be changed in predicted/ only."""

    def fill(folder):
        shutil.copytree(sample.folder, folder, symlinks=True, dirs_exist_ok=True)
        runs = [*map(BUNDLED_RUN.format, (*BUNDLED, ADAPTED)), "notebook/cnn1d/seed0/fold0"]
        Workspace(folder, sample.project, QUICK).run(*(f"results/sample/bundles/{run}.zip" for run in runs))
        settings = {**QUICK, "runs": [{"protocol": "speaker-independent", "models": [ENSEMBLE], "seeds": [0]}]}
        Workspace(folder, sample.project, settings).run(f"results/sample/bundles/{BUNDLED_RUN.format(ENSEMBLE)}.zip")
        Workspace(folder, sample.project, {**QUICK, "search": SEARCH}).run("results/sample/search/linear/trials.csv")

    return Workspace(make_once("bundled", fill), sample.project, QUICK)


@pytest.fixture
def copy_of_sample(sample, tmp_path) -> Workspace:
    """A copy of the finished run, to be changed at will."""
    shutil.copytree(sample.folder, tmp_path / "copy", symlinks=True)
    return Workspace(tmp_path / "copy", sample.project, QUICK)


def check_out(project: Path, folder: Path) -> Checkout:
    """Copy the project's files to a folder; models are trained for one epoch there."""
    for name in ("Snakefile", "Makefile", "pyproject.toml"):
        shutil.copy2(project / name, folder)
    leave = shutil.ignore_patterns("__pycache__", "*.egg-info", "corpora")
    for name in ("workflow", "profiles", "envs", "config", "resources"):
        shutil.copytree(project / name, folder / name, ignore=leave, dirs_exist_ok=True)
    for name in ("config.yaml", "config/sample.yaml"):
        wanted = len(QUICK["models"])  # which come first
        text, count = re.subn(r"\bepochs: \d+", "epochs: 1", (project / name).read_text(), count=wanted)
        assert count == wanted
        (folder / name).write_text(text)
    return Checkout(folder, folder)


@pytest.fixture
def files(project, tmp_path) -> Checkout:
    """A copy of the project, without results."""
    return check_out(project, tmp_path)


@pytest.fixture
def checkout(sample, tmp_path) -> Checkout:
    """A copy of the project and of the finished run, to be changed at will."""
    return check_out(sample.project, shutil.copytree(sample.folder, tmp_path / "checkout", symlinks=True))


@pytest.fixture
def empty(tmp_path, project) -> Workspace:
    return Workspace(tmp_path, project)


@pytest.fixture(scope="session")
def mine(sample, make_once):
    """A finished run on a folder of four speakers' recordings, one in each shard. Not to be changed."""

    def fill(folder):
        made = sample.folder / "resources/corpora/sample"
        (folder / "AudioWAV").mkdir()
        for clip in sorted((made / "AudioWAV").glob("*.wav")):
            if clip.name[:4] in ("1001", "1002", "1019", "1020") and clip.name[5:8] in ("DFA", "IEO"):
                shutil.copy2(clip, folder / "AudioWAV")
        shutil.copytree(folder / "AudioWAV", folder / "elsewhere")
        for name in ("metadata", "tables"):
            shutil.copytree(made / "metadata", folder / name)
        workspace = Workspace(folder, sample.project, SMALL)
        workspace.run()
        assert not workspace.jobs()

    return Workspace(make_once("mine", fill), sample.project, SMALL)


@pytest.fixture
def changed(mine, tmp_path):
    """A copy of the finished run, to be changed at will."""
    return Workspace(shutil.copytree(mine.folder, tmp_path / "changed"), mine.project, SMALL)
