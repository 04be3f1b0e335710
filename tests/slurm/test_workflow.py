"""The workflow on a real SLURM cluster: the same results as on one machine, and what happens when things break."""

import functools
import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from serflow.storage import read_csv
from slurm_processes import signal_all, with_environment
from workspace import QUICK, Workspace

RUNS = [{"protocol": "notebook", "models": ["cnn1d", "cnn2d"], "seeds": [0]}]
FEATURES = ("catalog", "splits", "augmented", "fixed", "frames", "mel", "embedding")
EMBEDDED = "results/sample/embedding/whisper-tiny.en/s00.npy"
# As in the profile, but asking every few seconds, since these jobs take no longer.
SOON = (
    "--slurm-init-seconds-before-status-checks",
    "3",
    "--max-status-checks-per-second",
    "10",
    "--latency-wait",
    "10",
)


class OnCluster(Workspace):
    """A workspace whose jobs go to the cluster by the profile that ships."""

    cluster = None

    @property
    def profile(self):
        return ("--workflow-profile", str(self.project / "workflow/profiles/slurm"), *SOON)

    def command(self, *arguments, **settings):
        merged = [f"{key}={json.dumps(value)}" for key, value in (self.settings | settings).items()]
        snakefile = ("--snakefile", str(self.project / "Snakefile"))
        return [sys.executable, "-m", "snakemake", *snakefile, *self.profile, *arguments, "--config", *merged]

    def snakemake(self, *arguments, environment=(), **settings):
        command = self.command(*arguments, **settings)
        environment = self.cluster.env | dict(environment)
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)

    def start(self, *arguments, **settings):
        """Start a run and do not wait for it."""
        log = (self.folder / "controller.log").open("a")
        command = self.command(*arguments, **settings)
        # Whatever a shell starts in the background ignores Ctrl-C, and so would all that it starts.
        heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        options = {"env": self.cluster.env, "stdout": log, "stderr": log, "preexec_fn": heed}
        return subprocess.Popen(command, cwd=self.folder, **options)

    def said(self):
        return (self.folder / "controller.log").read_text()

    def running(self):
        """Return the jobs that run now, each with its node."""
        return {job: node for job, (state, node) in self.cluster.queue().items() if state == "RUNNING"}

    def submitted(self, text=None):
        """Return the states of the jobs that this workspace's runs submitted; a run's jobs are named after its id."""
        runs = re.findall(r"SLURM run ID: (\S+)", text or self.said())
        return [job for job in self.cluster.jobs() if job["JobName"] in runs]


@pytest.fixture(scope="session")
def sample(make_once, project):
    """The same runs on this machine alone. Not to be changed."""
    settings = QUICK | {"runs": RUNS}
    folder = make_once("local", lambda folder: Workspace(folder, project, settings).run("models", "catalog", EMBEDDED))
    return Workspace(folder, project, settings)


@pytest.fixture
def on_cluster(cluster, sample, tmp_path):
    """An empty workspace."""
    workspace = OnCluster(tmp_path, sample.project, sample.settings)
    workspace.cluster = cluster
    return workspace


@pytest.fixture
def finished(cluster, sample, tmp_path):
    """A copy of the finished local run, to be damaged and mended on the cluster."""
    shutil.copytree(sample.folder, tmp_path / "copy", symlinks=True)
    workspace = OnCluster(tmp_path / "copy", sample.project, sample.settings)
    workspace.cluster = cluster
    return workspace


def digests(results):
    files = [results / "length.json", *(path for folder in FEATURES for path in (results / folder).rglob("*.*"))]
    files = [path for path in files if path.is_file()]  # and not the folder of an encoder
    return {str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def wait_until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.3)
    return found


def test_the_same_results_as_on_one_machine(on_cluster, sample):
    done = on_cluster.snakemake("models", "catalog", EMBEDDED)
    assert done.returncode == 0, done.stderr[-3000:]
    ours = digests(on_cluster.results())
    assert ours == digests(sample.results()) and EMBEDDED.removeprefix("results/sample/") in ours
    for model in ("cnn1d", "cnn2d"):
        ours, theirs = (
            json.loads((workspace.results() / f"models/notebook/{model}/seed0/fold0/metrics.json").read_text())
            for workspace in (on_cluster, sample)
        )
        timed = {"seconds": 0, "checksum": ""}  # the one is of the other too
        assert ours | timed == theirs | timed
    jobs = on_cluster.submitted(done.stderr)
    assert {job["NodeList"] for job in jobs} >= {"n1", "n2"}
    assert {job["State"] for job in jobs} == {"COMPLETED"}


def test_a_controller_that_is_killed_and_a_node_that_dies(on_cluster, sample):
    cluster = on_cluster.cluster
    run = on_cluster.start("features")
    wait_until((on_cluster.results() / "target.json").exists, 600)  # so the recordings have been read
    earlier = cluster.queue()
    left, *_ = wait_until(lambda: sorted(on_cluster.running().keys() - earlier.keys()), 60)
    processes = wait_until(lambda: with_environment(f"SLURM_JOB_ID={left}"))
    signal_all(processes, signal.SIGSTOP)  # so that it does not end before it is cancelled
    run.kill()
    run.wait()
    made = {path: path.stat().st_mtime_ns for path in on_cluster.results().glob("recordings/*.parquet")}
    old = cluster.queue()
    run = on_cluster.start("features")
    node = wait_until(lambda: [node for job, node in on_cluster.running().items() if job not in old], 180)[0]
    cluster.kill_node(node)
    cluster.wait_for_node(node, "down", seconds=90)
    cluster.start_node(node)
    assert run.wait(400) == 0, on_cluster.said()[-3000:]
    # What the killed run had finished was not made again; what it had left in the queue was cancelled.
    assert {path: path.stat().st_mtime_ns for path in on_cluster.results().glob("recordings/*.parquet")} == made
    states = {(int(job["JobIDRaw"]), job["State"].split()[0]) for job in on_cluster.submitted()}
    assert {(left, "CANCELLED"), (left, "FAILED")} & states and "cancelled" in on_cluster.said()
    assert {"NODE_FAIL", "REQUEUED"} & {state for _, state in states}
    ours = digests(on_cluster.results())
    assert ours.items() <= digests(sample.results()).items() and any(name.startswith("mel/") for name in ours)


SEARCH = {
    "net": {
        "model": "cnn2d",
        "protocol": "random",
        "trials": 4,
        "rungs": [1],
        "keep": 0.5,
        "space": {"learning_rate": {"low": 0.0003, "high": 0.003, "log": True}, "dense": {"choices": [[16], [32]]}},
    }
}


def test_a_search_that_is_killed_half_way_gives_the_same_table(finished, sample, tmp_path):
    """The clock alone differs from a search on this machine."""
    settings = {"models": {"cnn2d": {"epochs": 3, "batch_size": 32}}, "search": SEARCH}
    table = "results/sample/search/net/trials.csv"
    shutil.copytree(sample.folder, tmp_path / "local", symlinks=True)
    local = Workspace(tmp_path / "local", sample.project, sample.settings)
    local.run(table, **settings)
    run = finished.start(table, **settings)
    wait_until(lambda: list(finished.results().glob("search/net/trial*/fold0/rung0.json")), 300)
    run.kill()
    run.wait()
    assert not (finished.folder / table).exists()
    done = finished.snakemake(table, **settings)
    assert done.returncode == 0, done.stderr[-3000:]
    ours, theirs = (read_csv(workspace.folder / table) for workspace in (finished, local))
    assert [row | {"seconds": ""} for row in ours] == [row | {"seconds": ""} for row in theirs] and len(ours) == 4


def test_a_job_over_its_memory_is_tried_again_with_more(finished):
    (finished.results() / "mel/s00.npy").unlink()
    target = str((finished.results() / "mel/s00.npy").relative_to(finished.folder))
    done = finished.snakemake(target, "--set-resources", "extract_mel:mem_mb=60 if attempt == 1 else 1500")
    assert done.returncode == 0, done.stderr[-3000:]
    states = [job["State"].split()[0] for job in finished.submitted(done.stderr)]
    assert states[0] in ("OUT_OF_MEMORY", "FAILED", "CANCELLED") and states[-1] == "COMPLETED" and len(states) == 2


def test_a_job_past_its_time_is_tried_again_with_more(finished):
    (finished.results() / "mel/s00.npy").unlink()
    target = str((finished.results() / "mel/s00.npy").relative_to(finished.folder))
    run = finished.start(target, "--set-resources", "extract_mel:runtime=1 if attempt == 1 else 30")
    (job,) = wait_until(finished.running)
    processes = wait_until(lambda: with_environment(f"SLURM_JOB_ID={job}"))
    signal_all(processes, signal.SIGSTOP)  # it hangs, and its minute passes
    assert run.wait(400) == 0, finished.said()[-3000:]
    assert [job["State"] for job in finished.submitted()] == ["TIMEOUT", "COMPLETED"]


def test_a_job_that_fails_for_good_says_which_and_why(on_cluster, sample, tmp_path):
    audio = tmp_path / "AudioWAV"
    shutil.copytree(sample.folder / "resources/corpora/sample/AudioWAV", audio)
    (audio / "1002_DFA_ANG_XX.wav").write_bytes(b"no audio")
    settings = {"corpus": "mine", "audio": str(audio)}
    done = on_cluster.snakemake("catalog", "--retries", "1", "--keep-going", **settings)
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Error in rule read_recordings" in text and "shard=s02" in text
    assert "results/mine/logs/read_recordings/s02.log" in text
    assert "1002_DFA_ANG_XX.wav: not a readable audio file" in text
    read = {path.stem for path in on_cluster.results("mine").glob("recordings/*.parquet")}
    assert read == {"s00", "s01", "s03"}


def test_interrupting_the_controller_cancels_its_jobs(on_cluster):
    run = on_cluster.start("features")
    cluster = on_cluster.cluster

    def active():
        return [job for job, (state, _) in cluster.queue().items() if state in ("RUNNING", "PENDING")]

    wait_until(active, 120)
    run.send_signal(signal.SIGINT)
    assert run.wait(180) != 0
    wait_until(lambda: not active(), 60)


def test_without_accounting_squeue_is_asked(finished):
    (finished.results() / "mel/s00.npy").unlink()
    finished.cluster.stop_accounting()
    target = str((finished.results() / "mel/s00.npy").relative_to(finished.folder))
    done = finished.snakemake(target)
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_partition_that_does_not_exist(on_cluster):
    done = on_cluster.snakemake("catalog", environment={"SBATCH_PARTITION": "nowhere"})
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("serflow:")]
    assert said == ["serflow: SBATCH_PARTITION: the cluster has no partition 'nowhere'; it has main, short"]
