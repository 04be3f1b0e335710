"""Each recording that is not what its name says is refused in one line."""

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from serflow.audio.io import LONGEST_SECONDS, MOST_SAMPLES, decode
from serflow.runtime.errors import UserError, printable
from serflow.storage import read_json, read_table
from steps import AS_RECORDED, catalog, default_config, list_corpus, read_shard, read_tsv
from wav_bytes import RATE, TONE, audio, chunk, wav

CLIP = "1001_DFA_ANG_XX.wav"
AUDIT = default_config()["catalog"]["audit"] | {"exclude": [], "min_seconds": 0.1}


def floats(*values, subtype="FLOAT") -> bytes:
    return audio(np.concatenate([TONE, values]), subtype=subtype)


BROKEN = {
    "empty": (b"", "the file is empty"),
    "text": (b"It was a dark and stormy night.\n" * 100, "not a readable audio file"),
    "image": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, "not a readable audio file"),
    "jpeg": (b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(range(256)) * 20, "not a readable audio file"),
    "header cut": (wav()[:30], "truncated, or its header is wrong: it announces 16036 bytes, 30 are present"),
    "header alone": (wav()[:44], "announces 16000 bytes of samples, 0 are present"),
    "data cut": (wav()[:9000], "announces 16000 bytes of samples, 8956 are present"),
    "last byte cut": (wav()[:-1], "announces 16000 bytes of samples, 15999 are present"),
    "data longer": (wav(data_size=20_000), "announces 20000 bytes of samples, 16000 are present"),
    "data of 4 GB": (wav(data_size=0xFFFFFFFF), "announces 4294967295 bytes of samples"),
    "data of 2 GB": (wav(data_size=0x7FFFFFF0), "announces 2147483632 bytes of samples"),
    "data shorter": (wav(data_size=6000), "after the 6000 bytes of samples that it announces, 1000[0-9] bytes follow"),
    "data of none": (wav(data_size=0), "after the 0 bytes of samples that it announces, 160[0-9]+ bytes follow"),
    "whole longer": (wav(riff_size=20_000), "announces 20000 bytes, 16044 are present"),
    "whole of 4 GB": (wav(riff_size=0xFFFFFFFF), "announces 4294967295 bytes, "),
    "extensible cut": (audio(form="WAVEX")[:9000], "truncated"),
    "RF64 cut": (audio(form="RF64")[:9000], "announces 16000 bytes of samples"),
    "W64 cut": (audio(form="W64")[:9000], "announces 16104 bytes, 9000 are present"),
    "FLAC cut": (audio(form="FLAC")[:-100], "not a readable audio file"),
    "Ogg cut": (audio(form="OGG", subtype="VORBIS")[:-10], "its last page is missing or incomplete"),
    "Opus cut": (audio(form="OGG", subtype="OPUS")[:-10], "its last page is missing or incomplete"),
    "MP3 cut": (audio(form="MP3", subtype=None)[:-300], "truncated: its header announces 8000 samples"),
    "no samples": (wav(samples=TONE[:0]), "contains no samples"),
    "one sample": (wav(samples=TONE[:1]), "1 samples, less than 0.01 s"),
    "rate of 0": (wav(rate=0), "not a readable audio file|a rate of 0 Hz"),
    "rate of 1": (wav(rate=1), "a rate of 1 Hz, outside 4000 to 192000"),
    "rate of 4 GHz": (wav(rate=0xFFFFFFFF), "not a readable audio file|a rate of"),
    "channels of none": (wav(channels=0), "not a readable audio file"),
    "NaN": (floats(np.nan), "sample 8000 is NaN, infinite or far beyond full scale"),
    "infinity": (floats(np.inf), "sample 8000 is NaN, infinite"),
    "minus infinity": (floats(-np.inf, subtype="DOUBLE"), "sample 8000 is NaN, infinite"),
    "beyond float32": (floats(1e300, subtype="DOUBLE"), "sample 8000 is NaN, infinite"),
    "absurd": (floats(3e38), "sample 8000 is NaN, infinite or far beyond full scale"),
    "odd chunk unpadded": (wav(chunk(b"junk", b"abc")[:-1]), "not a readable audio file"),
    "another format": (audio(form="AIFF"), "AIFF audio is not supported; convert it to WAV or FLAC"),
    "NIST": (audio(form="NIST"), "NIST audio"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_recording_is_one_line_under_either_policy(tmp_path, case):
    content, message = BROKEN[case]
    with pytest.raises(UserError, match=message) as error:
        decode(tmp_path / CLIP, content)
    assert str(error.value).isprintable() and str(error.value).startswith(f"{tmp_path / CLIP}: ")
    (tmp_path / CLIP).write_bytes(content)
    expect_refused(tmp_path, message)


def expect_refused(folder, message, name=CLIP, broken=1):
    """Read and catalogue a folder that holds a broken recording, under either policy."""
    (folder / "1002_DFA_SAD_XX.wav").write_bytes(wav())
    results = folder / "results"
    list_corpus(results, folder, shards=2)
    with pytest.raises(UserError, match=message) as error:
        for shard in ("s01", "s00"):
            read_shard(results, shard)
    assert str(error.value).isprintable() and printable(name) in str(error.value)
    assert ("more)" in str(error.value)) == (broken > 1)
    assert not [path for path in results.rglob("*") if ".part" in path.name]
    indices = [read_shard(results, shard, policy="exclude") for shard in ("s00", "s01")]
    with pytest.raises(UserError, match=message):
        catalog(indices, results / "catalog", audit_settings=AUDIT)
    assert not (results / "catalog").exists()
    paths = catalog(indices, results / "catalog", audit_settings=AUDIT, policy="exclude")
    rows = read_tsv(paths["excluded"])
    assert len(rows) == broken and all(len(row) == 4 and None not in row.values() for row in rows)
    assert len(paths["excluded"].read_text().splitlines()) == 1 + broken
    assert printable(name) in [row["file"] for row in rows] and read_json(paths["audit"])["excluded"] == broken
    assert read_table(paths["output"])["clip"].to_pylist() == ["1002_DFA_SAD_XX"]


def a_folder(path):
    path.mkdir()


def a_dangling_link(path):
    path.symlink_to("nowhere")


def a_loop(path):
    path.symlink_to("other")
    path.with_name("other").symlink_to(path.name)


def a_pipe(path):
    os.mkfifo(path)


def a_device(path):
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        path.symlink_to("/dev/zero")


def a_huge_file(path):
    with path.open("wb") as file:  # a hole, which takes no place
        file.write(wav())
        file.truncate(8 << 30)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (a_folder, r"cannot be read \(a folder, not a file\)"),
        (a_dangling_link, "a broken link to nowhere; fix"),
        (a_loop, r"cannot be read \(Too many levels of symbolic links\)"),
        (a_pipe, r"cannot be read \(a pipe, socket or device, not a file\)"),
        (a_device, r"cannot be read \(a pipe, socket or device, not a file\)"),
        (a_huge_file, "8590 MB, above the limit of 192 MB"),
    ],
)
def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path, make, message):
    make(tmp_path / CLIP)
    expect_refused(tmp_path, message)


def test_a_recording_that_may_not_be_read():
    if os.geteuid():
        pytest.skip("needs root, which gives its rights away for the test")
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, 65534, 65534)
        (Path(folder) / CLIP).write_bytes(wav())
        (Path(folder) / CLIP).chmod(0)
        os.seteuid(65534)
        try:
            expect_refused(Path(folder), r"cannot be read \(Permission denied\); check the file and its permissions")
        finally:
            os.seteuid(0)


NAMES = [
    b"holiday.wav",
    b"1001_DFA_JOY_XX.wav",
    b"1001 DFA ANG XX.wav",
    b"1001_dfa_ang_xx.wav",
    b"1001_DFA_ANG_XX .wav",
    b"1001_DFA_ANG_XX\n.wav",
    b"two\nlines\r\x1b[31m.wav",
    b"tab\tulated.wav",
    b"quote\"s'`.wav",
    "😀\u202eexe.wav".encode(),
    b"<script>alert(1)<script>.wav",
    b"<img src=x onerror=alert(1)>.wav",
    b"x" * 246 + b".wav",
    b"latin\xe9\xff.wav",
    b"$(touch pwned).wav",
    b"-rf.wav",
    b"--output=x.wav",
    b"=1+1.wav",
    b"{shard}.wav",
    b"%s%n.wav",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_outside_the_grammar(tmp_path, name):
    (tmp_path / os.fsdecode(name)).write_bytes(wav())
    expect_refused(tmp_path, "is not a CREMA-D name", os.fsdecode(name))


def test_all_problems_of_a_shard_are_counted(tmp_path):
    for name in NAMES:
        (tmp_path / os.fsdecode(name)).write_bytes(wav())
    expect_refused(tmp_path, f"and {len(NAMES) - 1} more", os.fsdecode(sorted(NAMES)[0]), len(NAMES))


def test_names_that_differ_only_in_case_are_one_clip(tmp_path):
    for name in (CLIP, CLIP.replace(".wav", ".WAV")):
        (tmp_path / name).write_bytes(wav())
    with pytest.raises(UserError, match="are the same clip; remove one of them"):
        list_corpus(tmp_path / "results", tmp_path)


def test_an_hour_is_refused_before_it_is_decoded(tmp_path):
    hour = np.zeros(3600 * 8000, np.int16)
    sf.write(tmp_path / CLIP, hour, 8000, format="FLAC")
    assert (tmp_path / CLIP).stat().st_size < 1_000_000
    expect_refused(tmp_path, f"3600 s long by its header, above {LONGEST_SECONDS}")
    header = bytearray(audio(form="FLAC"))
    header[21:26] = b"\xff" * 5  # samples in all: 36 bits
    with pytest.raises(UserError, match="s long by its header"):
        decode("x", bytes(header))
    many = np.zeros((MOST_SAMPLES // 1000 + 1, 1000), np.int16)
    with pytest.raises(UserError, match="in 1000 channels, above"):
        decode("x", audio(many, 48_000))


def test_the_longest_that_is_read_stays_within_the_memory_of_the_rules(tmp_path):
    """700 MB to read, stretch, shift and fix two minutes at the default rates."""
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux says how much memory a process has had")
    sf.write(tmp_path / CLIP, np.tile(TONE, LONGEST_SECONDS * 2), RATE)
    copies = {"clips": 1, "low": 0.8, "high": 0.8}
    copies = {"seed": 0, "time_stretch": copies, "pitch_shift": copies | {"low": 4, "high": 4}}
    list_corpus(tmp_path, tmp_path, augment=copies)
    code = f"""
from pathlib import Path
from serflow.audio.augment import augment_audio
from serflow.audio.length import fix_length, measure_length
from serflow.audio.read_recordings import read_recordings
folder = Path({str(tmp_path)!r})
target = folder / "target"
how = {{"sampling_rate": 16000, "reading": {AS_RECORDED!r}, "segments": "recordings", "policy": "fail"}}
read_recordings(folder / "listing/s00.parquet", **how, output=folder / "r", index=folder / "ri")
plan = folder / "plan/s00.parquet"
augment_audio(
    folder / "r", folder / "ri", plan, sampling_rate=16000, output=folder / "a", output_index=folder / "ai"
)
indices = [folder / "ri", folder / "ai"]
measure_length(indices, setting="average", output=folder / "length", target=target)
fixed = {{"output": folder / "f", "output_index": folder / "fi"}}
fix_length([folder / "r", folder / "a"], indices, target, copies=["pitch_shift", "time_stretch"], **fixed)
# The resident memory of getrusage would be that of the tests' own process, which this one came from.
print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 700_000
