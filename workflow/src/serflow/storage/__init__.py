"""The only place that knows file formats: atomic writes, ``.npy`` arrays, Parquet tables, JSON, archives.

Everything is written beside its place and renamed, so that a killed job leaves nothing that looks
finished. Tables, models and texts are flushed to disk before; arrays, which are large and quickly made
again, are not: half of the time of ``fix_length`` was waiting for the disk. One that a power cut
truncates is noticed by its size when it is opened.

Arrays, tables, JSON and archives carry checksums, which are compared whenever one is read. A memory map is
compared as a whole when it is opened, rows of a :class:`FileArray` each time they are read. NumPy, pyarrow and
others read these files as any; they leave the checksums alone.
"""

import contextlib
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from serflow.storage.arrays import ArrayWriter, FileArray, npy_header, open_array
from serflow.storage.checksums import UNSEALED, check_seal
from serflow.storage.files import readable, replacing, seal, tidy
from serflow.storage.rows import table_of, table_of_frame

__all__ = [
    "ArrayWriter",
    "FileArray",
    "checksum",
    "open_array",
    "read_archive",
    "read_arrays",
    "read_json",
    "read_row_groups",
    "read_table",
    "read_tables",
    "replacing",
    "table_of",
    "table_of_frame",
    "tidy",
    "write_archive",
    "write_arrays",
    "write_json",
    "write_table",
    "write_tables",
    "write_text",
]

_SEAL = "checksum"  # the key of a seal in JSON and Parquet


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: Mapping) -> None:
    """Write ``content`` as indented JSON with its checksum; NaN and infinities are refused."""
    sealed = {**content, _SEAL: UNSEALED.decode()}
    text = json.dumps(sealed, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
        seal(partial)


def read_json(path: str | Path) -> dict:
    """Read a JSON file.

    Raises
    ------
    UserError
        If the file is not valid JSON, or not as it was written.
    """
    with readable(path, "not valid JSON"):
        content = Path(path).read_bytes()
        read = json.loads(content)
        check_seal(content)
    del read[_SEAL]
    return read


def write_table(path: str | Path, table) -> None:
    """Write a ``pyarrow.Table`` as Parquet (zstd); the same table gives the same bytes."""
    write_tables(path, [table])


def write_tables(path: str | Path, tables: Iterable) -> None:
    """Write tables of one schema, of which there is at least one, below each other into one Parquet file."""
    from serflow.storage.arrow import pa, pq

    with replacing(path) as partial, contextlib.ExitStack() as stack:
        writer = None
        for table in tables:
            if writer is None:
                # A dictionary of numbers that hardly repeat costs twice the time, to write and to read.
                words = [field.name for field in table.schema if not pa.types.is_floating(field.type)]
                options = {"compression": "zstd", "use_dictionary": words}
                writer = stack.enter_context(pq.ParquetWriter(partial, table.schema, **options))
            writer.write_table(table)
        writer.add_key_value_metadata({_SEAL: UNSEALED.decode()})
        stack.close()
        seal(partial)


def read_table(path: str | Path, columns: Sequence[str] | None = None):
    """Read a Parquet file as a ``pyarrow.Table``.

    Raises
    ------
    UserError
        If the file is not as it was written, or is no Parquet file.
    """
    with _opened_parquet(path) as file:
        return _bare(file.read(list(columns) if columns is not None else None))


def read_row_groups(path: str | Path) -> Iterator:
    """Read a Parquet file piece by piece, as it was written; errors are those of :func:`read_table`."""
    with _opened_parquet(path) as file:
        for group in range(file.num_row_groups):
            yield _bare(file.read_row_group(group))


def _bare(table):
    """Leave out the seal, which is of the file and would go into the next one that is written of the table."""
    return table.replace_schema_metadata(None)


@contextlib.contextmanager
def _opened_parquet(path: str | Path) -> Iterator:
    from serflow.storage.arrow import pa, pq

    with readable(path, "not a readable Parquet file", pa.ArrowException):
        content = Path(path).read_bytes()
        check_seal(content)
        file = pq.ParquetFile(pa.BufferReader(content))
        _check_plain(file.schema_arrow)
        yield file


def _check_plain(fields: Iterable) -> None:
    """Refuse extension types: serflow writes none, and there is one that holds a pickle."""
    from serflow.storage.arrow import pa

    for field in fields:
        if isinstance(field.type, pa.BaseExtensionType) or b"ARROW:extension:name" in (field.metadata or {}):
            raise pa.ArrowInvalid(f"column {field.name} is of an extension type")
        _check_plain(field.type.field(number) for number in range(field.type.num_fields))


def read_tables(paths: Sequence[str | Path], columns: Sequence[str] | None = None):
    """Read several Parquet files of one schema as one ``pyarrow.Table``, in the order given."""
    from serflow.storage.arrow import pa

    return pa.concat_tables([read_table(path, columns) for path in paths])


def write_archive(path: str | Path, write: Callable[[Path], None]) -> None:
    """Write a zip file, such as a model, with its checksum.

    Parameters
    ----------
    path
        The file to make.
    write
        Writes it to the path that it is given.
    """
    with replacing(path) as partial:
        write(partial)
        with zipfile.ZipFile(partial, "a") as archive:
            archive.comment = UNSEALED
        seal(partial)


def read_archive(path: str | Path, kind: str) -> bytes:
    """Read a zip file; one that is not as it was written is no ``kind``, as the line then says.

    Raises
    ------
    UserError
        If the file is not as it was written.
    """
    with readable(path, kind):
        content = Path(path).read_bytes()
        check_seal(content)
        return content


def write_arrays(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as one ``.npz`` file with its checksum."""
    write_archive(path, lambda partial: np.savez(partial, allow_pickle=False, **arrays))


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Read what :func:`write_arrays` wrote; errors are those of :func:`read_archive`."""
    kind = "not readable named arrays"
    content = read_archive(path, kind)
    with readable(path, kind, zipfile.BadZipFile), np.load(io.BytesIO(content), allow_pickle=False) as found:
        return {name: found[name] for name in found.files}


def checksum(path: str | Path) -> str:
    """Give the checksum that a result carries: it stands for the content without reading all of it anew.

    Raises
    ------
    UserError
        As from the function that reads it.
    """
    with readable(path, "not a result with a checksum"):
        if Path(path).suffix == ".npy":
            return npy_header(path).checksum
        return check_seal(Path(path).read_bytes())
