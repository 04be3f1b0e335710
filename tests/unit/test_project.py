"""What holds for the project's files as a whole."""

import re

import pytest
import yaml


def pins(project, name="requirements.txt"):
    lines = (project / "envs" / name).read_text().splitlines()
    return {line.split(";")[0].strip() for line in lines if line and not line.startswith("#")}


def test_every_package_is_pinned(project):
    for name in ("requirements.txt", "requirements-demo.txt", "requirements-dev.txt"):
        found = pins(project, name)
        assert found and all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in found)


@pytest.mark.parametrize("family", ["audio", "models", "report"])
def test_conda_environments_have_the_same_pins(project, family):
    wanted = yaml.safe_load((project / f"envs/{family}.yaml").read_text())["dependencies"][-1]["pip"]
    assert wanted and set(wanted) <= pins(project)
