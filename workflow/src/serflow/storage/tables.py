"""Parquet tables. Each page has a CRC; the footer, which Parquet leaves unprotected, gets a checksum here.

The checksum is in 8 bytes between the last page and the footer, where readers of Parquet do not look. Without it
a flipped bit in the footer could rename a column.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from xxhash import xxh3_64_digest

from serflow.storage.checksums import Damaged
from serflow.storage.files import readable, replacing

_SUM, _END = 8, 8  # bytes: of the checksum; of the footer's length and Parquet's magic number, which end the file


def write_table(path: str | Path, table) -> None:
    """Write a ``pyarrow.Table`` as Parquet (zstd); equal tables give equal bytes."""
    write_tables(path, [table])


def write_tables(path: str | Path, tables: Iterable) -> None:
    """Write one or more tables of one schema, each as row groups of its own, to one Parquet file."""
    from serflow.storage.arrow import pa, pq

    with replacing(path) as partial:
        with contextlib.ExitStack() as stack:
            writer = None
            for table in tables:
                if writer is None:
                    # A dictionary of floats, which rarely repeat, takes twice the time to write and to read.
                    words = [field.name for field in table.schema if not pa.types.is_floating(field.type)]
                    options = {"compression": "zstd", "use_dictionary": words, "write_page_checksum": True}
                    writer = stack.enter_context(pq.ParquetWriter(partial, table.schema, **options))
                writer.write_table(table)
        with partial.open("r+b") as file:
            footer = _read_footer(file)
            file.seek(-len(footer), 2)
            file.write(xxh3_64_digest(footer) + footer)


def read_table(path: str | Path, columns: Sequence[str] | None = None):
    """Read a Parquet file as a ``pyarrow.Table``.

    Raises
    ------
    UserError
        If the file is damaged, or was not written by :func:`write_tables`.
    """
    with _opened(path) as file:
        return file.read(list(columns) if columns is not None else None)


def read_row_groups(path: str | Path) -> Iterator:
    """Yield the row groups of a Parquet file as tables; errors are those of :func:`read_table`."""
    with _opened(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group)


def read_tables(paths: Sequence[str | Path], columns: Sequence[str] | None = None):
    """Read several Parquet files of one schema as one ``pyarrow.Table``, in the given order."""
    from serflow.storage.arrow import pa

    return pa.concat_tables([read_table(path, columns) for path in paths])


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator:
    from serflow.storage.arrow import pa, pq

    with readable(path, "not a readable Parquet file", pa.ArrowException):
        with Path(path).open("rb") as raw:
            footer = _read_footer(raw)
            raw.seek(-len(footer) - _SUM, 2)
            if raw.read(_SUM) != xxh3_64_digest(footer):
                raise Damaged("the checksum of its footer is missing or does not match")
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            _check_plain(file.schema_arrow)
            yield file


def _read_footer(file: BinaryIO) -> bytes:
    """Return a Parquet file's metadata, their length and the magic number, which are its last bytes."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END))
    length = int.from_bytes(file.read(_END)[:4], "little") + _END
    if length > size:
        raise Damaged("it was cut, or is no Parquet file")
    file.seek(-length, 2)
    return file.read(length)


def _check_plain(fields: Iterable) -> None:
    """Refuse extension types: serflow writes none, and one of them holds a pickle."""
    from serflow.storage.arrow import pa

    for field in fields:
        if isinstance(field.type, pa.BaseExtensionType) or b"ARROW:extension:name" in (field.metadata or {}):
            raise pa.ArrowInvalid(f"column {field.name} is of an extension type")
        _check_plain(field.type.field(number) for number in range(field.type.num_fields))
