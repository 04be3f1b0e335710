"""The test cluster itself: what the workflow's tests take for granted about it."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from slurm_cluster import NODES, Cluster
from slurm_processes import Daemon, start_time, wait_until, with_environment

COMMAND = Path(__file__).parent / "cluster"
GROW = "import time; held = [time.sleep(0.05) or bytearray(b'x' * (10 << 20)) for _ in range(60)]; time.sleep(60)"


@pytest.fixture(scope="module")
def late(cluster, tmp_path_factory):
    """A job that outstays its limit of a minute; submitted first, looked at last."""
    return cluster.submit("sleep 300", "--time=1", "--mem=100", cwd=tmp_path_factory.mktemp("late"))


def test_up_again_changes_nothing(cluster, late):
    before = {name: daemon.pid for name, daemon in Cluster(cluster.folder).daemons.items()}
    begin = time.monotonic()
    assert "already up" in cluster.control("up")
    assert time.monotonic() - begin < 5
    assert before == {name: daemon.pid for name, daemon in Cluster(cluster.folder).daemons.items()}
    assert None not in before.values()


def test_status_tells_every_daemon(cluster):
    words = cluster.control("status")
    assert words.count(" up ") == 6 and all(name in words for name in ("slurmctld", "slurmdbd", "mariadbd", *NODES))


def test_env_makes_a_bare_shell_use_the_cluster(cluster):
    lines = cluster.control("env")
    answer = subprocess.run(
        ["sh", "-c", f"{lines}\nsinfo --noheader --format=%R"],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert set(answer.stdout.split()) == {"main", "short"}


def test_srun_reaches_both_nodes(cluster, late):
    answer = cluster.run("srun", "--nodes=2", "--ntasks-per-node=1", "printenv", "SLURMD_NODENAME")
    assert sorted(answer.stdout.split()) == list(NODES)


def test_srun_works_without_slurm_conf_in_its_environment(cluster, tmp_path):
    # The Snakemake plugin strips every SLURM_* variable inside a job before it calls srun.
    job = cluster.submit("env -u SLURM_CONF srun printenv SLURMD_NODENAME", "--mem=100", cwd=tmp_path)
    assert cluster.wait_for(job)[0] == "COMPLETED"
    assert (tmp_path / f"{job}.out").read_text().strip() in NODES


def test_sacct_tells_of_a_job(cluster, tmp_path):
    job = cluster.submit("true", "--mem=100", "--job-name=told", "--comment=rule_told", cwd=tmp_path)
    cluster.wait_for(job)
    wait_until(lambda: told_of(cluster, job) == [("told", "serflow", "rule_told", "COMPLETED")], 30)
    assert told_of(cluster, job) == [("told", "serflow", "rule_told", "COMPLETED")]


def told_of(cluster, job):
    # The state may reach the accounting before the comment does.
    return [(row["JobName"], row["Account"], row["Comment"], row["State"]) for row in runs_of(cluster, job)]


def test_unknown_partition_is_refused(cluster, tmp_path):
    answer = cluster.run("sbatch", "--partition=nosuch", "--wrap=true", check=False, cwd=tmp_path)
    assert answer.returncode == 1 and "invalid partition" in answer.stderr


def test_job_over_its_memory_is_killed(cluster, tmp_path):
    job = cluster.submit(f'srun python3 -c "{GROW}"', "--mem=200", "--time=5", cwd=tmp_path)
    assert cluster.wait_for(job, seconds=30)[0] in ("FAILED", "OUT_OF_MEMORY")
    assert "exceeded memory limit" in (tmp_path / f"{job}.out").read_text()


def test_job_outlives_the_accounting(cluster, tmp_path):
    cluster.stop_accounting()
    assert cluster.run("sacct", check=False).returncode == 1
    job = cluster.submit("true", "--mem=100", cwd=tmp_path)
    assert cluster.wait_for(job)[0] == "COMPLETED"
    cluster.start_accounting()
    assert wait_until(lambda: any(row["State"] == "COMPLETED" for row in runs_of(cluster, job)), 30)


@pytest.mark.slow
def test_job_of_a_killed_node_runs_again(cluster, tmp_path):
    # `trap` would see anything gentler than SIGKILL.
    script = "trap 'echo warned' TERM; echo $SLURMD_NODENAME >> ran; sleep 8 & echo $! >> pids; wait"
    job = cluster.submit(script, "--requeue", "--mem=100", "--time=5", cwd=tmp_path)
    _, node = cluster.wait_for(job, "RUNNING")
    assert wait_until(lambda: (tmp_path / "pids").exists() and (tmp_path / "pids").read_text().strip(), 10)
    sleeper = int((tmp_path / "pids").read_text())
    cluster.kill_node(node)
    assert start_time(sleeper) is None
    cluster.wait_for_node(node, "down")
    cluster.start_node(node)
    assert cluster.wait_for(job, *("COMPLETED", "FAILED", "CANCELLED"), seconds=60)[0] == "COMPLETED"
    assert len((tmp_path / "ran").read_text().split()) == 2
    assert "warned" not in (tmp_path / f"{job}.out").read_text()
    assert wait_until(lambda: len(runs_of(cluster, job)) == 2, 10)
    assert {row["State"] for row in runs_of(cluster, job)} == {"NODE_FAIL", "COMPLETED"}


@pytest.mark.parametrize("name", ["munged", "mariadbd", "slurmctld"])
def test_up_mends_a_killed_daemon(cluster, name):
    os.kill(Cluster(cluster.folder).daemons[name].pid, signal.SIGKILL)
    answer = subprocess.run([COMMAND, "--dir", cluster.folder, "status"], capture_output=True)
    assert answer.returncode == 1
    cluster.control("up")
    assert cluster.run("srun", "printenv", "SLURMD_NODENAME").stdout.strip() in NODES


@pytest.mark.slow
def test_job_past_its_time_is_ended(cluster, late):
    assert cluster.wait_for(late, seconds=120)[0] == "TIMEOUT"


def test_down_leaves_no_process_and_no_folder(installed, tmp_path):
    # A second cluster beside the first: the two must not mistake each other's processes for their own.
    folder = tmp_path / "second"
    command = [COMMAND, "--dir", folder]
    try:
        subprocess.run([*command, "up"], check=True, capture_output=True, timeout=120)
        second = Cluster(folder)
        second.run("sbatch", "--output=/dev/null", "--wrap=srun sleep 300")
        assert wait_until(lambda: len(with_environment(f"SLURM_CONF={second.conf}")) > len(second.daemons), 20)
    finally:
        subprocess.run([*command, "down"], check=True, capture_output=True, timeout=60)
    assert not with_environment(f"SLURM_CONF={folder / 'etc' / 'slurm.conf'}")
    assert not folder.exists()


def test_folder_of_someone_else_is_left_alone(installed, tmp_path):
    (tmp_path / "thesis.txt").write_text("dear")
    command = [COMMAND, "--dir", tmp_path]
    answer = subprocess.run([*command, "up"], capture_output=True, text=True)
    assert answer.returncode == 1 and "holds something else" in answer.stderr and answer.stderr.count("\n") == 1
    subprocess.run([*command, "down"], check=True, capture_output=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_reused_process_id_is_not_ours(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "log").mkdir()
    daemon = Daemon(tmp_path, "sleeper", ["sleep", "60"], dict(os.environ))
    daemon.start()
    pid = daemon.pid
    record = daemon.record.read_text()
    daemon.record.write_text(record.replace(str(start_time(pid)), str(start_time(pid) + 1)))
    assert daemon.pid is None
    daemon.stop()
    assert start_time(pid) is not None
    daemon.record.write_text(record)
    daemon.stop()
    assert start_time(pid) is None


def runs_of(cluster, job):
    return [row for row in cluster.jobs() if row["JobIDRaw"] == str(job)]
