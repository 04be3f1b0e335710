"""What holds for the project's files as a whole."""

import re
import subprocess
import sys

import pytest
import yaml

from serflow.cli import COMMANDS


def pins(project, name="requirements.txt"):
    lines = (project / "envs" / name).read_text().splitlines()
    return {line.split(";")[0].strip() for line in lines if line and not line.startswith("#")}


def test_every_package_is_pinned(project):
    for name in ("requirements.txt", "requirements-demo.txt", "requirements-dev.txt"):
        assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins(project, name))


@pytest.mark.parametrize("family", ["audio", "models", "report"])
def test_conda_environments_have_the_same_pins(project, family):
    wanted = yaml.safe_load((project / f"envs/{family}.yaml").read_text())["dependencies"][-1]["pip"]
    assert wanted and set(wanted) <= pins(project)


def test_a_command_for_each_rule_and_a_rule_for_each_command(project):
    rules = "".join(path.read_text() for path in (project / "workflow/rules").glob("*.smk"))
    names = set(re.findall(r"^(?:rule|checkpoint) (\w+):", rules, re.M))
    assert names == {name for name, command in COMMANDS.items() if command.rule}
    assert set(re.findall(r"python -m serflow (\w+)", rules)) == names


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_of_each_command(command):
    done = subprocess.run(
        [sys.executable, "-m", "serflow", command, "--help"], capture_output=True, text=True, check=True
    )
    assert COMMANDS[command].does.split()[0] in done.stdout
    assert ("--log" in done.stdout) == COMMANDS[command].rule


def test_a_mistake_is_one_line(tmp_path):
    command = ["scan_recordings", "--source", str(tmp_path / "none"), "--shard", "0", "--shards", "1"]
    command += ["--policy", "fail", "--output", str(tmp_path / "x.parquet"), "--log", str(tmp_path / "x.log")]
    done = subprocess.run([sys.executable, "-m", "serflow", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("serflow scan_recordings: audio: ") and "no such file or folder" in done.stderr
    log = (tmp_path / "x.log").read_text().splitlines()
    assert log[0].startswith("python -m serflow scan_recordings") and log[1] == done.stderr.strip()


def test_files_stay_short(project):
    files = [*project.glob("workflow/**/*.py"), *project.glob("workflow/**/*.smk"), *project.glob("tests/**/*.py")]
    long = {str(path): count for path in files if (count := len(path.read_text().splitlines())) > 350}
    assert not long
    assert len((project / "Snakefile").read_text().splitlines()) < 100
    assert len((project / "workflow/rules/common.smk").read_text().splitlines()) < 150
