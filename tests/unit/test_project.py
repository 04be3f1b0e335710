"""What holds for the project's files as a whole."""

import re
import shutil
import subprocess
import venv

import pytest
import yaml


def pins(project, name="requirements.txt"):
    lines = (project / "envs" / name).read_text().splitlines()
    return {line.split(";")[0].strip() for line in lines if line and not line.startswith("#")}


def test_every_package_is_pinned(project):
    names = [path.name for path in (project / "envs").glob("requirements*.txt")]
    assert len(names) == 6
    for name in names:
        found = pins(project, name)
        assert found and all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in found)


def test_files_that_are_installed_together_agree(project):
    versions = {}
    for path in (project / "envs").glob("requirements*.txt"):
        for name, version in (pin.split("==") for pin in pins(project, path.name)):
            versions.setdefault(name, set()).add(version)
    assert not {name: found for name, found in versions.items() if len(found) > 1}


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("audio", "requirements.txt"),
        ("models", "requirements.txt"),
        ("report", "requirements.txt"),
        ("encoders", "requirements-encoders.txt"),
    ],
)
def test_conda_environments_have_the_same_pins(project, family, name):
    wanted = yaml.safe_load((project / f"envs/{family}.yaml").read_text())["dependencies"][-1]["pip"]
    assert wanted and set(wanted) <= pins(project, name)


def test_make_works_in_a_folder_whose_path_has_a_space(project, tmp_path):
    """The environment's Python stands in for pip, which needs the network: it notes what it is asked for."""
    folder = tmp_path / "my project"
    (folder / "envs").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(project / name, folder)
    for path in (project / "envs").glob("*.txt"):
        shutil.copy(path, folder / "envs")
    venv.create(folder / ".venv", symlinks=True)
    (folder / ".venv/bin/snakemake").write_text('#!/bin/sh\necho snakemake "$@" >> asked\n')
    (folder / ".venv/bin/snakemake").chmod(0o755)
    (folder / "pip").mkdir()
    (folder / "pip/__main__.py").write_text("import sys\nprint(*sys.argv[1:], file=open('asked', 'a'))\n")
    done = subprocess.run(["make", "run", "CORES=3"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    asked = (folder / "asked").read_text().splitlines()
    assert len(asked) == 3 and asked[2] == "snakemake --cores 3"
    assert "-r envs/requirements.txt" in asked[0] and asked[1].endswith("--editable .")
