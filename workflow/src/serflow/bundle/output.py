"""Writing tables of labels as CSV, JSON or Parquet."""

import contextlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from serflow.runtime.errors import UserError
from serflow.storage import read_tables, replacing, stream_csv, table_of, write_table


def table_format(path: Path | None, format: str | None = None) -> str:
    """Return the format of a table: ``format`` if it is given, else by the suffix of ``path``; CSV without a path.

    Raises
    ------
    UserError
        If the format is unknown, or is Parquet on standard output, which ``path`` None stands for.
    """
    chosen = format or (Path(path).suffix.lstrip(".").lower() if path else "csv")
    if chosen not in ("csv", "json", "parquet"):
        raise UserError(f"{path or 'output'}: unknown format {chosen!r}; use the suffix .csv, .json or .parquet")
    if chosen == "parquet" and path is None:
        raise UserError("Parquet cannot be written to standard output; use --output FILE.parquet")
    return chosen


def write_rows(
    rows: Iterable[Sequence], columns: Mapping[str, str], path: Path | None, format: str | None = None
) -> None:
    """Write a table. A file appears when it is complete; on standard output CSV is written row by row.

    Parameters
    ----------
    rows
        Values in the order of ``columns``; None is empty.
    columns
        Name of each column → its pyarrow type.
    path, format
        As in :func:`table_format`.
    """
    format = table_format(path, format)
    if format == "parquet":
        return write_table(path, table_of(list(rows), columns))
    rows = (tuple(round(value, 6) if isinstance(value, float) else value for value in row) for row in rows)
    with contextlib.ExitStack() as stack:
        stream = sys.stdout
        if path:
            stream = stack.enter_context(stack.enter_context(replacing(path)).open("w", encoding="utf-8", newline=""))
        if format == "json":
            json.dump([dict(zip(columns, row, strict=True)) for row in rows], stream, ensure_ascii=False, indent=1)
            stream.write("\n")
        else:
            stream_csv(stream, columns, rows)


def collect_predictions(labels: Sequence[Path], *, timelines: Sequence[Path], output: Path, timeline: Path) -> None:
    """Join the tables of all shards, sorted by file.

    Parameters
    ----------
    labels
        Parquet tables of :func:`serflow.bundle.predict.predict_recordings`, a row per recording.
    timelines
        Parquet tables of the same, a row per window.
    output
        CSV table of all recordings.
    timeline
        CSV table of all windows.
    """
    for paths, path in ((labels, output), (timelines, timeline)):
        table = read_tables(paths).sort_by([("file", "ascending"), ("start", "ascending")])
        columns = dict.fromkeys(table.column_names, "string")
        write_rows(zip(*table.to_pydict().values(), strict=True), columns, path, "csv")
