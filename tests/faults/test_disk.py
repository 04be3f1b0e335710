"""A disk that is full, and one that cannot be written to: one line, no half file, and going on when there is room."""

import contextlib
import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile

import keras
import numpy as np
import pyarrow as pa
import pytest

from serflow import storage
from serflow.bundle.convert import to_onnx
from serflow.models.keras_run import save_model
from serflow.runtime.errors import UserError
from workspace import SMALL, Workspace, lines

ROWS = np.random.default_rng(0).normal(size=(2**19, 1)).astype(np.float32)  # 2 MB that do not compress


@pytest.fixture
def disk(tmp_path):
    """A disk of one megabyte and a function that changes how it is mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options):
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    try:
        refused = mount("size=1m").stderr
    except OSError as error:
        refused = str(error)
    if refused:
        pytest.skip(f"no disk can be mounted here: {refused.strip()}")
    yield folder, lambda options: mount(f"remount,{options}")
    subprocess.run(["umount", "-l", str(folder)], check=True)


def write_rows(path):
    with storage.ArrayWriter(path, (1,)) as out:
        for start in range(0, len(ROWS), 1000):
            out.write(ROWS[start : start + 1000])


def write_model(path):
    save_model(path, keras.Sequential([keras.Input((700,)), keras.layers.Dense(700)]))


WRITERS = {
    "x.npy": write_rows,
    "x.parquet": lambda path: storage.write_tables(path, [pa.table({"value": ROWS[:, 0]})] * 2),
    "x.json": lambda path: storage.write_json(path, {"values": ROWS[:, 0].tolist()}),
    "x.csv": lambda path: storage.write_text(path, "clip\n" * 2**19),
    "x.npz": lambda path: storage.write_arrays(path, {"rows": ROWS}),
    "model.keras": write_model,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(("options", "error"), [("size=1m", errno.ENOSPC), ("ro", errno.EROFS)])
def test_what_cannot_be_written(disk, name, options, error):
    folder, mount = disk
    (folder / name).write_text("old")
    mount(options)
    with pytest.raises(UserError) as caught:
        WRITERS[name](folder / name)
    said = f"{folder / name}: cannot be written ({os.strerror(error)}); make room or give access there, then run again"
    assert str(caught.value) == said
    assert [path.name for path in folder.iterdir()] == [name] and (folder / name).read_text() == "old"
    mount("rw,size=64m")
    WRITERS[name](folder / name)
    assert (folder / name).stat().st_size > 10**6
    assert [path.name for path in folder.iterdir()] == [name]


def test_no_room_for_temporary_files(disk, monkeypatch):
    folder, mount = disk
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    network = keras.Sequential([keras.Input((700, 1)), keras.layers.Flatten(), keras.layers.Dense(700)])
    full = rf"^{folder}/\w+: cannot be written \(No space left on device\); make room there, or set TMPDIR to another"
    with pytest.raises(UserError, match=full):
        to_onnx(network)
    assert not [path for path in folder.iterdir() if path.is_dir()]
    mount("size=64m")
    assert len(to_onnx(network)) > 10**6


@pytest.mark.whole
def test_a_run_on_a_disk_that_becomes_full(mine, disk, tmp_path):
    folder, mount = disk
    shutil.copytree(mine.folder / "AudioWAV", tmp_path / "AudioWAV")
    shutil.copytree(mine.folder / "metadata", tmp_path / "metadata")
    (tmp_path / "results").symlink_to(folder)
    workspace = Workspace(tmp_path, mine.project, SMALL)
    done = workspace.snakemake("--cores", "2", "features")
    assert done.returncode != 0 and "Traceback" not in done.stdout + done.stderr
    said = lines(done)
    full = r"serflow augment_audio: results/mine/augmented/s0\d.npy: cannot be written \(No space left on device\); "
    assert said and all(re.fullmatch(full + "make room or give access there, then run again", line) for line in said)
    arrays = [path for path in folder.rglob("*.npy") if path.parent.name != "recordings"]  # of the step before
    assert not arrays and not list(folder.rglob("*.part*"))
    mount("size=200m")
    workspace.run("features")
    for path in (mine.results("mine") / "mel").iterdir():
        assert path.read_bytes() == (folder / "mine/mel" / path.name).read_bytes()
    mount("ro")
    # What is there Snakemake takes for protected.
    done = workspace.snakemake("--cores", "2", "features", mel={"n_mels": 64})
    assert done.returncode == 1 and "Write-protected output files for rule extract_mel:" in done.stderr
    assert "Traceback" not in done.stderr
    done = workspace.snakemake("--cores", "2", "catalog")
    assert done.returncode == 1 and lines(done) == [
        "serflow: results/.lock: cannot be written (Read-only file system); results need a folder to write to"
    ]
    assert "Traceback" not in done.stderr


def test_a_log_on_a_full_disk(disk):
    folder, _ = disk
    with contextlib.suppress(OSError):
        (folder / "rest").write_bytes(bytes(2**21))
    command = ["read_recordings", "--listing", "none", "--sampling-rate", "16000", "--policy", "fail"]
    command += ["--reading", "{}", "--segments", "recordings"]
    command += ["--output", str(folder / "x.npy"), "--index", str(folder / "x.parquet"), "--log", str(folder / "x.log")]
    done = subprocess.run([sys.executable, "-m", "serflow", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(
        f"serflow read_recordings: {folder}/x.log: cannot be written (No space left on device)"
    )
