import os

import numpy as np
import pyarrow as pa
import pytest

from serflow import storage
from serflow.runtime.errors import UserError


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x.json"
    storage.write_json(path, {"old": 1})
    with pytest.raises(RuntimeError), storage.replacing(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert storage.read_json(path) == {"old": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]


def test_nan_is_no_json(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        storage.write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not list(tmp_path.iterdir())


def test_broken_json_names_the_file(tmp_path):
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(UserError, match=r"x\.json: not valid JSON"):
        storage.read_json(tmp_path / "x.json")


@pytest.mark.parametrize("pieces", [[], [3], [3, 1, 2]])
def test_array_written_in_pieces_is_the_array(tmp_path, pieces):
    path = tmp_path / "x.npy"
    rows = np.arange(sum(pieces) * 2, dtype=np.float32).reshape(-1, 2)
    with storage.ArrayWriter(path, (2,)) as out:
        for piece in np.split(rows, np.cumsum(pieces)[:-1]) if pieces else []:
            out.write(piece)
    opened = storage.open_array(path)
    assert opened.shape == rows.shape and opened.dtype == np.float32
    np.testing.assert_array_equal(opened, rows)
    np.testing.assert_array_equal(np.load(path, allow_pickle=False), rows)


def test_an_interrupted_array_does_not_appear(tmp_path):
    with pytest.raises(KeyboardInterrupt), storage.ArrayWriter(tmp_path / "x.npy", (2,)) as out:
        out.write(np.zeros((1, 2)))
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_rows_of_another_shape_are_refused(tmp_path):
    with pytest.raises(ValueError, match="do not fit"), storage.ArrayWriter(tmp_path / "x.npy", (2,)) as out:
        out.write(np.zeros((1, 3)))


def test_truncated_and_pickled_arrays_are_refused(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((5, 4), dtype=np.float32))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"x\.npy: not a readable"):
        storage.open_array(path)
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"x\.npy: not a readable"):
        storage.open_array(path)
    with pytest.raises(UserError, match="no such file"):
        storage.open_array(tmp_path / "none.npy")


def test_tables_are_the_same_bytes_each_time(tmp_path):
    table = pa.table({"clip": ["a", "b"], "value": [1.0, 2.0]})
    for name in ("x", "y"):
        storage.write_table(tmp_path / f"{name}.parquet", table)
    assert (tmp_path / "x.parquet").read_bytes() == (tmp_path / "y.parquet").read_bytes()
    assert storage.read_table(tmp_path / "x.parquet").equals(table)
    (tmp_path / "x.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match="not a readable Parquet"):
        storage.read_table(tmp_path / "x.parquet")


def test_a_table_in_row_groups_is_read_one_at_a_time(tmp_path):
    tables = [pa.table({"clip": ["a"], "value": [1.0]}), pa.table({"clip": ["b", "c"], "value": [2.0, None]})]
    storage.write_tables(tmp_path / "x.parquet", tables)
    assert list(storage.read_row_groups(tmp_path / "x.parquet")) == tables
    assert storage.read_tables([tmp_path / "x.parquet"] * 2, ["value"]).num_rows == 6


@pytest.mark.parametrize("name", ["x.npy", "x.parquet", "x.json", "x.npz"])
def test_a_checksum_stands_for_the_content(tmp_path, name):
    def write(value):
        path = tmp_path / name
        if name == "x.npy":
            with storage.ArrayWriter(path, (2,)) as out:
                out.write(np.full((3, 2), value))
        elif name == "x.parquet":
            storage.write_table(path, pa.table({"value": [value]}))
        elif name == "x.json":
            storage.write_json(path, {"value": value})
        else:
            storage.write_archive(path, lambda partial: partial.write_bytes(str(value).encode()))
        return storage.checksum(path)

    assert write(1.0) == write(1.0) != write(2.0)
    with pytest.raises(UserError, match="no such file"):
        storage.checksum(tmp_path / "none")


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_files_have_the_permissions_that_the_umask_leaves(tmp_path, umask):
    before = os.umask(umask)
    try:
        storage.write_text(tmp_path / "x.csv", "clip\n")
        storage.write_table(tmp_path / "x.parquet", pa.table({"value": [1]}))
        storage.write_arrays(tmp_path / "x.npz", {"a": np.zeros(2)})
        with storage.ArrayWriter(tmp_path / "x.npy"):
            pass
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o666 & ~umask}
