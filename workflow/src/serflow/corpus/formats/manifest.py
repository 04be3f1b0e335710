"""A corpus described by a CSV or Parquet table with the columns file, speaker, label and optionally start and end.

``file`` is absolute or relative to the folder of the table; ``start`` and ``end`` are in seconds. A label is any text.
To share labels with other corpora, use the codes of :data:`serflow.corpus.labels.LABELS`.
"""

import csv
import functools
import os
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path

import numpy as np

from serflow.corpus.ids import escape_name, escape_speaker
from serflow.corpus.listing import Entry, FileStatus, Utterance
from serflow.runtime.errors import UserError

TITLE = "manifest"
TEXTS = ("file", "speaker", "label")
TIMES = ("start", "end")
_FIRST = {".csv": 2, ".parquet": 1}  # number of the first row: the header of a CSV is row 1


def parse(path: str) -> Utterance:
    """Raise an error: the rows of a manifest say what a recording is, its name does not."""
    raise UserError(f"{path!r}: the recordings of a manifest have no naming scheme")


def list_recordings(path: Path) -> list[Entry]:
    """List the rows of a manifest by clip.

    Raises
    ------
    UserError
        With row and column, if the table is missing, unreadable or contradicts itself.
    """
    table, first = _read(path), _FIRST[path.suffix.lower()]
    files, speakers, labels = (table[name].to_pylist() for name in TEXTS)
    start, end = (table[name].to_numpy(zero_copy_only=False) for name in TIMES)

    def fail(row: int, column: str, wrong: str):
        raise UserError(f"audio: {path}, row {row + first}, column {column}: {wrong}")

    if not files:
        raise UserError(f"audio: {path} has no rows; it needs one per recording")
    for name, column in zip(TEXTS, (files, speakers, labels), strict=True):
        if "" in column:
            fail(column.index(""), name, "is empty")
    if "\0" in "".join(files):
        fail(next(row for row, file in enumerate(files) if "\0" in file), "file", "contains a zero byte")
    _check_times(start, end, fail)
    pieces = _pieces(start, end)
    _refuse_doubles([f"{file}{piece}" for file, piece in zip(files, pieces, strict=True)], first, path, "recording")
    speaker_of = {speaker: escape_speaker(speaker) for speaker in set(speakers)}
    speakers = [speaker_of[speaker] for speaker in speakers]
    stem_of = {file: escape_name(os.path.splitext(file)[0]) for file in set(files)}  # noqa: PTH122 (ten times as fast)
    clips = [f"{speaker}_{stem_of[file]}{piece}" for speaker, file, piece in zip(speakers, files, pieces, strict=True)]
    _refuse_doubles(clips, first, path, "clip (file without suffix, start and end in milliseconds)")
    status_of = {file: _status(path.parent, file) for file in set(files)}
    starts, ends = (_or_none(column) for column in (start, end))
    rows = zip(clips, speakers, labels, files, starts, ends, range(first, first + len(clips)), strict=True)
    # Sorted, so that the order of the rows does not matter.
    return [
        Entry(file, Utterance(clip, speaker, None, label, None), status_of[file], None, None, start, end, row)
        for clip, speaker, label, file, start, end, row in sorted(rows, key=itemgetter(0))
    ]


def describe_row(path: Path, clip: str) -> str:
    """Return table and row of a clip as the beginning of a message.

    The row is looked up when there is something to say about it: listings do not contain row numbers, so that a new row
    does not change the listing of the rows below it.
    """
    try:
        row = _rows(path).get(clip)
    except UserError:  # the table has changed since it was listed
        row = None
    return f"{path}, row {row}: " if row else f"{path}: "


@functools.lru_cache(maxsize=1)
def _rows(path: Path) -> dict[str, int]:
    return {entry.name.clip: entry.row for entry in list_recordings(path)}


def _read(path: Path):
    """Read the table: strings without nulls in the text columns, float64 or null in the others."""
    import pyarrow.csv

    from serflow.storage.arrow import pa, pq

    kind = path.suffix.lower()
    if kind not in _FIRST:
        raise UserError(f"audio: {path}: a manifest is a table in a .csv or .parquet file")
    try:
        if kind == ".csv":
            with path.open(newline="", encoding="utf-8-sig") as file:
                columns = next(csv.reader(file), [])
        else:
            columns = pq.read_schema(path).names
        _check_columns(path, columns)
        wanted = [name for name in (*TEXTS, *TIMES) if name in columns]
        if kind == ".csv":
            options = pyarrow.csv.ConvertOptions(
                include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string())
            )
            parsing = pyarrow.csv.ParseOptions(newlines_in_values=True)
            table = pyarrow.csv.read_csv(path, convert_options=options, parse_options=parsing)
        else:
            table = pq.ParquetFile(path).read(columns=wanted)
        texts = {name: _text(table[name], stripped=name != "file") for name in TEXTS}
    except FileNotFoundError as error:
        raise UserError(f"audio: {path}: no such file; check the path") from error
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"audio: {path}: not a readable table of recordings ({reason})") from error
    times = {}
    for name in TIMES:
        column = table[name] if name in wanted else pa.nulls(len(table), pa.float64())
        times[name] = _numbers(column, path, name)
    return pa.table(texts | times)


def _check_columns(path: Path, columns: list[str]) -> None:
    missing = [name for name in TEXTS if name not in columns]
    if missing:
        raise UserError(f"audio: {path} has no column {missing[0]}; it has: {', '.join(columns) or 'none'}")
    twice = [name for name in (*TEXTS, *TIMES) if columns.count(name) > 1]
    if twice:
        raise UserError(f"audio: {path} has two columns {twice[0]}; remove one of them")


def _text(column, *, stripped: bool):
    import pyarrow.compute as pc

    from serflow.storage.arrow import pa

    text = pc.fill_null(pc.cast(column, pa.string()), "")
    return pc.utf8_trim_whitespace(text) if stripped else text


def _numbers(column, path: Path, name: str):
    import pyarrow.compute as pc

    from serflow.storage.arrow import pa

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = pc.utf8_trim_whitespace(column)
        column = pc.if_else(pc.equal(column, ""), pa.scalar(None, column.type), column)
    try:
        return pc.cast(column, pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        for row, value in enumerate(column.to_pylist(), _FIRST[path.suffix.lower()]):
            try:
                float("nan" if value is None else value)
            except (TypeError, ValueError):
                raise UserError(
                    f"audio: {path}, row {row}, column {name}: {value!r} is not a number of seconds"
                ) from error
        raise UserError(f"audio: {path}, column {name}: not numbers of seconds ({error})") from error


def _check_times(start: np.ndarray, end: np.ndarray, fail: Callable) -> None:
    begins = np.nan_to_num(start)
    for name, wrong, what in (
        ("start", (start < 0) | np.isinf(start), "must be 0 or more seconds"),
        ("end", np.isinf(end), "must be a number of seconds"),
        ("end", end <= begins, "must be greater than the start"),
    ):
        if wrong.any():
            row = int(wrong.argmax())
            value = (start if name == "start" else end)[row]
            fail(row, name, f"{value:g} {what}" + (f", {begins[row]:g}" if what.endswith("start") else ""))


def _pieces(start: np.ndarray, end: np.ndarray) -> list[str]:
    """Return a suffix for each row that is a part of its file, in milliseconds; an empty one for a whole file."""
    begin = np.nan_to_num(start)
    whole = (begin == 0) & np.isnan(end)
    if whole.all():
        return [""] * len(start)
    first, last = (np.rint(1000 * np.nan_to_num(edge)).astype(np.int64).tolist() for edge in (begin, end))
    rows = zip(first, last, whole.tolist(), np.isnan(end).tolist(), strict=True)
    return ["" if all_ else f"[{a}-{'' if open_ else b}]" for a, b, all_, open_ in rows]


def _refuse_doubles(keys: list[str], first: int, path: Path, what: str) -> None:
    if len(set(keys)) == len(keys):
        return
    seen: dict[str, int] = {}
    for row, key in enumerate(keys, first):
        if (other := seen.setdefault(key, row)) != row:
            raise UserError(f"audio: {path}, row {row}, column file: the same {what} as in row {other}; remove one")


def _status(folder: Path, file: str) -> FileStatus:
    """Return the status of a file; zeros if it cannot be seen, which reading it will report."""
    try:
        status = os.stat(os.path.join(folder, file))  # noqa: PTH116, PTH118 (five times as fast)
    except OSError:
        return FileStatus()
    return FileStatus(status.st_size, status.st_mtime_ns, status.st_ino, status.st_mode)


def _or_none(column: np.ndarray) -> list[float | None]:
    return np.where(np.isnan(column), None, column.astype(object)).tolist()
