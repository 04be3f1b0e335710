"""Archives that are hostile or damaged: each is harmless, or refused in one line with nothing left behind."""

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import zipfile

import pytest

from serflow.corpus.fetch_corpus import fetch_corpus
from serflow.corpus.pending import folder_of
from serflow.fetch import archive as module
from serflow.runtime import locking
from serflow.runtime.errors import UserError

CLIP = "1001_DFA_ANG_XX.wav"
SOUND = b"RIFF" + bytes(range(256)) * 20
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 5124\n"


def zipped(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def tarred(path, members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for member, content in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def special(name, type, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = type, target
    return info


def zip_entry(name, mode):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


def unpack(folder, archive, pointers=None):
    locking._held.clear()  # of the call before, as a command ends
    fetch_corpus(archive=archive, settings={"mirrors": [], "pointers": pointers}, folder=folder)


def listed(archive):
    return [member.file for member in module.list_archive(archive, folder_of)]


def contents(folder):
    files = [path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name != ".fetch.lock"}


def refused(tmp_path, archive, pointers=None):
    """Return the message for an archive that is refused."""
    with pytest.raises(UserError) as error:
        unpack(tmp_path / "corpus", archive, pointers)
    assert str(error.value).startswith(str(archive)) and "\n" not in str(error.value)
    assert not contents(tmp_path / "corpus")
    assert {path.name for path in tmp_path.iterdir()} <= {archive.name, "corpus", "pointers.zip"}
    return str(error.value).removeprefix(f"{archive}: ")


def harmless(tmp_path, archive, *files):
    """Check that these recordings are unpacked and nothing is written elsewhere."""
    unpack(tmp_path / "corpus", archive)
    found = contents(tmp_path / "corpus")
    assert set(found) == {f"AudioWAV/{file}" for file in files} | {"manifest.csv", "source.json"}
    assert all(found[f"AudioWAV/{file}"] == SOUND for file in files)
    assert {path.name for path in tmp_path.iterdir()} == {archive.name, "corpus"}


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tar.xz", "tar.bz2"])
def test_recordings_and_tables_are_taken_out_and_nothing_else(tmp_path, suffix):
    members = [
        (f"CREMA-D-1.0/AudioWAV/{CLIP}", SOUND),
        ("CREMA-D-1.0/1002_DFA_ANG_XX.FLAC", b"fLaC"),
        ("CREMA-D-1.0/VideoDemographics.csv", b"ActorID"),
        ("CREMA-D-1.0/processedResults/tabulatedVotes.csv", b"votes"),
        ("CREMA-D-1.0/finishedResponses.csv", b"others"),
        (f"__MACOSX/AudioWAV/._{CLIP}", b"of macOS"),
        (f"CREMA-D-1.0/AudioMP3/{CLIP[:-4]}.mp3", b"ID3"),
        ("CREMA-D-1.0/run.sh", b"rm -rf /"),
    ]
    archive = tmp_path / f"a.{suffix}"
    mode = {"tar": "w"}.get(suffix, f"w:{suffix[4:]}")
    zipped(archive, members) if suffix == "zip" else tarred(archive, members, mode)
    assert set(listed(archive)) == {CLIP, "1002_DFA_ANG_XX.FLAC", "VideoDemographics.csv", "tabulatedVotes.csv"}
    unpack(tmp_path / "corpus", archive)
    found = contents(tmp_path / "corpus")
    assert set(found) == {
        f"AudioWAV/{CLIP}", "AudioWAV/1002_DFA_ANG_XX.FLAC", "metadata/VideoDemographics.csv",
        "metadata/tabulatedVotes.csv", "manifest.csv", "source.json",
    }  # fmt: skip
    assert found[f"AudioWAV/{CLIP}"] == SOUND


@pytest.mark.parametrize(
    "folder", ["../", "a/../../", "a\\..\\..\\", "/tmp/", "\\\\server\\", "C:\\", "../../etc/cron.d/"]
)
@pytest.mark.parametrize("make", [zipped, tarred])
def test_paths_that_lead_elsewhere_are_not_used(tmp_path, make, folder):
    members = [("1002_DFA_ANG_XX.wav", SOUND), (f"{folder}{CLIP}", SOUND), (f"{folder}x", b"* * * * * root reboot")]
    harmless(tmp_path, make(tmp_path / "a", members), "1002_DFA_ANG_XX.wav", CLIP)


def test_a_name_that_is_not_unicode(tmp_path):
    archive = tarred(tmp_path / "a", [(os.fsdecode(b"\xff.wav"), SOUND)])
    assert "damaged" in refused(tmp_path, archive)


@pytest.mark.parametrize("make", [zipped, tarred])
@pytest.mark.parametrize("other", [f"b/{CLIP}", f"b/{CLIP.upper()}", f"a/{CLIP}"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_would_be_one_file(tmp_path, make, other):
    said = refused(tmp_path, make(tmp_path / "a", [(f"a/{CLIP}", SOUND), (other, b"RIFF")]))
    assert "would be unpacked to the same file" in said


def test_names_that_are_one_after_normalisation(tmp_path):
    archive = zipped(tmp_path / "a", [("caf\u00e9.wav", SOUND), ("cafe\u0301.wav", SOUND)])
    assert "would be unpacked to the same file" in refused(tmp_path, archive)


@pytest.mark.parametrize(
    "member",
    [
        special(CLIP, tarfile.SYMTYPE, "/etc/passwd"),
        special(CLIP, tarfile.LNKTYPE, "/etc/shadow"),
        special(CLIP, tarfile.FIFOTYPE),
        special(CLIP, tarfile.BLKTYPE),
        special(CLIP, tarfile.GNUTYPE_SPARSE),
        zip_entry(CLIP, stat.S_IFLNK | 0o777),
        zip_entry(CLIP, stat.S_IFIFO),
    ],
)
def test_a_recording_that_is_not_a_file(tmp_path, member):
    make, content = (tarred, b"") if isinstance(member, tarfile.TarInfo) else (zipped, b"/etc/passwd")
    archive = make(tmp_path / "a", [("1002_DFA_ANG_XX.wav", SOUND), (member, content)])
    assert "is not a plain file; unpack it yourself" in refused(tmp_path, archive)


def test_links_and_devices_that_are_not_unpacked(tmp_path):
    """Also the old trick: a link to elsewhere, then a file below it."""
    links = [
        ("a/b", tarfile.SYMTYPE, "../../x"),
        ("AudioWAV", tarfile.SYMTYPE, str(tmp_path)),
        ("sda", tarfile.BLKTYPE),
    ]
    members = [(special(*link), b"") for link in links]
    harmless(tmp_path, tarred(tmp_path / "a", [*members, (f"AudioWAV/{CLIP}", SOUND)]), CLIP)


def flagged(path, place, value):
    """Make a zip with one field of its recording set, in both of its headers."""
    content = bytearray(zipped(path, [(CLIP, SOUND)]).read_bytes())
    for signature, offset in ((b"PK\x03\x04", place), (b"PK\x01\x02", place + 2)):
        content[content.index(signature) + offset] |= value
    path.write_bytes(content)
    return path


def test_encrypted(tmp_path):
    assert "is encrypted; unpack it yourself" in refused(tmp_path, flagged(tmp_path / "a", 6, 1))


def test_an_unknown_compression(tmp_path):
    assert "compression method is not supported" in refused(tmp_path, flagged(tmp_path / "a", 8, 97))


@pytest.fixture
def small(monkeypatch):
    for name, value in {"MEMBERS": 50, "BYTES": 1 << 20, "RATIO": 20}.items():
        monkeypatch.setattr(module, f"MOST_{name}", value)
    monkeypatch.setattr(module, "FREE_BYTES", 1 << 16)


@pytest.mark.parametrize("suffix", ["zip", "gz", "xz", "bz2"])
@pytest.mark.parametrize("name", [CLIP, "film.flv"])
def test_bombs(tmp_path, suffix, name, small, monkeypatch):
    members = [(name, SOUND + bytes(900_000)), ("1002_DFA_ANG_XX.wav", SOUND)]
    archive = tmp_path / "a"
    if suffix == "zip":
        zipped(archive, members, compression=zipfile.ZIP_DEFLATED)
    else:
        tarred(archive, members, f"w:{suffix}")
    assert "too much for its size" in refused(tmp_path, archive)
    monkeypatch.setattr(module, "MOST_RATIO", 10_000)
    assert listed(archive)


@pytest.mark.parametrize("make", [zipped, tarred])
def test_more_than_the_limit_unpacked(tmp_path, make, small, monkeypatch):
    monkeypatch.setattr(module, "MOST_RATIO", 1000)
    many = [(f"1001_DFA_ANG_XX{number}.wav", SOUND[:1] * 300_000) for number in range(4)]
    assert "unpacks to more than 1 MB" in refused(tmp_path, make(tmp_path / "a", many))


@pytest.mark.parametrize("make", [zipped, tarred])
def test_too_many_members(tmp_path, make, small):
    many = [(f"{number}", b"") for number in range(60)]
    assert "has more than 50 members" in refused(tmp_path, make(tmp_path / "a", many))


@pytest.mark.parametrize("name_type", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_header_that_would_fill_the_memory(tmp_path, name_type):
    """Told to be 3 GB, as a few hundred bytes of xz can be."""
    header = special("././@LongLink", name_type)
    header.size = 3 << 30
    (tmp_path / "a").write_bytes(lzma.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(10_000)))
    assert "has a header that is too long" in refused(tmp_path, tmp_path / "a")


def test_a_negative_size(tmp_path):
    header = tarfile.TarInfo(CLIP)
    buffer = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    buffer[124:136] = b"\xff" * 10 + struct.pack(">h", -512)
    buffer[148:156] = b" " * 8
    buffer[148:156] = b"%06o\0 " % sum(buffer)
    (tmp_path / "a").write_bytes(buffer + bytes(10_240))
    assert "damaged" in refused(tmp_path, tmp_path / "a")


def test_headers_without_end(tmp_path):
    """Each extends the next, which Python's reader follows by calling itself."""
    record = b"12 path=abc\n"
    header = special("x", tarfile.XHDTYPE)
    header.size = len(record)
    block = header.tobuf(tarfile.USTAR_FORMAT) + record.ljust(512, b"\0")
    (tmp_path / "a").write_bytes(gzip.compress(block * 5000))
    assert "damaged" in refused(tmp_path, tmp_path / "a")


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tar.xz", "tar.bz2"])
@pytest.mark.parametrize("left", [0.05, 0.5, 0.9, "all but a byte", "all but the end"])
def test_truncated(tmp_path, suffix, left):
    members = [(f"1001_DFA_ANG_{number:02}.wav", SOUND + number.to_bytes()) for number in range(20)]
    archive = tmp_path / "a"
    zipped(archive, members) if suffix == "zip" else tarred(
        archive, members, {"tar": "w"}.get(suffix, f"w:{suffix[4:]}")
    )
    content = archive.read_bytes()
    if left == "all but the end" and suffix != "zip":  # at the end of a member, where nothing is cut in two
        opened = {"tar": lambda it: it, "tar.gz": gzip.decompress, "tar.xz": lzma.decompress, "tar.bz2": bz2.decompress}
        packed = {"tar": lambda it: it, "tar.gz": gzip.compress, "tar.xz": lzma.compress, "tar.bz2": bz2.compress}
        content = packed[suffix](opened[suffix](content)[: 5 * (512 + 5632)])
    elif left in ("all but a byte", "all but the end"):
        content = content[:-1]
        if suffix == "tar":
            return  # its last byte is padding
    else:
        content = content[: int(left * len(content))]
    archive.write_bytes(content)
    said = refused(tmp_path, archive)
    assert any(word in said for word in ("damaged", "cut off", "not an archive"))


@pytest.mark.parametrize("suffix", ["zip", "tar.gz", "tar.xz", "tar.bz2"])
def test_damaged_in_the_middle(tmp_path, suffix):
    archive = tmp_path / "a"
    members = [(CLIP, bytes(number * number % 251 for number in range(100_000)))]
    if suffix == "zip":
        zipped(archive, members, compression=zipfile.ZIP_DEFLATED)
    else:
        tarred(archive, members, f"w:{suffix[4:]}")
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 0xFF
    archive.write_bytes(content)
    assert "damaged archive" in refused(tmp_path, archive)


def test_a_zip_that_lies_about_a_size(tmp_path):
    archive = zipped(tmp_path / "a", [(CLIP, SOUND)], compression=zipfile.ZIP_DEFLATED)
    content = bytearray(archive.read_bytes())
    for signature, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = content.index(signature) + place
        content[at : at + 4] = struct.pack("<I", 50_000)
    archive.write_bytes(content)
    said = refused(tmp_path, archive)
    assert "damaged archive" in said or "cut off" in said


@pytest.mark.parametrize("content", [b"", b"hello", b"<!DOCTYPE html><html>", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07"])
def test_what_is_no_archive(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert "not an archive that can be read; expected .zip" in refused(tmp_path, tmp_path / "a")


def test_an_archive_without_recordings(tmp_path):
    assert refused(tmp_path, zipped(tmp_path / "a", [("readme", b"")])) == "holds no recordings"


def test_pointers_in_place_of_recordings(tmp_path):
    archive = zipped(tmp_path / "a", [(CLIP, POINTER)])
    assert "holds Git LFS pointers in place of the recordings" in refused(tmp_path, archive)


def test_recordings_are_compared_with_pointers(tmp_path):
    pointers = zipped(tmp_path / "pointers.zip", [(f"CREMA-D-master/AudioWAV/{CLIP}", POINTER)])
    archive = zipped(tmp_path / "a", [(CLIP, SOUND)])
    assert f"{CLIP} is not as published: its sha256 differs" in refused(tmp_path, archive, str(pointers))


def test_recordings_that_were_not_fetched_stay(tmp_path):
    folder = tmp_path / "corpus"
    (folder / "AudioWAV").mkdir(parents=True)
    (folder / "AudioWAV/1005_DFA_ANG_XX.wav").write_bytes(b"RIFF")
    with pytest.raises(UserError, match="holds recordings that were not fetched"):
        unpack(folder, zipped(tmp_path / "a", [(CLIP, SOUND)]))
    assert contents(folder) == {"AudioWAV/1005_DFA_ANG_XX.wav": b"RIFF"}


def test_another_archive_replaces_the_first(tmp_path):
    folder = tmp_path / "corpus"
    unpack(folder, zipped(tmp_path / "a", [(CLIP, SOUND)]))
    unpack(folder, zipped(tmp_path / "b", [("1002_DFA_ANG_XX.wav", SOUND)]))
    assert [path.name for path in (folder / "AudioWAV").iterdir()] == ["1002_DFA_ANG_XX.wav"]
    assert (folder / "manifest.csv").read_text().splitlines()[1].startswith("1002_DFA_ANG_XX.wav,5124,")
