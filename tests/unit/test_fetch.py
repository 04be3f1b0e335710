"""CREMA-D from its mirrors: which clips it has, which mirror is taken, and what is checked."""

import csv
import hashlib
import io
import json
import sys
import tarfile
import zipfile
from collections import Counter

import pytest

from misbehaving import serving, status, whole
from serflow.corpus import fetch, kaggle
from serflow.corpus.download import Downloader
from serflow.corpus.metadata import find_metadata, read_demographics, voice_votes
from serflow.corpus.official import MIRRORS, TABLES, Mirror, named_mirror, official_clips
from serflow.runtime.errors import UserError

CLIPS = {
    f"100{speaker}_DFA_{emotion}_XX": f"{speaker}{emotion}".encode() * 1000
    for speaker in (1, 2)
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
    with serving() as server:
        server.files |= {"/people.csv": PEOPLE, "/votes.csv": VOTES}
        yield server


@pytest.fixture
def fetching(server, tmp_path):
    """Give a function that fetches from paths of the server into the folder that comes with it."""
    folder = tmp_path / "crema-d"

    def run(*paths, pointers=None, clips=CLIPS, tables=("/people.csv", "/votes.csv")):
        mirrors = [path if isinstance(path, Mirror) else Mirror(path[1:], server.url(path)) for path in paths]
        fetch.download_corpus(
            folder,
            mirrors,
            set(clips),
            pointers,
            tables={name: [server.url(path)] for name, path in zip(TABLES, tables, strict=True)},
            room=1000,
            downloader=Downloader(loopback=True, sleep=lambda seconds: None, attempts=2),
        )

    run.folder = folder
    return run


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def nothing_is_there(folder):
    return not contents(folder)


def told(capsys):
    return [line for line in capsys.readouterr().err.splitlines() if "unpacking" not in line]


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
    addresses = [mirror.address for mirror in MIRRORS.values() if not mirror.kaggle] + [
        url for urls in TABLES.values() for url in urls
    ]
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
    assert json.loads(files["source.json"])["mirror"] == "good.zip"
    assert told(capsys) == [
        "fetch_corpus: no Git LFS pointers to check the recordings against; fetch.pointers can name some"
    ]
    assert [path for path, _ in server.asked] == ["/good.zip"]
    assert set(files) == {*(f"AudioWAV/{clip}.wav" for clip in CLIPS), "metadata/VideoDemographics.csv"} | {
        "metadata/tabulatedVotes.csv", "manifest.csv", "source.json",
    }  # fmt: skip


def test_mirrors_are_tried_in_turn_and_each_failure_is_told(server, fetching, capsys):
    missing = {clip: content for clip, content in CLIPS.items() if clip != "1002_DFA_SAD_XX"}
    server.files |= {
        "/page.zip": b"<!DOCTYPE html><html>Sign in</html>",
        "/broken.zip": zipped(CLIPS)[:3000],
        "/evil.zip": zipped(CLIPS, [("../../x.wav", b"RIFF")]),
        "/part.zip": zipped(missing),
        "/twice.zip": zipped(CLIPS | {"1040_ITH_SAD_X": b"1", "1040_ITH_SAD_XX": b"2"}),
        "/good.zip": zipped(CLIPS),
    }
    paths = ["/none.zip", "/page.zip", "/broken.zip", "/evil.zip", "/part.zip", "/good.zip"]
    fetching(*paths)
    lines = told(capsys)
    assert [line.split(": ")[1] for line in lines[:5]] == [path[1:] for path in paths[:5]]
    for line, reason in zip(
        lines,
        [
            "404 Not Found",
            "sent a web page",
            "damaged archive",
            "leads out of its folder",
            "has 3 of the 4 clips; 1002_DFA",
        ],
        strict=False,
    ):
        assert reason in line
    assert find_metadata(fetching.folder / "AudioWAV", None).keys() == {"demographics", "votes"}
    with pytest.raises(UserError):
        fetching("/twice.zip", clips=[*CLIPS, "1040_ITH_SAD_XX"])
    assert "has the clip 1040_ITH_SAD_XX twice" in told(capsys)[0]


def test_all_mirrors_fail(server, fetching, capsys):
    server.turns = [status(503)] * 2
    with pytest.raises(UserError, match=r"fetch.mirrors: none of a.zip, b.zip gave the recordings, .* set audio to"):
        fetching("/a.zip", "/b.zip")
    assert nothing_is_there(fetching.folder)
    assert "503 Service Unavailable; gave up after 2 attempts" in told(capsys)[-2]


def test_pointers_are_refused_and_check_the_next_mirror(server, fetching, capsys):
    server.files |= {"/official.zip": zipped(pointers_to(CLIPS)), "/gitlab.zip": zipped(CLIPS)}
    fetching("/official.zip", "/gitlab.zip")
    first, second = told(capsys)
    assert "official.zip: holds Git LFS pointers in place of the recordings" in first
    assert second == "fetch_corpus: 4 of 4 recordings have the published size and sha256"
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
    assert f"wrong.zip: 1001_DFA_ANG_XX.wav is not as published: its {what} is not that of the Git LFS pointer" in line
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
        (lambda path: path.write_bytes(zipped(CLIPS)), "fetch.pointers: .*: holds no Git LFS pointers"),
        (lambda path: path.write_bytes(b"text"), "not an archive that can be read"),
    ],
)
def test_pointers_that_are_none(server, fetching, tmp_path, make, message):
    make(tmp_path / "pointers.zip")
    with pytest.raises(UserError, match=message):
        fetching("/good.zip", pointers=str(tmp_path / "pointers.zip"))
    assert nothing_is_there(fetching.folder) and not server.asked


def test_tables_that_cannot_be_had_are_empty(server, fetching, capsys):
    server.files |= {"/good.zip": zipped(CLIPS), "/votes.csv": b"<html>"}
    fetching("/good.zip", tables=("/none.csv", "/votes.csv"))
    lines = told(capsys)
    assert "none.csv: 404 Not Found" in lines[1] and lines[2].startswith(
        "fetch_corpus: VideoDemographics.csv could not"
    )
    assert "sent a web page" in lines[3] and lines[4].startswith("fetch_corpus: tabulatedVotes.csv could not")
    assert read_demographics(fetching.folder / "metadata/VideoDemographics.csv") == {}
    assert voice_votes(fetching.folder / "metadata/tabulatedVotes.csv") == {}


def test_a_broken_download_is_gone_on_with_in_the_next_run(server, fetching):
    content = zipped(CLIPS)
    server.files["/good.zip"] = content
    server.turns = [whole(sent=5000), whole(sent=0), whole(sent=0)]
    with pytest.raises(UserError, match=r"none of good\.zip"):
        fetching("/good.zip")
    left = contents(fetching.folder)
    assert sorted(name.rpartition(".")[2] for name in left) == ["json", "part"] and all(
        ".fetch/" in name for name in left
    )
    server.asked.clear()
    fetching("/good.zip")
    assert server.asked[0][1]["Range"] == "bytes=5000-"
    assert not (fetching.folder / ".fetch").exists()


def test_no_room_to_unpack_keeps_what_was_fetched(server, fetching, monkeypatch, capsys):
    server.files["/good.zip"] = zipped(CLIPS)
    real = fetch.need_room
    monkeypatch.setattr(fetch, "need_room", lambda folder, wanted: real(folder, 10**16))
    with pytest.raises(UserError, match=r"none of good\.zip"):
        fetching("/good.zip")
    assert "needs 10,000,000.0 GB of free space" in told(capsys)[-1]
    monkeypatch.undo()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
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
    """Give a function that puts a client on the path, with no credentials anywhere."""
    (tmp_path / "home").mkdir()
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(kaggle.sys, "executable", str(tmp_path / "bin/python"))
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN", "KAGGLE_CONFIG_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)

    def install(archive, fails=False):
        path = tmp_path / "bin/kaggle"
        path.write_text(CLIENT.format(python=PYTHON, archive=str(archive), fails=fails))
        path.chmod(0o755)

    return install


def test_kaggle_through_its_client(client, fetching, tmp_path):
    (tmp_path / "x.zip").write_bytes(zipped(CLIPS, folder="AudioWAV"))
    client(tmp_path / "x.zip")
    fetching(MIRRORS["kaggle"])
    assert len(contents(fetching.folder / "AudioWAV")) == 4 and not (fetching.folder / ".fetch").exists()


def test_kaggle_without_its_client(client, fetching, capsys):
    with pytest.raises(UserError):
        fetching(MIRRORS["kaggle"])
    assert told(capsys) == ["fetch_corpus: kaggle: Kaggle's client is not installed; run: python -m pip install kaggle"]


def test_kaggle_without_credentials(client, fetching, capsys, tmp_path):
    client("x", fails=True)
    with pytest.raises(UserError):
        fetching(MIRRORS["kaggle"])
    (line,) = told(capsys)
    assert "kaggle: 401 - Unauthorized; no credentials were found: make a token on kaggle.com" in line
    (tmp_path / "home/.kaggle").mkdir()
    (tmp_path / "home/.kaggle/kaggle.json").write_text("never read")
    with pytest.raises(UserError):
        fetching(MIRRORS["kaggle"])
    assert told(capsys) == ["fetch_corpus: kaggle: 401 - Unauthorized"]
