"""Two runs in one folder, and a run that was killed."""

import signal
import subprocess
import sys
import time

from serflow.runtime.locking import hold_lock


def test_the_second_run_is_refused_in_one_line(empty):
    code = f"from serflow.runtime.locking import hold_lock; hold_lock({str(empty.folder / 'results/.lock')!r}); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as holder:
        while not (empty.folder / "results/.lock").exists() or not (empty.folder / "results/.lock").read_text():
            time.sleep(0.05)
        done = empty.snakemake("--cores", "2", "catalog")
        assert done.returncode == 1
        said = [line for line in done.stderr.splitlines() if line.startswith("serflow")]
        assert said == [
            f"serflow: another run is using this folder ({(empty.folder / 'results/.lock').read_text().strip()}); "
            "wait for it to end, or stop it"
        ]
        assert not (empty.folder / "resources").exists()
        holder.send_signal(signal.SIGKILL)
    empty.run("catalog")


def test_a_killed_run_leaves_no_lock(empty):
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(empty.project / "Snakefile"), "--cores", "2"]
    with subprocess.Popen([*command, "catalog"], cwd=empty.folder, stderr=subprocess.DEVNULL) as run:
        while not (empty.folder / "results/.lock").exists():
            assert run.poll() is None
            time.sleep(0.05)
        run.kill()
    hold_lock(empty.folder / "results/.lock")


def test_a_lock_that_is_given_up_in_a_moment_is_waited_for(tmp_path):
    held = f"hold_lock({str(tmp_path / 'lock')!r})"
    code = f"import time; from serflow.runtime.locking import hold_lock; {held}; time.sleep(0.5)"
    with subprocess.Popen([sys.executable, "-c", code]) as holder:
        while not (tmp_path / "lock").exists() or not (tmp_path / "lock").read_text():
            time.sleep(0.05)
        assert holder.poll() is None
        hold_lock(tmp_path / "lock")
