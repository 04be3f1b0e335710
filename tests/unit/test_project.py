"""What holds for the project's files as a whole."""

import re

import pytest
import yaml


def pins(project, name="requirements.txt"):
    lines = (project / "envs" / name).read_text().splitlines()
    return {line.split(";")[0].strip() for line in lines if line and not line.startswith("#")}


def test_every_package_is_pinned(project):
    names = [path.name for path in (project / "envs").glob("requirements*.txt")]
    assert len(names) == 4
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
