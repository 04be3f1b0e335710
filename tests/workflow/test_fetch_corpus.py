"""Recordings that a rule brings: out of an archive, and from a mirror, broken off and gone on with."""

import io
import json
import shutil
import ssl
import subprocess
import sys
import tarfile
import time
import wave
import zipfile
from collections import Counter

import numpy as np
import psutil
import pytest

from misbehaving import serving, status, whole
from serflow.corpus.crema_d_release import official_clips
from serflow.storage import read_table
from workspace import RUNS, Workspace

CATALOG = Counter(read_recordings=4, catalog_clips=1, split_clips=1)


@pytest.fixture
def archive(sample, tmp_path):
    """An archive of some of the sample's recordings, with their table of speakers."""
    place, made = tmp_path / "my recordings.tar.gz", sample.folder / "resources/corpora/sample"
    with tarfile.open(place, "w:gz") as archive:
        for clip in sorted((made / "AudioWAV").glob("10[02]?_*.wav")):
            archive.add(clip, f"corpus/audio/{clip.name}")
        archive.add(made / "metadata/VideoDemographics.csv", "corpus/VideoDemographics.csv")
    return place


@pytest.fixture
def there(archive, empty):
    return Workspace(empty.folder, empty.project, {"corpus": "mine", "audio": str(archive), "runs": RUNS})


def test_an_archive_is_unpacked_and_used(there, archive, sample):
    assert there.jobs("catalog") == CATALOG | Counter(fetch_corpus=1)
    there.run("catalog")
    assert not there.jobs("catalog")
    rows = read_table(there.results("mine") / "catalog/clips.parquet").to_pylist()
    theirs = read_table(sample.results() / "catalog/clips.parquet").to_pylist()
    digests = {row["clip"]: row["sha256"] for row in theirs if row["clip"][:3] in ("100", "102")}
    assert {row["clip"]: row["sha256"] for row in rows} == digests and len(digests) == 168
    assert all(row["sex"] for row in rows)
    # What concerns the fetching alone makes nothing stale.
    assert not there.jobs("catalog", fetch={"mirrors": ["kaggle"], "pointers": None})
    shutil.copy(archive, archive.with_name("same.tar.gz"))
    assert there.jobs("catalog", audio=str(archive.with_name("same.tar.gz")))["fetch_corpus"] == 1


@pytest.mark.extended
def test_another_archive_at_the_same_place(there, archive):
    there.run("catalog")
    with tarfile.open(archive, "w:gz") as other:
        for clip in sorted((there.folder / "resources/corpora/mine/AudioWAV").glob("*.wav"))[1:]:
            other.add(clip, clip.name)
    there.run("catalog")
    assert len(read_table(there.results("mine") / "catalog/clips.parquet")) == 167
    assert not there.jobs("catalog")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"text", "not an archive that can be read; expected .zip"), (b"PK\x03\x04 and no more", "a damaged archive")],
)
def test_a_file_that_is_no_archive(there, archive, content, message):
    archive.write_bytes(content)
    done = there.snakemake("--cores", "2", "catalog")
    said = [line for line in done.stderr.splitlines() if line.startswith("serflow")]
    assert done.returncode == 1 and len(said) == 1 and message in said[0] and str(archive) in said[0]
    assert not (there.folder / "resources").exists()


def recording(generator):
    """Return a clip of 0.6 s of noise at 1 kHz, so that thousands are small."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        file.writeframes(generator.integers(-8000, 8000, 600).astype("<i2").tobytes())
    return buffer.getvalue()


@pytest.fixture(scope="module")
def corpus():
    """An archive of all names of CREMA-D with noise under each, as a mirror would have it."""
    buffer, generator = io.BytesIO(), np.random.default_rng(0)
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in official_clips():
            archive.writestr(f"CREMA-D-1.0/AudioWAV/{name.clip}.wav", recording(generator))
        people = "".join(f"{speaker},{20 + speaker % 50},Male,Other,Other\n" for speaker in range(1001, 1092))
        archive.writestr("CREMA-D-1.0/VideoDemographics.csv", f"ActorID,Age,Sex,Race,Ethnicity\n{people}")
        votes = '"","A","D","F","H","N","S","fileName"\n"100001",0,0,0,1,10,0,"1001_IEO_NEU_XX"\n'
        archive.writestr("CREMA-D-1.0/processedResults/tabulatedVotes.csv", votes)
    return buffer.getvalue()


@pytest.fixture
def mirror(tmp_path, monkeypatch, corpus):
    """A server that the workflow trusts, as it would one in the world."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not here to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    monkeypatch.setenv("NO_PROXY", "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving(context) as server:
        server.files["/corpus.zip"] = corpus
        yield server


@pytest.mark.extended
def test_an_interrupted_download_of_crema_d_resumes(empty, mirror, corpus):
    settings = {"corpus": "crema-d", "runs": RUNS}
    settings["fetch"] = {"mirrors": [mirror.url("/none.zip"), mirror.url()], "pointers": None}
    workspace = Workspace(empty.folder, empty.project, settings)
    jobs = workspace.jobs("catalog")
    assert jobs == CATALOG | Counter(fetch_corpus=1)

    folder, half = workspace.folder / "resources/corpora/crema-d", len(corpus) // 2
    mirror.turns = [status(404), whole(sent=half, hang=True)]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(workspace.project / "Snakefile"), "--cores", "2"]
    command += ["catalog", "--config", *(f"{key}={json.dumps(value)}" for key, value in settings.items())]
    with subprocess.Popen(command, cwd=workspace.folder, stderr=subprocess.DEVNULL) as running:
        while running.poll() is None and sum(part.stat().st_size for part in folder.glob(".fetch/*.part")) < half:
            time.sleep(0.05)
        assert running.poll() is None
        for process in [*psutil.Process(running.pid).children(recursive=True), running]:
            process.kill()
    mirror.released.set()
    assert not (folder / "manifest.csv").exists() and not (folder / "AudioWAV").exists()
    assert workspace.jobs("catalog") == jobs

    said = workspace.run("catalog")
    ranges = [headers.get("Range") for path, headers in mirror.asked if path == "/corpus.zip"]
    assert ranges == [None, f"bytes={half}-"]
    assert f"mirror {mirror.url('/none.zip')}: 404 Not Found" in said
    assert not workspace.jobs("catalog")
    assert not (folder / ".fetch").exists()
    rows = read_table(workspace.results("crema-d") / "catalog/clips.parquet").to_pylist()
    assert [row["clip"] for row in rows] == [name.clip for name in official_clips()]
    assert all(row["sex"] == "Male" for row in rows) and sum(row["votes_NEU"] is not None for row in rows) == 1


def test_no_mirror_has_it(empty, mirror):
    mirror.files.clear()
    done = empty.snakemake(
        "--cores", "2", "catalog", corpus="crema-d", fetch={"mirrors": [mirror.url()], "pointers": None}
    )
    assert done.returncode != 0 and "Traceback" not in done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("serflow")]
    assert len(set(said)) == 1 and "none of https://localhost" in said[0] and "set audio to a folder" in said[0]
    assert not [path for path in (empty.folder / "resources").rglob("*") if path.is_file() and "lock" not in path.name]
