"""Coverage-guided fuzzing: no bytes may do more to serflow than to be refused in one line.

`make fuzz` runs all targets; `python tests/fuzz/fuzz.py audio -max_total_time=60` one of them, with the options of
libFuzzer. What made it fail is left as results/crash-*; give that file as an argument to see it again.
"""

import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import atheris
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy
import soundfile as sf

with atheris.instrument_imports(include=["serflow"]):
    from serflow.audio.containers import plain_wav
    from serflow.audio.io import LOUDEST, MOST_SAMPLES, decode, mono
    from serflow.bundle.reader import open_bundle
    from serflow.encoders.describe import describe_onnx
    from serflow.encoders.fetch_encoder import fetch_encoder
    from serflow.encoders.run import open_encoder
    from serflow.encoders.weights import read_ctranslate2
    from serflow.inference.onnx_model import are_probabilities
    from serflow.runtime.errors import UserError
    from serflow.runtime.yaml_files import read_file
    from serflow.storage import open_array, read_arrays, read_json, read_table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import steps
import tiny_bundle
from own_encoder import model as own_encoder
from whisper_reference import ctranslate2_file, random_weights

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
    array, arrays, table = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.savez(arrays, a=np.ones(3, np.float32))
    np.save(array, np.ones((4, 3), np.float32))
    pq.write_table(pa.table({"clip": ["a", "b"], "value": [1.0, 2.0]}), table)
    return [
        array.getvalue(),
        arrays.getvalue(),
        table.getvalue(),
        b'{"a": [1, 2.5, null]}',
        b"a: {b: [1, x]}\nc: &d {}\ne: *d\n",
    ]


def one_line(error: UserError) -> None:
    text = str(error)
    assert text.isprintable() and len(text) > 20, repr(text)


def changed(given, content: bytes) -> bytes:
    """Change some bytes of a file, and perhaps cut it."""
    content = bytearray(content)
    for _ in range(given.ConsumeIntInRange(0, 6)):
        content[given.ConsumeIntInRange(0, len(content) - 1)] = given.ConsumeIntInRange(0, 255)
    return bytes(content[: given.ConsumeIntInRange(0, len(content))] if given.ConsumeBool() else content)


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
    for read in (open_array, read_arrays, read_table, read_json, read_file):
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
            (recordings / os.fsdecode(name)).write_bytes(changed(given, given.PickValueInList(SEEDS)))
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


def members() -> list[dict[str, bytes]]:
    """Make what is in a bundle of a model over spectrograms, and of one that is adapted to speakers by embeddings."""
    tiny = tiny_bundle.model_of(tiny_bundle.tiny_graph()).SerializeToString()
    plain = {"bundle.json": json.dumps(tiny_bundle.ABOUT).encode(), "README.md": b"# tiny", "model.onnx": tiny}
    encoder = own_encoder().SerializeToString()
    described = {"name": "own", "licence": "none"} | describe_onnx(encoder, {}, "own.onnx", "encoders.own")
    about = tiny_bundle.ABOUT | {
        "features": "embedding",
        "standardize": "speaker",
        "encoder": described,
        "shrinkage": 3,
    }
    about["preprocessing"] = about["preprocessing"] | {"pooling": ["mean", "std"]}
    moments = io.BytesIO()
    np.save(moments, np.ones((2, 2 * described["width"]), np.float32))
    more = {"bundle.json": json.dumps(about).encode(), "encoder.onnx": encoder, "moments.npy": moments.getvalue()}
    return [plain, plain | more]


def bundle(data: bytes) -> None:
    """A bundle that was changed, or a member of it, is refused, or answers with probabilities."""
    given = atheris.FuzzedDataProvider(data)
    content = dict(given.PickValueInList(BUNDLES))
    name = given.PickValueInList([*content, "the archive"])
    if name in content:
        content[name] = changed(given, content[name])
    if name == "encoder.onnx":
        known, found = (hashlib.sha256(one).hexdigest() for one in (BUNDLES[1][name], content[name]))
        content["bundle.json"] = content["bundle.json"].replace(known.encode(), found.encode())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for member, values in content.items():
            archive.writestr(member, values)
    path = FOLDER / "x.zip"
    path.write_bytes(changed(given, packed.getvalue()) if name == "the archive" else packed.getvalue())
    try:
        opened = open_bundle(path)
        rows = opened.classifier.probabilities([np.zeros(opened.about["preprocessing"]["target_length"], np.float32)])
    except UserError as error:
        one_line(error)
    else:
        assert rows.shape == (1, len(opened.about["classes"])) and are_probabilities(rows[0])


def encoders() -> dict[str, bytes]:
    """Make the weights of an encoder in each format, and an ONNX model."""
    weights = random_weights()
    made = {"model.bin": ctranslate2_file(weights), "safetensors": safetensors.numpy.save(weights)}
    return made | {"onnx": own_encoder(outputs=["hidden_states.0", "hidden_states.1"]).SerializeToString()}


def encoder(data: bytes) -> None:
    """Weights and ONNX models that were changed are refused, or become an encoder that gives finite states."""
    given = atheris.FuzzedDataProvider(data)
    kind = given.PickValueInList(list(ENCODERS))
    # The formats begin with names, shapes and types.
    head, rest = ENCODERS[kind][:2000], ENCODERS[kind][2000:]
    path = FOLDER / kind
    path.write_bytes(changed(given, head) + rest if given.ConsumeBool() else changed(given, head + rest))
    try:
        if kind == "model.bin":
            read_ctranslate2(path)
            return
        paths = FOLDER / "out.onnx", FOLDER / "out.json"
        fetch_encoder(encoder="own", settings={kind: str(path)}, output=paths[0], description=paths[1])
        opened = open_encoder(*paths)
        assert np.isfinite(opened.pooled(np.zeros(8000, np.float32))).all()
    except UserError as error:
        one_line(error)


TARGETS = {"audio": (audio, seeds), "catalog": (catalog, list), "results": (results, finished)}
TARGETS |= {"bundle": (bundle, list), "encoder": (encoder, list)}
SEEDS, BUNDLES, ENCODERS = seeds(), members(), encoders()
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
