"""CREMA-D from its mirrors: which clips it has, which mirror is used, and what is checked."""

import csv
import hashlib
import io
import json
import sys
import tarfile
import zipfile
from collections import Counter
from types import SimpleNamespace

import pytest

from misbehaving import serving, status, whole
from serflow.corpus import fetch_corpus as module
from serflow.corpus.crema_d_names import parse_name
from serflow.corpus.crema_d_release import MIRRORS, TABLES, named_mirror, official_clips
from serflow.corpus.metadata import find_metadata, read_demographics, voice_votes
from serflow.fetch import download, kaggle
from serflow.runtime import locking
from serflow.runtime.errors import UserError

CLIPS = {
    f"100{actor}_DFA_{emotion}_XX": f"{actor}{emotion}".encode() * 1000
    for actor in (1, 2)
    for emotion in ("ANG", "SAD")
}
PEOPLE = b'"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","Caucasian","Not Hispanic"\n'
VOTES = b'"","A","D","F","H","N","S","fileName"\n"100001",0,0,0,1,10,0,"1001_DFA_ANG_XX"\n'


def zipped(clips, extra=(), folder="CREMA-D-1.0/AudioWAV"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for clip, content in clips.items():
            archive.writestr(f"{folder}/{clip}.wav", content)
        for name, content in extra:
            archive.writestr(name, content)
    return buffer.getvalue()


def pointers_to(clips):
    return {
        clip: f"version https://git-lfs.github.com/spec/v1\noid sha256:{hashlib.sha256(content).hexdigest()}\n"
        f"size {len(content)}\n".encode()
        for clip, content in clips.items()
    }


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "SCHEMES", ("http://127.0.0.1:",))
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    monkeypatch.setattr(download, "time", SimpleNamespace(sleep=lambda seconds: None))
    with serving() as server:
        server.files |= {"/people.csv": PEOPLE, "/votes.csv": VOTES}
        yield server


@pytest.fixture
def fetching(server, tmp_path, monkeypatch):
    """A function that fetches a corpus of a few clips from mirrors on the server, into its ``folder``."""
    folder = tmp_path / "crema-d"

    def run(*paths, pointers=None, clips=CLIPS, tables=("/people.csv", "/votes.csv")):
        locking._held.clear()  # of the call before, as a command ends
        places = zip(TABLES.items(), tables, strict=True)
        small = {name: table._replace(addresses=[server.url(path)]) for (name, table), path in places}
        monkeypatch.setattr(module, "TABLES", small)
        monkeypatch.setattr(module, "official_clips", lambda: [parse_name(clip) for clip in clips])
        names = [path if path in MIRRORS else server.url(path) for path in paths]
        module.fetch_corpus(archive=None, settings={"mirrors": names, "pointers": pointers}, folder=folder)

    run.folder = folder
    return run


def contents(folder):
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".fetch.lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def told(capsys):
    lines = [line for line in capsys.readouterr().err.splitlines() if "trying again" not in line]
    return [line for line in lines if not line.startswith("unpacking")]


def test_the_official_clips_are_as_many_as_were_published():
    names = [name.clip for name in official_clips()]
    assert len(names) == len(set(names)) == 7442 and names == sorted(names)
    assert Counter(name.emotion for name in official_clips()) == {
        "ANG": 1271, "DIS": 1271, "FEA": 1271, "HAP": 1271, "SAD": 1271, "NEU": 1087,
    }  # fmt: skip
    assert len({name.speaker for name in official_clips()}) == 91
    assert {"1001_IEO_ANG_LO", "1091_WSI_SAD_XX", "1040_ITH_SAD_XX", "1076_MTI_SAD_XX"} < set(names)
    assert not {"1001_IEO_NEU_LO", "1008_WSI_ANG_XX", "1002_TIE_NEU_XX"} & set(names)


def test_the_official_clips_are_those_of_the_corpus(crema_d):
    with (crema_d / "metadata/SentenceFilenames.csv").open(newline="") as file:
        assert {row["Filename"] for row in csv.DictReader(file)} == {name.clip for name in official_clips()}


def test_mirrors_are_named_or_given_by_their_address():
    assert list(MIRRORS) == ["official", "gitlab", "kaggle"]
    assert named_mirror("kaggle").kaggle and not named_mirror("https://example.org/x.zip").kaggle
    assert named_mirror("https://example.org/x.zip?token=1").name == "https://example.org/x.zip"
    addresses = [mirror.address for mirror in MIRRORS.values() if not mirror.kaggle]
    addresses += [address for table in TABLES.values() for address in table.addresses]
    assert all(address.startswith("https://") for address in addresses)


def test_a_corpus_from_one_mirror(server, fetching, capsys):
    tables = [("a/VideoDemographics.csv", PEOPLE), ("a/processedResults/tabulatedVotes.csv", VOTES)]
    server.files["/good.zip"] = zipped(CLIPS, tables)
    fetching("/good.zip")
    files = contents(fetching.folder)
    assert {name for name in files if name.startswith("AudioWAV/")} == {f"AudioWAV/{clip}.wav" for clip in CLIPS}
    assert all(files[f"AudioWAV/{clip}.wav"] == content for clip, content in CLIPS.items())
    assert files["metadata/VideoDemographics.csv"] == PEOPLE and files["metadata/tabulatedVotes.csv"] == VOTES
    with (fetching.folder / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"file": f"{clip}.wav", "bytes": str(len(content)), "sha256": hashlib.sha256(content).hexdigest()}
        for clip, content in sorted(CLIPS.items())
    ]
    assert json.loads(files["source.json"])["mirror"] == server.url("/good.zip")
    (line,) = told(capsys)
    assert line == "the recordings were not compared with the published ones; fetch.pointers allows that"
    assert [path for path, _ in server.asked] == ["/good.zip"]
    assert set(files) == {*(f"AudioWAV/{clip}.wav" for clip in CLIPS), "metadata/VideoDemographics.csv"} | {
        "metadata/tabulatedVotes.csv", "manifest.csv", "source.json",
    }  # fmt: skip


def test_mirrors_are_tried_in_order_and_each_error_is_printed(server, fetching, capsys):
    missing = {clip: content for clip, content in CLIPS.items() if clip != "1002_DFA_SAD_XX"}
    server.files |= {
        "/page.zip": b"<!DOCTYPE html><html>Sign in</html>",
        "/broken.zip": zipped(CLIPS)[:3000],
        "/empty.zip": zipped({}, [("readme", b"")]),
        "/part.zip": zipped(missing),
        "/twice.zip": zipped(CLIPS | {"1040_ITH_SAD_X": b"1", "1040_ITH_SAD_XX": b"2"}),
        "/good.zip": zipped(CLIPS),
    }
    errors = {
        "/none.zip": "404 Not Found",
        "/page.zip": "the server sent a web page",
        "/broken.zip": "a damaged archive",
        "/empty.zip": "holds no recordings",
        "/part.zip": "has 3 of the 4 clips; 1002_DFA_SAD_XX is missing",
    }
    fetching(*errors, "/good.zip")
    lines = told(capsys)
    for line, (path, error) in zip(lines[: len(errors)], errors.items(), strict=True):
        assert line.startswith(f"mirror {server.url(path)}: {error}")
    assert find_metadata(fetching.folder / "AudioWAV", None).keys() == {"demographics", "votes"}
    with pytest.raises(UserError):
        fetching("/twice.zip", clips=[*CLIPS, "1040_ITH_SAD_XX"])
    assert "has the clip 1040_ITH_SAD_XX twice" in told(capsys)[0]


def test_all_mirrors_fail(server, fetching, capsys):
    server.turns = [status(503)] * 2
    with pytest.raises(UserError, match=r"none of http\S*/a.zip, http\S*/b.zip has the recordings.* set audio"):
        fetching("/a.zip", "/b.zip")
    assert not contents(fetching.folder)
    assert "503 Service Unavailable; gave up after 2 attempts" in told(capsys)[-2]


def test_pointers_are_refused_and_check_the_next_mirror(server, fetching, capsys):
    server.files |= {"/official.zip": zipped(pointers_to(CLIPS)), "/gitlab.zip": zipped(CLIPS)}
    fetching("/official.zip", "/gitlab.zip")
    first, second = told(capsys)
    assert "official.zip: holds Git LFS pointers in place of the recordings" in first
    assert second == "4 of 4 recordings have the published size and sha256"
    assert json.loads((fetching.folder / "source.json").read_text())["checked"] == 4


@pytest.mark.parametrize(("content", "what"), [(b"1SAD" * 1000, "sha256"), (b"short", "size")])
def test_a_recording_that_is_not_the_published_one(server, fetching, capsys, content, what):
    server.files |= {
        "/pointers.zip": zipped(pointers_to(CLIPS)),
        "/wrong.zip": zipped(CLIPS | {"1001_DFA_ANG_XX": content}),
        "/good.zip": zipped(CLIPS),
    }
    fetching("/pointers.zip", "/wrong.zip", "/good.zip")
    line = told(capsys)[1]
    assert (
        f"wrong.zip: 1001_DFA_ANG_XX.wav is not as published: its {what} differs from that in the Git LFS pointer"
        in line
    )
    assert (fetching.folder / "AudioWAV/1001_DFA_ANG_XX.wav").read_bytes() == CLIPS["1001_DFA_ANG_XX"]


def test_pointers_from_a_file(server, fetching, capsys, tmp_path):
    server.files |= {"/wrong.zip": zipped(CLIPS | {"1001_DFA_ANG_XX": b"other"}), "/good.zip": zipped(CLIPS)}
    place = tmp_path / "pointers.tar.gz"
    with tarfile.open(place, "w:gz") as archive:
        for clip, content in pointers_to(CLIPS).items():
            info = tarfile.TarInfo(f"x/{clip}.wav")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    fetching("/wrong.zip", "/good.zip", pointers=str(place))
    assert "is not as published" in told(capsys)[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "fetch.pointers: .*: no such file"),
        (lambda path: path.write_bytes(zipped(CLIPS)), "fetch.pointers: .*: has no Git LFS pointers"),
        (lambda path: path.write_bytes(b"text"), "not an archive that can be read"),
    ],
)
def test_pointers_that_are_none(server, fetching, tmp_path, make, message):
    make(tmp_path / "pointers.zip")
    with pytest.raises(UserError, match=message):
        fetching("/good.zip", pointers=str(tmp_path / "pointers.zip"))
    assert not contents(fetching.folder) and not server.asked


def test_tables_that_cannot_be_had_are_empty(server, fetching, capsys):
    server.files |= {"/good.zip": zipped(CLIPS), "/votes.csv": b"<html>"}
    fetching("/good.zip", tables=("/none.csv", "/votes.csv"))
    lines = told(capsys)
    assert lines[1].endswith("/none.csv: 404 Not Found")
    assert lines[2].startswith("VideoDemographics.csv cannot be downloaded")
    assert "sent a web page" in lines[3] and lines[4].startswith("tabulatedVotes.csv cannot be downloaded")
    assert read_demographics(fetching.folder / "metadata/VideoDemographics.csv") == {}
    assert voice_votes(fetching.folder / "metadata/tabulatedVotes.csv") == {}


def test_an_interrupted_download_is_resumed_by_the_next_run(server, fetching):
    content = zipped(CLIPS)
    server.files["/good.zip"] = content
    server.turns = [whole(sent=5000), whole(sent=0), whole(sent=0)]
    with pytest.raises(UserError, match=r"none of .*good\.zip"):
        fetching("/good.zip")
    left = contents(fetching.folder)
    assert sorted(name.rpartition(".")[2] for name in left) == ["json", "part"] and all(
        ".fetch/" in name for name in left
    )
    server.asked.clear()
    fetching("/good.zip")
    assert server.asked[0][1]["Range"] == "bytes=5000-"
    assert not (fetching.folder / ".fetch").exists()


def test_a_disk_too_full_to_unpack_keeps_the_download(server, fetching, monkeypatch, capsys):
    server.files["/good.zip"] = zipped(CLIPS)
    with monkeypatch.context() as patch:
        patch.setattr(module, "need_room", lambda folder, wanted: download.need_room(folder, 10**16))
        with pytest.raises(UserError, match=r"none of .*good\.zip"):
            fetching("/good.zip")
    assert "needs 10,000,000.0 GB of free space" in told(capsys)[-1]
    server.files["/good.zip"] = b"gone"
    fetching("/good.zip")
    assert (fetching.folder / "manifest.csv").exists()


# Kaggle cannot be reached from a test; this stands in for its client, and is run as that is.
PYTHON = sys.executable
CLIENT = """#!{python}
import sys, shutil
assert sys.argv[1:4] == ["datasets", "download", "ejlok1/cremad"], sys.argv
print("Dataset URL: somewhere")
if {fails}:
    sys.exit("401 - Unauthorized")
shutil.copy({archive!r}, sys.argv[sys.argv.index("--path") + 1] + "/cremad.zip")
"""


@pytest.fixture
def client(tmp_path, monkeypatch):
    """A function that puts a client on the path."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(kaggle.sys, "executable", str(tmp_path / "bin/python"))

    def install(archive, fails=False):
        path = tmp_path / "bin/kaggle"
        path.write_text(CLIENT.format(python=PYTHON, archive=str(archive), fails=fails))
        path.chmod(0o755)

    return install


def test_kaggle_through_its_client(client, fetching, tmp_path):
    (tmp_path / "x.zip").write_bytes(zipped(CLIPS, folder="AudioWAV"))
    client(tmp_path / "x.zip")
    fetching("kaggle")
    assert len(contents(fetching.folder / "AudioWAV")) == 4 and not (fetching.folder / ".fetch").exists()


def test_kaggle_without_its_client(client, fetching, capsys):
    with pytest.raises(UserError):
        fetching("kaggle")
    assert told(capsys) == ["mirror kaggle: Kaggle's client is not installed; run: python -m pip install kaggle"]


def test_kaggle_without_credentials(client, fetching, capsys):
    client("x", fails=True)
    with pytest.raises(UserError):
        fetching("kaggle")
    (line,) = told(capsys)
    assert line.startswith("mirror kaggle: 401 - Unauthorized; if you are not signed in, make a token on kaggle.com")
