"""Coverage-guided fuzzing: no bytes may do more to serflow than to be refused in one line.

`make fuzz` runs all targets; `python tests/fuzz/fuzz.py audio -max_total_time=60` one of them, with the options of
libFuzzer. What made it fail is left as results/crash-*; give that file as an argument to see it again.
"""

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import atheris
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile as sf

with atheris.instrument_imports(include=["serflow"]):
    from serflow.audio.containers import plain_wav
    from serflow.audio.io import LOUDEST, MOST_SAMPLES, decode, mono
    from serflow.runtime.errors import UserError
    from serflow.runtime.yaml_files import read_file
    from serflow.storage import open_array, read_json, read_table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import steps

# What files begin as; the fuzzer changes them.
KINDS = [
    ("WAV", "PCM_16"),
    ("WAV", "PCM_U8"),
    ("WAV", "PCM_24"),
    ("WAV", "FLOAT"),
    ("WAV", "IMA_ADPCM"),
    ("WAVEX", "PCM_32"),
    ("RF64", "PCM_16"),
    ("W64", "DOUBLE"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("MP3", "MPEG_LAYER_III"),
]
AUDIT = {
    "exclude": ["silence", "too_short", "identical_audio"],
    "silence_dbfs": -60,
    "clipped_share": 0.02,
    "dc_offset": 0.01,
    "rate": 16000,
    "channels": 1,
    "min_seconds": 0.5,
    "max_seconds": 10,
}
COPIES = {"clips": 1, "low": 0.8, "high": 1.2}
AUGMENT = {"seed": 0, "time_stretch": COPIES, "pitch_shift": COPIES}
NAMES = ["1001_DFA_ANG_XX", "1001_DFA_SAD_XX", "1002_IEO_HAP_HI", "1002_IEO_JOY_HI", "-rf", "$(touch pwned)", "a\tb\nc"]


def seeds() -> list[bytes]:
    """Make a short recording in each format."""
    tone = 0.4 * np.sin(np.arange(1000) / 7)
    made = []
    for form, subtype in KINDS:
        file = io.BytesIO()
        sf.write(file, np.column_stack([tone, tone[::-1]]) if form == "WAVEX" else tone, 16_000, subtype, format=form)
        made.append(file.getvalue())
    return made


def finished() -> list[bytes]:
    """Make a small result of each format."""
    array, table = io.BytesIO(), io.BytesIO()
    np.save(array, np.ones((4, 3), np.float32))
    pq.write_table(pa.table({"clip": ["a", "b"], "value": [1.0, 2.0]}), table)
    return [array.getvalue(), table.getvalue(), b'{"a": [1, 2.5, null]}', b"a: {b: [1, x]}\nc: &d {}\ne: *d\n"]


def one_line(error: UserError) -> None:
    text = str(error)
    assert text.isprintable() and len(text) > 20, repr(text)


def audio(data: bytes) -> None:
    """Bytes are a recording with finite samples, those that libsndfile gives, or are refused."""
    try:
        recording = decode("x.wav", data)
    except UserError as error:
        one_line(error)
    else:
        samples = recording.samples
        assert samples.dtype == np.float32 and samples.ndim == 2
        assert 0 < samples.size <= MOST_SAMPLES and np.abs(samples).max() <= LOUDEST
        mixed = mono(recording, 16_000)
        assert mixed.dtype == np.float32 and mixed.ndim == 1 and np.isfinite(mixed).all()
        if plain_wav(data):
            expected, rate = sf.read(io.BytesIO(data), dtype="float32", always_2d=True)
            assert rate == recording.rate and np.array_equal(samples, expected)


def results(data: bytes) -> None:
    """Bytes in place of a result or of settings are refused, or are such."""
    path = FOLDER / "x"
    path.write_bytes(data)
    for read in (open_array, read_table, read_json, read_file):
        try:
            read(path)
        except UserError as error:
            one_line(error)


def catalog(data: bytes) -> None:
    """A folder of any names and contents is read and catalogued, or refused."""
    given = atheris.FuzzedDataProvider(data)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        folder = Path(folder)
        recordings = folder / "audio"
        recordings.mkdir()
        for _ in range(given.ConsumeIntInRange(1, 4)):
            known = given.PickValueInList(NAMES).encode()
            free = given.ConsumeBytes(given.ConsumeIntInRange(0, 60)).replace(b"/", b"").replace(b"\0", b"")
            name = (known if given.ConsumeBool() else free) + given.PickValueInList([b".wav", b".WAV", b".flac"])
            content = bytearray(given.PickValueInList(SEEDS))
            for _ in range(given.ConsumeIntInRange(0, 6)):
                content[given.ConsumeIntInRange(0, len(content) - 1)] = given.ConsumeIntInRange(0, 255)
            content = content[: given.ConsumeIntInRange(0, len(content))] if given.ConsumeBool() else content
            (recordings / os.fsdecode(name)).write_bytes(content)
        policy = "exclude" if given.ConsumeBool() else "fail"
        try:
            indices = steps.read_corpus(folder, recordings, policy, shards=2)
            read = steps.rows_of(indices)
            places = steps.catalog(indices, folder / "catalog", policy=policy)
        except UserError as error:
            one_line(error)
            assert not (folder / "catalog").exists() and not list(folder.rglob("*.part*"))
            return
        broken = sum(row["problem"] is not None for row in read)
        assert not broken or policy == "exclude"
        rows = steps.read_tsv(places["excluded"])
        assert all("".join(row.values()).isprintable() for row in rows), rows
        assert sum(row["left_out_of"] == "everything" for row in rows) == broken
        assert read_table(places["output"]).num_rows + broken == len(read)


TARGETS = {"audio": (audio, seeds), "catalog": (catalog, list), "results": (results, finished)}
SEEDS = seeds()
FOLDER = Path(os.environ["FUZZ_FOLDER"]) if "FUZZ_FOLDER" in os.environ else None
LIMITS = ["-rss_limit_mb=700", "-timeout=30", "-max_len=8192", "-print_final_stats=1"]

if __name__ == "__main__":
    name, *options = sys.argv[1:]
    if FOLDER is None:  # the fuzzer ends its process at once, so that another one must clean up
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
            command = [sys.executable, __file__, *sys.argv[1:]]
            sys.exit(subprocess.run(command, env=os.environ | {"FUZZ_FOLDER": folder}, check=False).returncode)
    target, begin = TARGETS[name]
    corpus = FOLDER / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(begin()):
        (corpus / str(number)).write_bytes(seed)
    again = any(not option.startswith("-") for option in options)
    atheris.Setup([sys.argv[0], *LIMITS, *options, *([] if again else [str(corpus)])], target)
    atheris.Fuzz()
