"""``.npy`` arrays that are written row by row, with checksums of their blocks after the data, which NumPy ignores."""

import contextlib
import io
import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from serflow.storage.checksums import BLOCK, BlockSums, check_blocks, read_trailer, trailer_size
from serflow.storage.files import readable, replacing

_KIND = "not a readable .npy array"
_BLOCKS_AT_ONCE = 64


class ArrayWriter:
    """Write a ``.npy`` array row by row, so that a shard does not have to fit into memory.

    Parameters
    ----------
    path
        The file to write; it appears when the ``with`` block ends without an error.
    row_shape
        Shape of one row; rows are appended along the first axis.
    dtype
        Type of the values.

    Examples
    --------
    >>> with ArrayWriter("x.npy", (2,)) as out:
    ...     out.write(np.zeros((3, 2)))
    ...     out.write(np.ones((1, 2)))
    """

    def __init__(self, path: str | Path, row_shape: tuple[int, ...] = (), dtype=np.float32):
        self.path, self.row_shape, self.dtype = Path(path), tuple(row_shape), np.dtype(dtype)
        self.rows, self._sums = 0, BlockSums()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "ArrayWriter":
        partial = self._stack.enter_context(replacing(self.path, flush=False))
        self._file = self._stack.enter_context(partial.open("wb"))
        self._file.write(self._header())
        return self

    def _header(self) -> bytes:
        header = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (self.rows, *self.row_shape),
        }
        # NumPy reserves space for the first axis to grow, so that the final header has the length of this one.
        written = io.BytesIO()
        np.lib.format.write_array_header_2_0(written, header)
        return written.getvalue()

    def write(self, rows: np.ndarray) -> None:
        """Append rows.

        Raises
        ------
        ValueError
            If their shape is not ``row_shape``.
        """
        rows = np.ascontiguousarray(rows, dtype=self.dtype)
        if rows.shape[1:] != self.row_shape:
            raise ValueError(f"rows of shape {rows.shape[1:]} do not fit into {self.path} of {self.row_shape}")
        if rows.size:
            data = rows.data.cast("B")
            self._sums.update(data)
            self._file.write(data)
        self.rows += len(rows)

    def __exit__(self, kind, error, trace) -> bool | None:
        if kind is None:
            with self._stack:  # `replacing` turns a full disk into a UserError
                header = self._header()
                self._file.write(self._sums.trailer(header))
                self._file.seek(0)
                self._file.write(header)
            return None
        return self._stack.__exit__(kind, error, trace)


def open_array(path: str | Path) -> np.ndarray:
    """Open a ``.npy`` array memory-mapped and read-only, after a check of all its checksums.

    Raises
    ------
    UserError
        If the file is damaged, contains objects, or is no ``.npy`` file of :class:`ArrayWriter`.
    """
    with readable(path, _KIND):
        found = npy_header(path)
        with Path(path).open("rb", buffering=0) as file:
            file.seek(found.offset)
            for first in range(0, len(found.sums), _BLOCKS_AT_ONCE):
                sums = found.sums[first : first + _BLOCKS_AT_ONCE]
                check_blocks(_read(file, min(len(sums) * BLOCK, found.size - first * BLOCK)), sums)
        if 0 in found.shape:  # an empty file region cannot be mapped
            return np.zeros(found.shape, found.dtype)
        return np.memmap(path, dtype=found.dtype, mode="r", offset=found.offset, shape=found.shape)


class FileArray:
    """A ``.npy`` array whose rows are read from the file, and checked, when they are sliced.

    Only the rows in use count towards the memory of the process, unlike with a memory map, and reading each row once
    is faster.

    Parameters
    ----------
    path
        The array; errors are those of :func:`open_array`, also when rows are read.

    Examples
    --------
    >>> FileArray("x.npy")[10:20].shape
    (10, 2)
    """

    def __init__(self, path: str | Path):
        self.path = path
        with readable(path, _KIND):
            self._found = npy_header(path)
        self.shape, self.dtype = self._found.shape, self._found.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(len(self))
        of_row = math.prod(self.shape[1:]) * self.dtype.itemsize
        shape = (max(0, stop - start), *self.shape[1:])
        if not shape[0] * of_row:
            return np.empty(shape, self.dtype)
        first, last = start * of_row // BLOCK, -(-stop * of_row // BLOCK)
        with readable(self.path, _KIND), Path(self.path).open("rb", buffering=0) as file:
            file.seek(self._found.offset + first * BLOCK)
            data = _read(file, min(last * BLOCK, self._found.size) - first * BLOCK)
            check_blocks(data, self._found.sums[first:last])
        begin = start * of_row - first * BLOCK
        return np.frombuffer(data[begin : begin + shape[0] * of_row], self.dtype).reshape(shape)


def _read(file, size: int) -> memoryview:
    data = memoryview(np.empty(size, np.uint8))
    missing = data
    while len(missing):
        count = file.readinto(missing)
        if not count:
            raise ValueError("it became shorter while it was read")
        missing = missing[count:]
    return data


class Npy(NamedTuple):
    """Header and trailer of an array; ``offset`` and ``size`` of the data are in bytes."""

    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int
    size: int
    sums: np.ndarray
    checksum: str


def npy_header(path: str | Path) -> Npy:
    """Read the header and the checksums of an array."""
    with Path(path).open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file)
        except Exception as error:  # NumPy passes on any error of Python's parser
            raise ValueError(f"its header cannot be read: {error}") from error
        if dtype.hasobject or fortran or min(shape, default=0) < 0:
            raise ValueError(f"serflow does not write arrays of type {dtype}")
        offset = file.tell()
        size = math.prod(shape) * dtype.itemsize
        expected = offset + size + trailer_size(size)
        if (found := os.fstat(file.fileno()).st_size) != expected:
            raise ValueError(f"{found} bytes instead of {expected} with checksums")
        file.seek(0)
        header = file.read(offset)
        file.seek(offset + size)
        return Npy(shape, dtype, offset, size, *read_trailer(file.read(), header))
