"""Rows out, as CSV, JSON or Parquet, one at a time."""

import contextlib
import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import TextIO

from serflow.runtime.errors import UserError
from serflow.storage import read_table, replacing, write_tables

_ROWS_AT_ONCE = 1000


class Rows:
    """Where rows go; a value that a row lacks is empty. This one drops them."""

    def write(self, row: Mapping) -> None:
        """Take a row."""

    def end(self) -> None:
        """Write what is still held."""


class _Csv(Rows):
    def __init__(self, stream: TextIO, columns: Mapping[str, str]):
        self._writer = csv.DictWriter(stream, fieldnames=list(columns), lineterminator="\n")
        self._writer.writeheader()

    def write(self, row: Mapping) -> None:
        self._writer.writerow({key: _short(value) for key, value in row.items()})


class _Json(Rows):
    def __init__(self, stream: TextIO, columns: Mapping[str, str]):
        self._stream, self._columns, self._between = stream, columns, "["

    def write(self, row: Mapping) -> None:
        complete = {name: _short(row.get(name)) for name in self._columns}
        self._stream.write(f"{self._between}\n{json.dumps(complete, ensure_ascii=False)}")
        self._between = ","

    def end(self) -> None:
        self._stream.write("\n]\n" if self._between == "," else "[]\n")


class _Parquet(Rows):
    """Rows are kept as columns, some 50 bytes each, until the end."""

    def __init__(self, path: Path, columns: Mapping[str, str]):
        from serflow.storage.arrow import pa

        self._path, self._make = path, pa.Table.from_pylist
        self._schema = pa.schema([(name, getattr(pa, kind)()) for name, kind in columns.items()])
        self._held: list[Mapping] = []
        self._tables = [self._make([], schema=self._schema)]

    def write(self, row: Mapping) -> None:
        self._held.append(row)
        if len(self._held) == _ROWS_AT_ONCE:
            self._convert()

    def _convert(self) -> None:
        self._tables.append(self._make(self._held, schema=self._schema))
        self._held = []

    def end(self) -> None:
        self._convert()
        write_tables(self._path, self._tables)


FORMATS = ("csv", "json", "parquet")


def _short(value):
    return round(value, 6) if isinstance(value, float) else value


@contextlib.contextmanager
def writer_for(path: Path | None, format: str | None, columns: Mapping[str, str]) -> Iterator[Rows]:
    """Open a place for rows; a file appears only when all is written.

    Parameters
    ----------
    path
        The file; None is standard output.
    format
        One of :data:`FORMATS`; None: what the suffix of ``path`` says, CSV on standard output.
    columns
        Name to pyarrow's type.

    Yields
    ------
    Rows

    Raises
    ------
    UserError
        If the format is unknown, or Parquet is to go to standard output.
    """
    chosen = format or (Path(path).suffix.lstrip(".").lower() if path else "csv")
    if chosen not in FORMATS:
        raise UserError(
            f"{path or 'output'}: {chosen!r} is no format; give a file that ends in .csv, .json or .parquet"
        )
    if chosen == "parquet" and path is None:
        raise UserError("Parquet does not go to standard output; give --output FILE.parquet")
    with contextlib.ExitStack() as stack:
        if chosen == "parquet":
            rows = _Parquet(path, columns)
        else:
            place = stack.enter_context(replacing(path)) if path else None
            stream = stack.enter_context(place.open("w", encoding="utf-8", newline="")) if place else sys.stdout
            rows = (_Csv if chosen == "csv" else _Json)(stream, columns)
        yield rows
        rows.end()


def collect_predictions(labels: Sequence[Path], *, timelines: Sequence[Path], output: Path, timeline: Path) -> None:
    """Put the tables of several shards together, sorted by file.

    Parameters
    ----------
    labels, timelines
        Parquet tables of :func:`serflow.bundle.predict.predict_recordings`.
    output, timeline
        CSV tables.
    """
    for tables, path, order in ((labels, output, ["file"]), (timelines, timeline, ["file", "start"])):
        rows = sorted((row for table in tables for row in read_table(table).to_pylist()), key=itemgetter(*order))
        with writer_for(path, "csv", dict.fromkeys(read_table(tables[0]).column_names, "string")) as out:
            for row in rows:
                out.write(row)
