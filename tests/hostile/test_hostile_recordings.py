"""What `predict` and a manifest are given in place of recordings: never waited for, and named in one line."""

import csv
import io
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile as sf

import steps
from serflow.bundle.demo.result import result
from serflow.bundle.reader import open_bundle
from serflow.inference.recordings import RecordingToLabel, recording_digests
from serflow.storage import read_table
from tiny_bundle import write_bundle
from voice import voice

NOT_A_FILE = "a pipe, socket or device, not a file"
BYTES = os.fsdecode(b"\xfe.wav")  # a name that is not UTF-8


@pytest.fixture
def folder(tmp_path):
    write_bundle(tmp_path / "b.zip")
    tone = voice(1)
    sf.write(tmp_path / "ok.wav", tone, 16_000)
    (tmp_path / BYTES).write_bytes((tmp_path / "ok.wav").read_bytes())
    for name in ("pipe.wav", "pipe.csv"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "link.wav").symlink_to("pipe.wav")
    (tmp_path / "broken.wav").symlink_to("nowhere")
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    (tmp_path / "folder.wav").mkdir()
    sf.write(tmp_path / "folder.wav/below.wav", tone, 16_000)
    return tmp_path


def predict(folder, *arguments, stdin=b"", **variables):
    command = [sys.executable, "-m", "serflow", "predict", "b.zip", *arguments]
    done = subprocess.run(
        command, cwd=folder, input=stdin, capture_output=True, check=False, timeout=120, env=os.environ | variables
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in err
    return done.returncode, list(csv.DictReader(io.StringIO(out, newline=""))), err


MISSING = {
    "none.wav": "No such file",
    "x" * 300 + ".wav": "File name too long",
    os.fsdecode(b"\xff.wav"): "No such file",
}
BAD = {
    "pipe.wav": NOT_A_FILE,
    "link.wav": NOT_A_FILE,
    "/dev/zero": NOT_A_FILE,
    "/dev/full": NOT_A_FILE,
    "broken.wav": "a broken link",
    "loop.wav": "Too many levels",
    **MISSING,
}


def test_bad_recordings_are_named_and_the_others_labelled(folder):
    server = socket.socket(socket.AF_UNIX)
    server.bind(os.path.relpath(folder / "socket.wav"))
    given = [*BAD, "socket.wav"]
    code, rows, err = predict(folder, *given, "ok.wav", BYTES)
    server.close()
    assert code == 3 and len(rows) == len(given) + 2
    for name, row in zip(given, rows, strict=False):
        shown = os.fsencode(name).decode(errors="backslashreplace")
        assert row["file"] == shown and BAD.get(name, NOT_A_FILE) in row["problem"] and not row["label"]
        assert f"serflow predict: {shown}: " in err
    assert [row["file"] for row in rows[-2:]] == ["ok.wav", "\\xfe.wav"]
    assert rows[-1] | {"file": ""} == rows[-2] | {"file": ""} and rows[-1]["label"] and not rows[-1]["problem"]
    assert len(err.splitlines()) == len(given) + 2  # how many were labelled, how many skipped


def test_a_folder_with_such_files(folder):
    code, rows, _ = predict(folder, ".")
    labelled = {row["file"] for row in rows if row["label"]}
    assert code == 3 and labelled == {"ok.wav", "\\xfe.wav", "folder.wav/below.wav"}
    assert {row["file"] for row in rows} - labelled == {"pipe.wav", "link.wav", "broken.wav", "loop.wav"}


@pytest.mark.parametrize("output", ["x.csv", "x.json", "x.parquet"])
def test_names_that_are_not_utf8_in_tables(folder, output):
    code, _, err = predict(folder, BYTES, "--output", output, "--timeline", "t.csv")
    assert code == 0 and len(err.splitlines()) == 1 and err.startswith("serflow predict: 1 of 1 recordings labelled: ")
    assert "fe.wav" in (folder / output).read_bytes().decode(errors="replace")
    assert "\\xfe.wav," in (folder / "t.csv").read_text()


def test_standard_output_in_ascii(folder):
    (folder / "ä😀.wav").write_bytes((folder / "ok.wav").read_bytes())
    code, rows, _ = predict(folder, "ä😀.wav", PYTHONIOENCODING="ascii")
    assert code == 0 and rows[0]["file"] == r"\xe4\U0001f600.wav" and rows[0]["label"]


@pytest.mark.parametrize("by_stdin", [False, True])
def test_a_list_with_such_names(folder, by_stdin):
    names = ["ok.wav", "pipe.wav", "broken.wav", "x" * 300 + ".wav", "/dev/zero", "none.wav"]
    names += [] if by_stdin else ["zero\0byte.wav", "long" * 10_000]  # with a zero byte it would be a recording
    (folder / "list.csv").write_text("who,file\n" + "".join(f"me,{name}\n" for name in names) + "short\n")
    stdin = "\n".join(names).encode() if by_stdin else b""
    code, rows, err = predict(folder, "-" if by_stdin else "list.csv", stdin=stdin)
    assert code == 3 and [row["file"] for row in rows] == names
    assert len(err.splitlines()) == len(names) - 1 + 2  # how many were labelled, how many skipped
    assert [bool(row["label"]) for row in rows] == [True] + [False] * (len(names) - 1)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("pipe.csv", None, NOT_A_FILE),
        ("none.csv", None, "No such file"),
        ("x.csv", b"a\nb\n", "no column 'file'"),
        ("x.csv", b"", "no column 'file'"),
        ("x.csv", b"file\n\xff\n", "not a CSV table in UTF-8"),
        ("x.csv", b"file\n" + b"y" * 200_000, "field larger than field limit"),
    ],
)
def test_a_list_that_is_none(folder, name, content, reason):
    if content is not None:
        (folder / name).write_bytes(content)
    code, rows, err = predict(folder, name)
    assert code == 1 and not rows and len(err.splitlines()) == 1 and name in err and reason in err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--shards", "0", "--shard", "0"], "0 is less than 1"),
        (["--shards", "-1", "--shard", "0"], "-1 is less than 1"),
        (["--shards", "9" * 5000, "--shard", "0"], "not a number"),
        (["--shards", "3"], "belong together"),
        (["--threads", "-3"], "-3 is less than 1"),
        (["--threads", "0"], "0 is less than 1"),
        (["--output", "folder.wav/none/x.txt"], "unknown format"),
        (["--output", "ok.wav/x.csv"], "cannot be written (File exists)"),
        (["--output", "/proc/x.csv"], "cannot be written"),
        (["--output", "x" * 300 + ".csv"], "File name too long"),
        (["--output", "zero.csv", "--timeline", "folder.csv"], " folder.csv: cannot be written (Is a directory)"),
    ],
)
def test_arguments(folder, arguments, reason):
    (folder / "folder.csv").mkdir()
    code, _, err = predict(folder, "ok.wav", *arguments)
    assert code == 1 and len(err.splitlines()) == 1 and reason in err, err


def test_a_closed_standard_output(folder):
    command = f"{sys.executable} -m serflow predict b.zip ok.wav"
    for closed in (f"{command} >&-", f"{command} | true; exit ${{PIPESTATUS[0]}}"):
        done = subprocess.run(["bash", "-c", closed], cwd=folder, capture_output=True, check=False, timeout=120)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and b"Traceback" not in done.stderr


def test_the_labelling_of_the_demo(folder):
    program = "import sys, test_hostile_recordings as here; here.label_in_demo(*sys.argv[1:])"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path[1:], str(Path(__file__).parent)])}
    for name in ("pipe.wav", "link.wav", "/dev/zero"):
        command = [sys.executable, "-c", program, name]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=True, timeout=120, env=environment
        )
        assert NOT_A_FILE in done.stdout


def label_in_demo(name):
    bundle = open_bundle("b.zip")
    print(result(bundle, bundle.classifier, name, print))


def test_their_digests_wait_for_none(folder):
    command = [sys.executable, "-c", "from serflow.inference.recordings import *; print(recording_digests('.', 1))"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    before = recording_digests(str(folder), 1)
    assert len(done.stdout.split()) == 1
    (folder / BYTES).write_bytes(b"other")
    assert recording_digests(str(folder), 1) != before
    assert RecordingToLabel("x").content is None


def test_pieces_of_a_manifest(folder):
    rows = [("ok.wav", "a", 0.0), ("pipe.wav", "b", 0.0), ("link.wav", "c", ""), ("/dev/zero", "d", 0.5)]
    text = "".join(f"{file},{speaker},ANG,{start}\n" for file, speaker, start in rows)
    (folder / "m.csv").write_text(f"file,speaker,label,start\n{text}")
    command = "import sys, steps; steps.read_corpus(steps.Path('r'), 'm.csv', 'exclude', format='manifest')"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path[1:], str(steps.PROJECT / "tests")])}
    subprocess.run([sys.executable, "-c", command], cwd=folder, check=True, timeout=120, env=environment)
    problems = {row["speaker"]: row["problem"] for row in read_table(folder / "r/recordings/s00.parquet").to_pylist()}
    assert problems.pop("a") is None and len(problems) == 3
    assert all(NOT_A_FILE in problem for problem in problems.values())
