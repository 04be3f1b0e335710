"""What distribution costs: the sample's features on one machine and on the test cluster of two nodes on it.

usage: python tests/bench/cluster.py [SHARDS ...]      (default: 4 64)

Both run `snakemake features` from an empty folder with the same settings, one after the other. Writes
results/bench/cluster.md and prints it. The nodes share this machine's cores, so the cluster cannot be faster
here: the table shows what a job costs beside its work.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "slurm"))
from slurm_cluster import Cluster, default_folder

PROJECT = Path(__file__).resolve().parent.parent.parent
CONTROL = PROJECT / "tests/slurm/cluster"
HEAD = """\
| shards | where | jobs submitted | wall s | controller CPU s | controller CPU ms per job |
|---|---|---:|---:|---:|---:|"""


def measure(folder: Path, *arguments: str, env: dict) -> tuple[int, float, float]:
    """Run the features and give jobs submitted, wall seconds, and CPU seconds of the controller without local jobs."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(PROJECT / "Snakefile"), "features", *arguments]
    began = time.perf_counter()
    with (folder / "run.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed: {(folder / 'run.log').read_text()[-3000:]}")
    submitted = (folder / "run.log").read_text().count("has been submitted with SLURM jobid")
    return submitted, time.perf_counter() - began, used.ru_utime + used.ru_stime


def main() -> None:
    """Measure each number of shards on both and write the table."""
    lines = [HEAD]
    was_up = subprocess.run([CONTROL, "status"], capture_output=True).returncode == 0
    subprocess.run([CONTROL, "up"], check=True)
    try:
        for shards in map(int, sys.argv[1:] or ("4", "64")):
            setting = ("--config", f"shards={shards}")
            with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
                _, wall, _ = measure(Path(one), "--cores", "2", *setting, env=dict(os.environ))
                lines.append(f"| {shards} | this machine | – | {wall:.0f} | – | – |")
                profile = ("--workflow-profile", str(PROJECT / "workflow/profiles/slurm"))
                jobs, wall, cpu = measure(Path(two), *profile, *setting, env=Cluster(default_folder()).env)
                lines.append(f"| {shards} | cluster | {jobs} | {wall:.0f} | {cpu:.1f} | {1000 * cpu / jobs:.0f} |")
    finally:
        if not was_up:
            subprocess.run([CONTROL, "down"], check=True)
    table = PROJECT / "results/bench/cluster.md"
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text("\n".join(lines) + "\n")
    print(table.read_text())


if __name__ == "__main__":
    main()
