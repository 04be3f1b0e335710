"""No package that is installed has a known hole, as far as PyPI's database can be asked."""

import json
import subprocess
import sys

import pytest

# Findings that do not concern serflow: the number and why.
ACCEPTED: dict[str, str] = {}


def audit(*files):
    """Ask for the holes of pinned packages; skip where nobody answers."""
    command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--progress-spinner", "off"]
    command += ["--timeout", "5", "--format", "json"]
    for file in files:
        command += ["--requirement", str(file)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    except subprocess.TimeoutExpired:
        pytest.skip("pip-audit did not get to the end of its database within two minutes")
    if not done.stdout.strip():
        pytest.skip(f"pip-audit cannot ask its database: {done.stderr.splitlines()[-1:]}")
    return json.loads(done.stdout)["dependencies"]


def test_no_package_has_a_known_hole(project, tmp_path):
    files = sorted((project / "envs").glob("requirements*.txt"))
    pins = [line.split(";")[0] for file in files for line in file.read_text().splitlines() if "==" in line]
    # One that everybody has, first: a package index that is no PyPI has no database, and says so for each package.
    (tmp_path / "one.txt").write_text(next(pin for pin in pins if pin.startswith("numpy==")) + "\n")
    if any("skip_reason" in package for package in audit(tmp_path / "one.txt")):
        pytest.skip("the package index here has no database of holes")
    found = audit(*files)
    assert len([package for package in found if "skip_reason" not in package]) > len(set(pins)) / 2
    holes = {
        f"{package['name']} {package['version']}": sorted(hole["id"] for hole in package["vulns"])
        for package in found
        if any(hole["id"] not in ACCEPTED for hole in package.get("vulns", []))
    }
    assert not holes
