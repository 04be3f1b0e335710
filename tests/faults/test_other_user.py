"""Files that another user made under umask 077: one clear line, and a checkout that is only read serves everybody."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from test_surroundings import TARGETS, digests, tiny

from workspace import Workspace, check_out, lines

__all__ = ["tiny"]
OTHER = 65534  # nobody
# The tests are root's, who may do everything until these are taken away.
AS_A_USER = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner"]
DENIED = r"Permission denied|belongs to another user and cannot be written"


@pytest.fixture(autouse=True)
def two_users():
    if os.geteuid() or not shutil.which("setpriv"):
        pytest.skip("only root can give files to another user")


@pytest.fixture
def workspace(tiny, tmp_path):
    """A copy of a finished run, to be changed at will."""
    return Workspace(shutil.copytree(tiny.folder, tmp_path / "copy"), tiny.project, tiny.settings)


def give_away(*paths, mode="go-rwx"):
    """Let files belong to the other user, as if made by him under umask 077."""
    subprocess.run(["chown", "-R", f"{OTHER}:{OTHER}", *paths], check=True)
    subprocess.run(["chmod", "-R", mode, *paths], check=True)


def as_user(command, folder):
    return subprocess.run([*AS_A_USER, *command], cwd=folder, capture_output=True, text=True, check=False, timeout=300)


def refused(workspace, *arguments, **settings):
    """Run Snakemake as a user; return the one line that serflow says of what it may not read or write."""
    done = as_user(workspace.command("--cores", "1", *arguments, **settings), workspace.folder)
    assert done.returncode and "Traceback" not in done.stdout + done.stderr, (done.stdout + done.stderr)[-3000:]
    assert 'File "' not in done.stdout + done.stderr
    (said,) = set(lines(done))
    assert re.search(DENIED, said), said


@pytest.mark.parametrize(
    ("closed", "lacking", "mode"),
    [
        ("results", None, "go-rwx"),
        ("results", None, "go-w"),
        ("results/mine/fixed", "frames", "go-rwx"),
        ("results/mine/logs", "frames", "go-w"),
        ("results/mine/fixed/s00.npy", "frames", "go-rwx"),
        ("results/.lock", "predicted", "go-rwx"),
        (".snakemake", "predicted", "go-rwx"),
        (".snakemake", "predicted", "go-w"),
        ("ok", None, "go-rwx"),
        ("b.zip", "predicted", "go-rwx"),
    ],
)
def test_files_of_another_user(workspace, closed, lacking, mode):
    """What is ``lacking`` would be made of them, or beside them."""
    if lacking:
        shutil.rmtree(workspace.results("mine") / lacking)
    give_away(workspace.folder / closed, mode=mode)
    refused(workspace, *TARGETS)


def test_the_folder_of_another_user(workspace):
    shutil.rmtree(workspace.folder / ".snakemake")
    shutil.rmtree(workspace.folder / "results")
    give_away(workspace.folder, mode="go-w")
    refused(workspace, *TARGETS)


def test_one_checkout_for_all(tiny, tmp_path):
    """Its owner alone may write there; others read it and work in folders of their own."""
    project = tmp_path / "project"
    project.mkdir()
    check_out(tiny.project, project)
    give_away(project, mode="a=rX,u+w")
    own = tmp_path / "own"
    own.mkdir()
    for name in ("ok", "b.zip"):
        (own / name).symlink_to(tiny.folder / name)
    workspace = Workspace(own, project, tiny.settings)
    done = as_user(workspace.command("--cores", "2", *TARGETS), own)
    assert done.returncode == 0, done.stderr[-3000:]
    assert digests(workspace) == digests(tiny)


@pytest.mark.parametrize("closed", ["b.zip", "ok", "ok/below", "ok/1001_DFA_ANG_XX.wav", "out"])
def test_predict_with_files_of_another_user(workspace, closed):
    """A recording is skipped; a folder is not, since nobody would know what is missing."""
    for name in ("out", "ok/below"):
        (workspace.folder / name).mkdir()
    give_away(workspace.folder / closed)
    command = [sys.executable, "-m", "serflow", "predict", "b.zip", "ok", "--output", "out/labels.csv"]
    done = as_user(command, workspace.folder)
    said = done.stderr.splitlines()
    assert closed in said[0] and DENIED.partition("|")[0] in said[0]
    if closed.endswith(".wav"):
        assert done.returncode == 3 and said[-1] == "serflow predict: 1 of 16 recordings were skipped"
        assert said[-2].startswith("serflow predict: 15 of 16 recordings labelled: ")
    else:
        assert done.returncode == 1 and len(said) == 1
        assert not list((workspace.folder / "out").iterdir())
