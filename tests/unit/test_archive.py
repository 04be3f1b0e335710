"""Archives that do harm, or are none: each refused in one line, with nothing left behind."""

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile

import pytest

from serflow.corpus.archive import LIMITS, Digest, list_archive
from serflow.corpus.fetch import unpack_corpus
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


def refused(tmp_path, archive, limits=LIMITS):
    """Give what is said of an archive, which both reading its list and unpacking it refuse."""
    folder = tmp_path / "corpus"
    with pytest.raises(UserError) as error:
        unpack_corpus(folder, archive, None, limits=limits)
    assert str(error.value).startswith(str(archive)) and "\n" not in str(error.value)
    assert not [path for path in folder.rglob("*") if path.is_file()], "something is left"
    assert {path.name for path in tmp_path.iterdir()} <= {archive.name, "corpus"}, "something is left elsewhere"
    return str(error.value).removeprefix(f"{archive}: ")


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
    names = {(member.folder, member.file) for member in list_archive(archive)}
    assert names == {
        ("AudioWAV", CLIP),
        ("AudioWAV", "1002_DFA_ANG_XX.FLAC"),
        ("metadata", "VideoDemographics.csv"),
        ("metadata", "tabulatedVotes.csv"),
    }
    folder = tmp_path / "corpus"
    unpack_corpus(folder, archive, None)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {"/".join(name) for name in names} | {"manifest.csv", "source.json"}
    assert (folder / "AudioWAV" / CLIP).read_bytes() == SOUND


ABSOLUTE, OUT, LINK_OUT = "is an absolute path", "leads out of its folder", "is a link out of its folder"
# What hostile names a zip and a tar can both have.
NAMES = [
    (f"../{CLIP}", OUT),
    (f"a/../../{CLIP}", OUT),
    (f"a\\..\\..\\{CLIP}", OUT),
    ("../../etc/cron.d/x", OUT),
    (f"/tmp/{CLIP}", ABSOLUTE),
    (f"\\\\server\\{CLIP}", ABSOLUTE),
    (f"C:\\{CLIP}", ABSOLUTE),
    ("a\nb.wav", "is no name for a file"),
    ("x" * 252 + ".wav", "is no name for a file"),
]


@pytest.mark.parametrize(("name", "message"), NAMES, ids=range(len(NAMES)))
@pytest.mark.parametrize("make", [zipped, tarred])
def test_names_that_lead_elsewhere(tmp_path, make, name, message):
    assert message in refused(tmp_path, make(tmp_path / "a", [(CLIP, SOUND), (name, SOUND)]))


@pytest.mark.parametrize("make", [zipped, tarred])
@pytest.mark.parametrize("other", [f"b/{CLIP}", f"b/{CLIP.upper()}", f"a/{CLIP}"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_would_be_one_file(tmp_path, make, other):
    assert "would be one file" in refused(tmp_path, make(tmp_path / "a", [(f"a/{CLIP}", SOUND), (other, b"RIFF")]))


def test_names_that_are_one_after_normalisation(tmp_path):
    archive = zipped(tmp_path / "a", [("caf\u00e9.wav", SOUND), ("cafe\u0301.wav", SOUND)])
    assert "would be one file" in refused(tmp_path, archive)


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (special(CLIP, tarfile.SYMTYPE, "/etc/passwd"), LINK_OUT),
        (special("a/b", tarfile.SYMTYPE, "../../x"), LINK_OUT),
        (special("a/b", tarfile.LNKTYPE, "../x"), LINK_OUT),
        (special("a/b", tarfile.LNKTYPE, "/etc/shadow"), LINK_OUT),
        (special(f"a/{CLIP}", tarfile.SYMTYPE, "other.wav"), "is a link and no recording"),
        (special(CLIP, tarfile.FIFOTYPE), "is a pipe"),
        (special("sda", tarfile.BLKTYPE), "is a device"),
        (special("tty", tarfile.CHRTYPE), "is a device"),
        (special(CLIP, tarfile.GNUTYPE_SPARSE), "is no plain file"),
    ],
)
def test_tars_with_what_is_no_file(tmp_path, member, message):
    assert message in refused(tmp_path, tarred(tmp_path / "a", [("1002_DFA_ANG_XX.wav", SOUND), (member, b"")]))


def test_a_file_written_through_a_link(tmp_path):
    """The old trick: a link to elsewhere, then a file below it."""
    elsewhere = tmp_path / "corpus"
    archive = tarred(
        tmp_path / "a", [(special("AudioWAV", tarfile.SYMTYPE, str(elsewhere)), b""), (f"AudioWAV/{CLIP}", SOUND)]
    )
    assert LINK_OUT in refused(tmp_path, archive)


@pytest.mark.parametrize(
    ("entry", "content", "message"),
    [
        (zip_entry(CLIP, stat.S_IFLNK | 0o777), "/etc/passwd", LINK_OUT),
        (zip_entry("a/b", stat.S_IFLNK | 0o777), "../../x", LINK_OUT),
        (zip_entry(CLIP, stat.S_IFLNK | 0o777), "other.wav", "is a link and no recording"),
        (zip_entry(CLIP, stat.S_IFIFO), "", "is a pipe"),
        (zip_entry("sda", stat.S_IFBLK), "", "is a device"),
    ],
)
def test_zips_with_what_is_no_file(tmp_path, entry, content, message):
    assert message in refused(tmp_path, zipped(tmp_path / "a", [("1002_DFA_ANG_XX.wav", SOUND), (entry, content)]))


def test_links_that_stay_inside_are_passed_over(tmp_path):
    archive = tarred(tmp_path / "a", [("b/" + CLIP, SOUND), (special("b/readme", tarfile.SYMTYPE, "../a"), b"")])
    assert [member.file for member in list_archive(archive)] == [CLIP]


def flagged_encrypted(path):
    content = bytearray(zipped(path, [(CLIP, SOUND)]).read_bytes())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + place] |= 1
    path.write_bytes(content)
    return path


def test_encrypted(tmp_path):
    assert "is encrypted; unpack it yourself" in refused(tmp_path, flagged_encrypted(tmp_path / "a"))


def test_an_unknown_compression(tmp_path):
    content = bytearray(zipped(tmp_path / "a", [(CLIP, SOUND)]).read_bytes())
    for signature, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        content[content.index(signature) + place] = 97
    (tmp_path / "a").write_bytes(content)
    assert "compressed in a way that cannot be read here" in refused(tmp_path, tmp_path / "a")


SMALL = LIMITS._replace(members=50, free=1 << 16, ratio=20, bytes=1 << 20)


@pytest.mark.parametrize("suffix", ["zip", "gz", "xz", "bz2"])
def test_bombs(tmp_path, suffix):
    members = [(CLIP, SOUND + bytes(900_000))]
    archive = tmp_path / "a"
    if suffix == "zip":
        zipped(archive, members, compression=zipfile.ZIP_DEFLATED)
    else:
        tarred(archive, members, f"w:{suffix}")
    assert "too much for its size" in refused(tmp_path, archive, SMALL)
    assert list_archive(archive)  # what is too much is a matter of limits


def test_a_bomb_that_is_no_recording(tmp_path):
    archive = tarred(tmp_path / "a", [("film.flv", bytes(900_000)), (CLIP, SOUND)], "w:xz")
    assert "too much for its size" in refused(tmp_path, archive, SMALL)


@pytest.mark.parametrize("make", [zipped, tarred])
def test_more_than_the_limit_unpacked(tmp_path, make):
    many = [(f"1001_DFA_ANG_XX{number}.wav", SOUND[:1] * 300_000) for number in range(4)]
    assert "unpacks to more than 1 MB" in refused(tmp_path, make(tmp_path / "a", many), SMALL._replace(ratio=1000))


@pytest.mark.parametrize("make", [zipped, tarred])
def test_too_many_members(tmp_path, make):
    many = [(f"{number}", b"") for number in range(60)]
    assert "holds more than 50 members" in refused(tmp_path, make(tmp_path / "a", many), SMALL)


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


def test_recordings_are_checked_against_pointers(tmp_path):
    from serflow.corpus import archive as module

    assert module._pointer(POINTER) == Digest(5124, "a" * 64, pointer=True)
    pointers = zipped(tmp_path / "pointers.zip", [(f"CREMA-D-master/AudioWAV/{CLIP}", POINTER)])
    archive = zipped(tmp_path / "a", [(CLIP, SOUND)])
    with pytest.raises(UserError, match=f"{CLIP} is not as published: its sha256 is not that"):
        unpack_corpus(tmp_path / "corpus", archive, str(pointers))
    assert not [path for path in (tmp_path / "corpus").rglob("*") if path.is_file()]


def test_recordings_of_others_are_left_alone(tmp_path):
    folder = tmp_path / "corpus"
    (folder / "AudioWAV").mkdir(parents=True)
    (folder / "AudioWAV/1005_DFA_ANG_XX.wav").write_bytes(b"RIFF")
    with pytest.raises(UserError, match="holds recordings that were not fetched"):
        unpack_corpus(folder, zipped(tmp_path / "a", [(CLIP, SOUND)]), None)
    assert [path.name for path in folder.rglob("*.*")] == ["1005_DFA_ANG_XX.wav"]


def test_another_archive_takes_the_place_of_the_first(tmp_path):
    folder = tmp_path / "corpus"
    unpack_corpus(folder, zipped(tmp_path / "a", [(CLIP, SOUND)]), None)
    unpack_corpus(folder, zipped(tmp_path / "b", [("1002_DFA_ANG_XX.wav", SOUND)]), None)
    assert [path.name for path in (folder / "AudioWAV").iterdir()] == ["1002_DFA_ANG_XX.wav"]
    assert (folder / "manifest.csv").read_text().splitlines()[1].startswith("1002_DFA_ANG_XX.wav,5124,")
