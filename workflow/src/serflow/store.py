"""The only place that knows file formats: atomic writes, ``.npy`` arrays, Parquet tables, JSON, CSV.

Everything is written beside its place and renamed, so that a killed job leaves nothing that looks
finished. Tables, models and texts are flushed to disk before; arrays, which are large and quickly made
again, are not: half of the time of ``fix_length`` was waiting for the disk. One that a power cut
truncates is noticed by its size when it is opened.
"""

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from serflow.errors import UserError


@contextlib.contextmanager
def replacing(path: str | Path, *, flush: bool = True) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; rename it to ``path`` if the block succeeds.

    Parameters
    ----------
    path
        The file to make. Its folder is created where it is missing.
    flush
        Whether to wait until the content is on the disk, so that it survives a power cut as well.

    Yields
    ------
    Path
        Where to write. It bears the suffix of ``path``, which some writers choose their format by.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=f".part{path.suffix}", dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        if flush:
            with partial.open("rb") as written:
                os.fsync(written.fileno())
        partial.chmod(0o644)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content) -> None:
    """Write ``content`` as indented JSON; NaN and infinities are refused."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path):
    """Read a JSON file.

    Raises
    ------
    UserError
        If the file is not valid JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); delete it to have it made again") from error


def write_table(path: str | Path, table) -> None:
    """Write a ``pyarrow.Table`` as Parquet (zstd); the same table gives the same bytes."""
    write_tables(path, [table])


def write_tables(path: str | Path, tables: Iterable) -> None:
    """Write tables of one schema, of which there is at least one, below each other into one Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with replacing(path) as partial, contextlib.ExitStack() as stack:
        writer = None
        for table in tables:
            if writer is None:
                # A dictionary of numbers that hardly repeat costs twice the time, to write and to read.
                words = [field.name for field in table.schema if not pa.types.is_floating(field.type)]
                options = {"compression": "zstd", "use_dictionary": words}
                writer = stack.enter_context(pq.ParquetWriter(partial, table.schema, **options))
            writer.write_table(table)


def read_table(path: str | Path, columns: Sequence[str] | None = None):
    """Read a Parquet file as a ``pyarrow.Table``.

    Raises
    ------
    UserError
        If the file is damaged or is no Parquet file.
    """
    import pyarrow.parquet as pq

    with _readable_parquet(path):
        table = pq.read_table(path, columns=list(columns) if columns is not None else None, partitioning=None)
        _check_plain(table.schema)
        return table


def read_row_groups(path: str | Path) -> Iterator:
    """Read a Parquet file piece by piece, as it was written; errors are those of :func:`read_table`."""
    import pyarrow.parquet as pq

    with _readable_parquet(path), pq.ParquetFile(path) as file:
        _check_plain(file.schema_arrow)
        for group in range(file.num_row_groups):
            yield file.read_row_group(group)


@contextlib.contextmanager
def _readable_parquet(path: str | Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise UserError(f"{path}: no such file") from error
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: not a readable Parquet file ({reason}); delete it to have it made again") from error


def _check_plain(fields: Iterable) -> None:
    """Refuse extension types: serflow writes none, and there is one that holds a pickle."""
    import pyarrow as pa

    for field in fields:
        if isinstance(field.type, pa.BaseExtensionType) or b"ARROW:extension:name" in (field.metadata or {}):
            raise pa.ArrowInvalid(f"column {field.name} is of an extension type")
        _check_plain(field.type.field(number) for number in range(field.type.num_fields))


def read_tables(paths: Sequence[str | Path], columns: Sequence[str] | None = None):
    """Read several Parquet files of one schema as one ``pyarrow.Table``, in the order given."""
    import pyarrow as pa

    return pa.concat_tables([read_table(path, columns) for path in paths])


class ArrayWriter:
    """Write a ``.npy`` array row by row, so that a shard never has to fit into memory.

    Parameters
    ----------
    path
        The file to make; it appears only when the block has ended without an error.
    row_shape
        The shape of one row; rows are appended along the first axis.
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
        self.rows = 0
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "ArrayWriter":
        partial = self._stack.enter_context(replacing(self.path, flush=False))
        self._file = self._stack.enter_context(partial.open("wb"))
        self._write_header()
        return self

    def _write_header(self) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (self.rows, *self.row_shape),
        }
        # NumPy leaves room for the first axis to grow, so a later header has the length of this one.
        np.lib.format.write_array_header_2_0(self._file, header)

    def write(self, rows: np.ndarray) -> None:
        """Append rows.

        Raises
        ------
        ValueError
            If their shape is not the one announced.
        """
        rows = np.ascontiguousarray(rows, dtype=self.dtype)
        if rows.shape[1:] != self.row_shape:
            raise ValueError(f"rows of shape {rows.shape[1:]} do not fit into {self.path} of {self.row_shape}")
        self._file.write(rows.data)
        self.rows += len(rows)

    def __exit__(self, kind, error, trace) -> bool | None:
        if kind is None:
            self._file.seek(0)
            self._write_header()
            self._file.flush()
        return self._stack.__exit__(kind, error, trace)


def open_array(path: str | Path) -> np.ndarray:
    """Open a ``.npy`` array memory-mapped and read-only; pickled objects are refused.

    Raises
    ------
    UserError
        If the file is truncated, holds objects, or is no ``.npy`` file.
    """
    try:
        shape, dtype, offset = _npy_header(path)
        if 0 in shape:  # an empty file region cannot be mapped
            return np.zeros(shape, dtype)
        return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)
    except (ValueError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise UserError(f"{path}: no such file") from error
        raise UserError(f"{path}: not a readable .npy array ({error}); delete it to have it made again") from error


class FileArray:
    """A ``.npy`` array whose rows are read from the file when a slice of them is asked for.

    Unlike a memory map it counts nothing towards the memory of the process but the rows that are in use,
    and it is faster where each row is read once.

    Parameters
    ----------
    path
        The array; errors are those of :func:`open_array`.

    Examples
    --------
    >>> FileArray("x.npy")[10:20].shape
    (10, 2)
    """

    def __init__(self, path: str | Path):
        self.path, mapped = path, open_array(path)
        self.shape, self.dtype, self._offset = mapped.shape, mapped.dtype, getattr(mapped, "offset", 0)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(len(self))
        wanted = np.empty((max(0, stop - start), *self.shape[1:]), self.dtype)
        if wanted.size:
            with Path(self.path).open("rb", buffering=0) as file:
                file.seek(self._offset + start * (wanted.nbytes // len(wanted)))
                missing = memoryview(wanted).cast("B")
                while len(missing):
                    count = file.readinto(missing)
                    if not count:
                        raise UserError(f"{self.path}: has become shorter while it was read")
                    missing = missing[count:]
        return wanted


def _npy_header(path: str | Path) -> tuple[tuple[int, ...], np.dtype, int]:
    with Path(path).open("rb") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        try:
            shape, fortran, dtype = read(file)
        except Exception as error:  # of a broken header, which is a Python literal, nearly anything
            raise ValueError(f"broken header: {type(error).__name__}") from error
        if dtype.hasobject or fortran or min(shape, default=0) < 0:
            raise ValueError(f"type {dtype} is not one that serflow writes")
        offset = file.tell()
    expected = offset + math.prod(shape) * dtype.itemsize
    if Path(path).stat().st_size != expected:
        raise ValueError(f"{Path(path).stat().st_size} bytes, {expected} expected")
    return shape, dtype, offset
