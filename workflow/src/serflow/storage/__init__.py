"""The only place that knows file formats: atomic writes, ``.npy`` arrays, Parquet tables, JSON, zip archives.

Every file is written next to its final path and then renamed, so that a killed job leaves no file that looks
finished. Tables, archives and documents are flushed to disk before the rename. Arrays are not, because they are
large and cheap to recompute; an array that a power cut truncates is detected when it is opened.

Every file can be checked for damage when it is read: arrays and JSON carry checksums of their own, Parquet has a
CRC per page and a checksum of its footer, zip has a CRC per member. NumPy, pyarrow and other programs read these
files as usual.
"""

from pathlib import Path

from serflow.storage.archives import read_archive, read_arrays, write_archive, write_arrays
from serflow.storage.arrays import ArrayWriter, FileArray, npy_header, open_array
from serflow.storage.checksums import file_checksum
from serflow.storage.csv_tables import read_csv, stream_csv, write_csv
from serflow.storage.documents import read_json, write_json, write_text
from serflow.storage.files import check_own, check_regular, readable, replacing, tidy
from serflow.storage.rows import table_of, table_of_frame
from serflow.storage.tables import read_row_groups, read_table, read_tables, write_table, write_tables

__all__ = [
    "ArrayWriter",
    "FileArray",
    "check_own",
    "check_regular",
    "checksum",
    "open_array",
    "read_archive",
    "read_arrays",
    "read_csv",
    "read_json",
    "read_row_groups",
    "read_table",
    "read_tables",
    "replacing",
    "stream_csv",
    "table_of",
    "table_of_frame",
    "tidy",
    "write_archive",
    "write_arrays",
    "write_csv",
    "write_json",
    "write_table",
    "write_tables",
    "write_text",
]


def checksum(path: str | Path) -> str:
    """Return a checksum of a file's content.

    An array carries one, so that it need not be read. Any other file is read and hashed.

    Raises
    ------
    UserError
        If the file does not exist, or is an array that is damaged.
    """
    with readable(path, "not a readable result"):
        return npy_header(path).checksum if Path(path).suffix == ".npy" else file_checksum(path)
