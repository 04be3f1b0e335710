"""A bit that is not as it was written, and a file that was cut, are noticed by whoever reads it."""

import json
import os
import zipfile

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from harness import untimed

from serflow import storage
from serflow.models.keras_run import load_model, save_model
from serflow.runtime.errors import UserError
from serflow.storage.checksums import BLOCK
from workspace import lines

ROWS = np.random.default_rng(0).normal(size=(5, BLOCK // 8)).astype(np.float32)  # two blocks and a half
TABLE = pa.table({"clip": ["a", "b", "c"], "value": [1.0, 2.0, None]})
CONTENT = {"name": "ä", "values": [1, 2.5], "none": None}


def write_rows(path):
    with storage.ArrayWriter(path, ROWS.shape[1:]) as out:
        out.write(ROWS[:2])
        out.write(ROWS[2:])


def write_table(path):
    storage.write_table(path, TABLE)


def write_model(path):
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    save_model(path, network)


# What writes a file and what reads it.
KINDS = {
    "mapped.npy": (write_rows, storage.open_array),
    "sliced.npy": (write_rows, lambda path: storage.FileArray(path)[0:5]),
    "table.parquet": (write_table, storage.read_table),
    "groups.parquet": (write_table, lambda path: list(storage.read_row_groups(path))),
    "x.json": (lambda path: storage.write_json(path, CONTENT), storage.read_json),
    "x.npz": (lambda path: storage.write_arrays(path, {"a": ROWS[0, :9]}), storage.read_arrays),
    "model.keras": (write_model, load_model),
}


def equal(first, second):
    """Compare what two readings of one file returned; of models the weights."""
    if hasattr(first, "get_weights"):
        first, second = first.get_weights(), second.get_weights()
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(first[key], second[key]) for key in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(equal, first, second))
    if isinstance(first, pa.Table):
        return first.schema.equals(second.schema, check_metadata=True) and first.equals(second)
    return np.array_equal(first, second)


def notice(path, content, read, written):
    """Read damaged content: return whether it is refused in one line; if it is not, no value may differ."""
    path.write_bytes(content)
    try:
        found = read(path)
    except UserError as error:
        said = str(error)
        assert said.startswith(f"{path}: ") and said.endswith("; delete it to have it made again") and "\n" not in said
        return True
    assert equal(found, written)
    return False


@pytest.mark.parametrize("name", KINDS)
def test_a_flipped_bit_and_a_cut_are_noticed(tmp_path, name):
    """They are refused in one line. In zip and Parquet some bits have no meaning, such as dates; these may be read."""
    path = tmp_path / name
    write, read = KINDS[name]
    write(path)
    written = read(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    last = 8 * len(whole)
    # Formats describe their content at the beginning and at the end.
    bits = {*range(0, min(1100, last), 7), *range(max(0, last - 400), last, 3), *rng.choice(last, 400).tolist()}
    if name in ("table.parquet", "x.npz"):
        bits = set(range(last))
    elif name == "model.keras":  # takes a moment to load
        bits = set(sorted(bits)[::8])
    damaged, refused = bytearray(whole), 0
    for bit in bits:
        damaged[bit // 8] ^= 1 << bit % 8
        refused += notice(path, damaged, read, written)
        damaged[bit // 8] ^= 1 << bit % 8
    strict = name.endswith((".npy", ".json"))
    assert refused == len(bits) if strict else refused > len(bits) / 2
    for size in {0, 1, len(whole) - 1, *rng.choice(len(whole), min(len(whole), 100), replace=False).tolist()}:
        assert notice(path, whole[:size], read, written)
    assert notice(path, whole + b"\0", read, written) or path.suffix in (".npz", ".keras")
    path.write_bytes(whole)
    read(path)


def test_two_blocks_that_changed_places(tmp_path):
    write_rows(tmp_path / "x.npy")
    whole = (tmp_path / "x.npy").read_bytes()
    begin = whole.index(ROWS.tobytes()[:64])
    first, second = (whole[begin + number * BLOCK : begin + (number + 1) * BLOCK] for number in (0, 1))
    swapped = whole[:begin] + second + first + whole[begin + 2 * BLOCK :]
    assert notice(tmp_path / "x.npy", swapped, storage.open_array, ROWS)


def test_rows_of_any_slice_are_those_written(tmp_path):
    write_rows(tmp_path / "x.npy")
    opened = storage.FileArray(tmp_path / "x.npy")
    for start in range(6):
        for stop in range(6):
            np.testing.assert_array_equal(opened[start:stop], ROWS[start:stop])
    damaged = bytearray((tmp_path / "x.npy").read_bytes())
    damaged[-BLOCK // 8] ^= 1  # of the last rows, which the first do not depend on
    (tmp_path / "x.npy").write_bytes(damaged)
    np.testing.assert_array_equal(storage.FileArray(tmp_path / "x.npy")[0:2], ROWS[0:2])
    with pytest.raises(UserError, match=r"x\.npy: .*a checksum does not match"):
        storage.FileArray(tmp_path / "x.npy")[3:5]


def test_others_read_the_files_as_any(tmp_path):
    for name, (write, _) in KINDS.items():
        write(tmp_path / name)
    for mode in (None, "r"):
        np.testing.assert_array_equal(np.load(tmp_path / "mapped.npy", mmap_mode=mode, allow_pickle=False), ROWS)
    assert pq.read_table(tmp_path / "table.parquet").equals(TABLE)
    assert zipfile.ZipFile(tmp_path / "model.keras").testzip() is None
    assert len(keras.saving.load_model(tmp_path / "model.keras").layers) == 1
    np.testing.assert_array_equal(np.load(tmp_path / "x.npz")["a"], ROWS[0, :9])


def test_what_was_written_without_checksums_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", ROWS)
    pq.write_table(TABLE, tmp_path / "x.parquet")
    (tmp_path / "x.json").write_text("{}")
    for name, read in (("x.npy", storage.open_array), ("x.parquet", storage.read_table), ("x.json", storage.read_json)):
        with pytest.raises(UserError, match="delete it to have it made again"):
            read(tmp_path / name)


RUN = "models/notebook/cnn1d/seed0/fold0"


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("augmented/s02.npy", "fixed/s02.npy"),
        ("target.json", "frames/s00.parquet"),
        *(
            pytest.param(*case, marks=pytest.mark.whole)
            for case in [
                ("mel/s01.npy", "models/notebook/cnn2d/seed0/fold0/model.keras"),
                ("fixed/s00.parquet", "mel/s00.npy"),
                (
                    "models/notebook/cnn1d/seed0/fold0/model.keras",
                    "models/notebook/cnn1d/seed0/fold0/predictions.parquet",
                ),
                (f"{RUN}/training.json", f"{RUN}/metrics.json"),
            ]
        ),
    ],
)
def test_a_damaged_result_in_a_run(changed, name, target):
    """It is named in one line; deleted, it is made again with the bytes that it had."""
    results = changed.results("mine")
    path, target = results / name, results / target
    before, after = path.read_bytes(), target.read_bytes()
    status = path.stat()
    damaged = bytearray(before)
    damaged[len(damaged) // 2] ^= 4
    path.write_bytes(damaged)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    target.unlink()
    asked = str(target.relative_to(changed.folder))
    done = changed.snakemake("--cores", "2", asked)
    assert done.returncode != 0 and "Traceback" not in done.stderr and not target.exists()
    said = set(lines(done))
    assert len(said) == 1 and f"{name}: " in (line := said.pop()) and line.endswith("; delete it to have it made again")
    path.unlink()
    changed.run(asked)
    if path.suffix != ".keras" and path.name != "training.json":  # which tell of time
        assert path.read_bytes() == before
    if target.name == "metrics.json":
        assert untimed(json.loads(target.read_bytes())) == untimed(json.loads(after))
    elif target.suffix != ".keras":
        assert target.read_bytes() == after
