"""A real SLURM cluster for the tests: `tests/slurm/cluster`, brought up once and taken down if it was not up before."""

import subprocess
import time
from pathlib import Path

import pytest

from slurm_cluster import Cluster, default_folder, missing_programs

COMMAND = Path(__file__).parent / "cluster"


def pytest_configure(config):
    config.addinivalue_line("markers", "slurm: needs a SLURM cluster (tests/slurm/cluster install)")
    config.addinivalue_line("markers", "slow: waits half a minute or more for SLURM to notice something")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.slurm)


class RunningCluster:
    """The cluster as a test sees it: commands, accidents and what has become of the jobs."""

    def __init__(self, folder):
        self.folder = folder
        self.env = Cluster(folder).env

    def control(self, *arguments):
        """Run `tests/slurm/cluster` with these arguments and give what it prints."""
        command = [str(COMMAND), "--dir", str(self.folder), *arguments]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=180)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def run(self, *command, seconds=120, check=True, **options):
        """Run a command on the login node and give its completed process; a failure is an error unless told not to."""
        answer = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=seconds, **options)
        assert not check or answer.returncode == 0, f"{command} failed:\n{answer.stdout}{answer.stderr}"
        return answer

    def jobs(self):
        """Every run of every job, from the accounting database: one dict each, a requeued job has several."""
        fields = "JobIDRaw,JobName,State,NodeList,Partition,Account,ReqMem,Timelimit,Elapsed,Comment"
        options = ("--duplicates", "--allocations", "--parsable2", "--starttime=now-1days", f"--format={fields}")
        names, *rows = (line.split("|") for line in self.run("sacct", *options).stdout.splitlines())
        return [dict(zip(names, row, strict=True)) for row in rows]

    def queue(self):
        """Each job's state and node, from the controller: {job id: (state, node)}, ended jobs for 5 minutes."""
        lines = self.run("squeue", "--noheader", "--states=all", "--format=%A|%T|%N").stdout.splitlines()
        return {int(job): (state, node) for job, state, node in (line.split("|") for line in lines)}

    def wait_for_node(self, node, *states, seconds=60):
        """Wait until a node is in one of these states, in sinfo's words without marks."""
        end = time.monotonic() + seconds
        while (state := self.node_states().get(node, "").rstrip("*")) not in states:
            assert time.monotonic() < end, f"node {node} after {seconds} s: {state}"
            time.sleep(0.5)

    def node_states(self):
        return Cluster(self.folder).node_states()

    def kill_node(self, node):
        """End a node's slurmd and its jobs' processes by SIGKILL. SLURM notices after some 25 s."""
        self.control("kill-node", node)

    def start_node(self, node):
        """Start a killed node. Before SLURM has called it down, its lost jobs are noticed only after some 45 s."""
        self.control("start-node", node)

    def stop_accounting(self):
        self.control("stop-accounting")


@pytest.fixture(scope="session")
def installed():
    """Skip where there is no SLURM."""
    if missing_programs():
        pytest.skip("SLURM is not installed: run tests/slurm/cluster install")


@pytest.fixture(scope="session")
def cluster(installed):
    """Yield a running cluster."""
    running = RunningCluster(default_folder())
    was_up = subprocess.run([COMMAND, "--dir", running.folder, "status"], capture_output=True).returncode == 0
    running.control("up")
    yield running
    if not was_up:
        running.control("down")


@pytest.fixture(autouse=True)
def mended(request):
    """Start again after each test what it broke."""
    yield
    if "cluster" in request.fixturenames:
        request.getfixturevalue("cluster").control("up")
