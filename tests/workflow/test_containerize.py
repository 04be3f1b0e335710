"""`snakemake --containerize`: an image with every environment of the rules."""

import os
import shutil
import subprocess
import sys

import pytest

# What Snakemake asks conda for the text: where and which it is, and whether its channels have strict priorities.
CONDA = """#!/bin/sh
case "$*" in
    "info --json") echo '{"conda_prefix": "/opt/conda", "platform": "linux-64"}' ;;
    "--version") echo "conda 26.1.0" ;;
    "config --get channel_priority --json") echo '{"get": {"channel_priority": "strict"}}' ;;
    *) exit 1 ;;
esac
"""


@pytest.fixture
def path(tmp_path):
    """A search path with conda; where there is none, with something that answers what Snakemake asks it."""
    if shutil.which("conda"):
        return os.environ["PATH"]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/conda").write_text(CONDA)
    (tmp_path / "bin/conda").chmod(0o755)
    return f"{tmp_path / 'bin'}:{os.environ['PATH']}"


def test_every_environment_is_in_the_image(files, path):
    """The text alone: whether the image can be built is for a machine that has Docker."""
    command = [sys.executable, "-m", "snakemake", "--containerize"]
    options = {"cwd": files.folder, "env": os.environ | {"PATH": path}, "capture_output": True, "text": True}
    done = subprocess.run(command, check=True, **options)
    lines = done.stdout.splitlines()
    environments = sorted((files.folder / "envs").glob("*.yaml"))
    assert len(environments) == 4
    copied = [line.split()[1:] for line in lines if line.startswith("COPY ")]
    assert [source for source, _ in copied] == [f"envs/{path.name}" for path in environments]
    for source, target in copied:
        prefix = target.removesuffix("/environment.yaml")
        assert f"RUN mkdir -p {prefix}" in lines
        assert f"conda env create --prefix {prefix} --file {target} &&" in done.stdout
        # With the packages that pip brings, each as it is pinned.
        for line in (files.folder / source).read_text().splitlines():
            assert f"#   {line}".rstrip() in lines
