"""Settings and folders that are wrong in odd ways: one line, at once, and nothing is run."""

import os
import subprocess
import zipfile

import pytest

from serflow.storage import read_csv
from small_corpus import SETTINGS, make_recordings
from tiny_bundle import write_bundle
from workspace import lines

CUSTOM = [{"protocol": "custom", "models": ["cnn1d"], "seeds": [0]}]
SNAKEMAKES_OWN = ["a{b}", "a <b> c", "a{{b}}", "{", "}", "<shard>", "%s $HOME"]


@pytest.fixture
def there(empty, monkeypatch):
    """A workspace with a folder of recordings, of four speakers in two blocks, an archive of them and a bundle."""
    monkeypatch.chdir(empty.folder)
    make_recordings(empty.folder / "ok")
    write_bundle("b.zip")
    os.mkfifo("pipe.csv")
    empty.settings = SETTINGS
    return empty


def refused(workspace, *arguments, **settings):
    """Run Snakemake, which must end with one line, said once or by each of the jobs; return it."""
    command = workspace.command(*arguments, **settings)
    done = subprocess.run(command, cwd=workspace.folder, capture_output=True, text=True, check=False, timeout=120)
    said = set(lines(done))
    assert done.returncode and "Traceback" not in done.stdout + done.stderr and len(said) == 1, done.stderr[-3000:]
    return said.pop()


@pytest.mark.parametrize("name", SNAKEMAKES_OWN)
def test_names_that_snakemake_reads_as_its_own(there, name):
    """They are harmless in folders of recordings, wherever these are named."""
    (there.folder / "ok").rename(there.folder / name)
    there.run("catalog", audio=name)
    assert (there.results("mine") / "catalog/clips.parquet").exists()
    address = f"https://example.org/{name.replace(' ', '')}"
    fetch = {"mirrors": [address], "pointers": address}
    assert there.jobs(audio=name, fetch=fetch)["render_report"] == 1
    there.run("predict", audio=name, input=name, bundle="b.zip")
    labels = read_csv(there.results("mine") / "predicted/recordings.csv")
    assert len(labels) == 16 and all(row["label"] and row["file"].startswith(f"{name}/") for row in labels)


@pytest.mark.parametrize("name", ["a{b}.zip", "a <b>.zip", "{", "}.zip"])
def test_an_archive_of_such_a_name_is_refused(there, name):
    with zipfile.ZipFile(name, "w") as archive:
        archive.write("ok/1001_DFA_ANG_XX.wav")
    said = refused(there, "--dry-run", audio=name)
    assert said == f"serflow: {name}: Snakemake reads braces, and words in <>, as its own; rename the folder or file"


LONG = ("x" * 124 + "/") * 32  # 4,000 bytes, near the limit of a path


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"audio": LONG}, "audio: "),
        ({"audio": f"{LONG[:-5]}.zip"}, "audio: "),
        ({"metadata": LONG}, "metadata"),
        ({"input": LONG}, "no such file or folder"),
        ({"input": "x\0y"}, "input: x\\u0000y: no such file or folder"),
        ({"fetch": {"pointers": "x\0y"}}, "fetch.pointers contains a zero byte"),
        ({"fetch": {"mirrors": ["https://x/y\0z"]}}, "fetch.mirrors.0 contains a zero byte"),
        ({"split": {"table": "ä" * 100 + 39 * f"/{'ä' * 100}"}, "runs": CUSTOM}, "split.table has 8039 bytes"),
        ({"split": {"table": LONG}, "runs": CUSTOM}, "split.table: "),
        ({"split": {"table": "pipe.csv"}, "runs": CUSTOM}, "a pipe, socket or device, not a file"),
        ({"audio": "pipe.csv"}, "audio: pipe.csv: Not a directory"),
        ({"audio": "pipe.csv", "format": "manifest"}, "a pipe, socket or device, not a file"),
        ({"audio": {"ravdess": "x\ud800"}}, "audio.ravdess contains half a character"),
        ({"input": "pipe.csv"}, "a pipe, socket or device, not a file"),
        ({"corpus": "x" * 101}, "corpus is"),
        ({"models": {"m" * 101: {"architecture": "cnn1d"}}}, "letters, digits, hyphens and underscores, at most 100"),
        ({"shards": 10**9}, "shards: 1000000000 is greater"),
    ],
)
def test_settings(there, settings, message):
    said = refused(there, "--dry-run", **settings)
    assert message in said and len(said) < 5000 and not (there.folder / "results/mine/catalog").exists()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{f}.wav,1001,ANG", "row 3, column file: has more than 4,096 characters"),
        ("x.wav,{f},ANG", "row 3, column speaker: has more than 200 characters"),
        ("x.wav,1001,{f}", "row 3, column label: has more than 200 characters"),
        ("x\0.wav,1001,ANG", "row 3, column file: contains a zero byte"),
    ],
)
def test_cells_of_a_manifest(there, row, message):
    (there.folder / "m.csv").write_text(f"file,speaker,label\nok.wav,1,ANG\n{row.format(f='f' * 5000)}\n")
    assert message in refused(there, "--dry-run", audio="m.csv", format="manifest")


def test_cells_of_a_list(there):
    (there.folder / "list.csv").write_text("file\nok/1001_DFA_ANG_XX.wav\n" + "y" * 100_000 + "\nzero\0.wav\n")
    there.run("predict", input="list.csv", bundle="b.zip")
    labels = read_csv(there.results("mine") / "predicted/recordings.csv")
    assert [bool(row["problem"]) for row in labels] == [False, True, True]
    (there.folder / "list.csv").write_text("file\n" + "y" * 200_000 + "\n")
    assert "field larger than field limit" in refused(there, "--dry-run", "predict", input="list.csv", bundle="b.zip")


def test_a_bundle_and_pointers_that_are_pipes(there):
    said = refused(there, "--cores", "1", "predict", input="ok", bundle="pipe.csv")
    assert "pipe.csv: not a serflow bundle (a pipe, socket or device, not a file)" in said
    with zipfile.ZipFile("x.zip", "w") as archive:
        for path in (there.folder / "ok").iterdir():
            archive.write(path, path.name)
    said = refused(there, "--cores", "1", "catalog", audio="x.zip", fetch={"pointers": "pipe.csv"})
    assert "fetch.pointers: pipe.csv: no such file" in said


def a_file(path):
    path.write_text("x")


def a_dangling_link(path):
    path.symlink_to("nowhere")


def a_loop(path):
    path.symlink_to(path.name)


def a_pipe(path):
    os.mkfifo(path)


@pytest.mark.parametrize("make", [a_file, a_dangling_link, a_loop, a_pipe])
@pytest.mark.parametrize("place", ["results", "results/mine"])
def test_results_that_are_no_folder(there, place, make):
    path = there.folder / place
    path.parent.mkdir(exist_ok=True)
    make(path)
    for arguments in (["--dry-run"], ["--cores", "1", "catalog"]):
        said = refused(there, *arguments)
        why = ("cannot be written (", "No such file or directory", "Too many levels of symbolic links")
        assert said.startswith("serflow: results/mine") and any(words in said for words in why)
