"""A corpus described by a CSV or Parquet table with the columns file, speaker, label and optionally start and end.

``file`` is absolute or relative to the folder of the table; ``start`` and ``end`` are in seconds. A label is any text.
To share labels with other corpora, use the codes of :data:`serflow.corpus.labels.LABELS`.
"""

import csv
import functools
import math
import os
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path

from serflow.corpus.ids import escape_name, escape_speaker
from serflow.corpus.listing import Entry, FileStatus, Utterance
from serflow.runtime.errors import UserError
from serflow.storage import check_regular

TITLE = "manifest"
LONGEST = {"file": 4096, "speaker": 200, "label": 200}  # characters
TEXTS = tuple(LONGEST)
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
    columns, first = _read(path), _FIRST[path.suffix.lower()]
    files, speakers, labels = (columns[name] for name in TEXTS)

    def fail(row: int, column: str, wrong: str):
        raise UserError(f"audio: {path}, row {row + first}, column {column}: {wrong}")

    def refuse_doubles(keys: list[str], what: str) -> None:
        seen: dict[str, int] = {}
        for row, key in enumerate(keys):
            if (other := seen.setdefault(key, row)) != row:
                fail(row, "file", f"the same {what} as in row {other + first}; remove one")

    if not files:
        raise UserError(f"audio: {path} has no rows; it needs one per recording")
    for name in TEXTS:
        if "" in columns[name]:
            fail(columns[name].index(""), name, "is empty")
        if len(longest := max(columns[name], key=len)) > LONGEST[name]:
            fail(columns[name].index(longest), name, f"has more than {LONGEST[name]:,} characters")
    if "\0" in "".join(files):
        fail(next(row for row, file in enumerate(files) if "\0" in file), "file", "contains a zero byte")
    starts, ends = (_seconds(columns.get(name, [None] * len(files)), name, fail) for name in TIMES)
    pieces = []
    for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
        begin = start or 0
        if not 0 <= begin < math.inf:
            fail(row, "start", f"{begin:g} must be 0 or more seconds")
        if end is not None and math.isinf(end):
            fail(row, "end", f"{end:g} must be a number of seconds")
        if end is not None and end <= begin:
            fail(row, "end", f"{end:g} must be greater than the start, {begin:g}")
        piece = f"[{round(1000 * begin)}-{'' if end is None else round(1000 * end)}]"  # in milliseconds
        pieces.append(piece if begin or end is not None else "")
    refuse_doubles([f"{file}{piece}" for file, piece in zip(files, pieces, strict=True)], "recording")
    speaker_of = {speaker: escape_speaker(speaker) for speaker in set(speakers)}
    speakers = [speaker_of[speaker] for speaker in speakers]
    stem_of = {file: escape_name(os.path.splitext(file)[0]) for file in set(files)}  # noqa: PTH122 (ten times as fast)
    clips = [f"{speaker}_{stem_of[file]}{piece}" for speaker, file, piece in zip(speakers, files, pieces, strict=True)]
    refuse_doubles(clips, "clip (file without suffix, start and end in milliseconds)")
    status_of = {file: _status(path.parent, file) for file in set(files)}
    rows = zip(clips, speakers, labels, files, starts, ends, range(first, first + len(clips)), strict=True)
    # Sorted, so that the order of the rows does not matter.
    return [
        Entry(file, Utterance(clip, speaker, None, label, None), status_of[file], None, None, start, end, row)
        for clip, speaker, label, file, start, end, row in sorted(rows, key=itemgetter(0))
    ]


def describe_row(path: Path, clip: str) -> str:
    """Return table and row of a clip as the beginning of a message.

    Listings do not contain row numbers, so that a new row does not change the listing of the rows below it.
    """
    try:
        row = _rows(path).get(clip)
    except UserError:  # the table has changed since it was listed
        row = None
    return f"{path}, row {row}: " if row else f"{path}: "


@functools.lru_cache(maxsize=1)
def _rows(path: Path) -> dict[str, int]:
    return {entry.name.clip: entry.row for entry in list_recordings(path)}


def _read(path: Path) -> dict[str, list]:
    """Read the columns of the table: text without nulls, and times as they are."""
    import pyarrow.compute as pc
    import pyarrow.csv

    from serflow.storage.arrow import pa, pq

    kind = path.suffix.lower()
    if kind not in _FIRST:
        raise UserError(f"audio: {path}: a manifest is a table in a .csv or .parquet file")
    try:
        check_regular(path)
        if kind == ".csv":
            with path.open(newline="", encoding="utf-8-sig") as file:
                names = next(csv.reader(file), [])
        else:
            names = pq.read_schema(path).names
        wanted = [name for name in (*TEXTS, *TIMES) if name in names]
        if missing := [name for name in TEXTS if name not in names]:
            raise UserError(f"audio: {path} has no column {missing[0]}; it has: {', '.join(names) or 'none'}")
        if twice := [name for name in wanted if names.count(name) > 1]:
            raise UserError(f"audio: {path} has two columns {twice[0]}; remove one of them")
        if kind == ".csv":
            types = dict.fromkeys(wanted, pa.string())
            options = pyarrow.csv.ConvertOptions(include_columns=wanted, column_types=types)
            parsing = pyarrow.csv.ParseOptions(newlines_in_values=True)
            table = pyarrow.csv.read_csv(path, convert_options=options, parse_options=parsing)
        else:
            table = pq.ParquetFile(path).read(columns=wanted)
        texts = {name: pc.fill_null(pc.cast(table[name], pa.string()), "") for name in TEXTS}
        texts |= {name: pc.utf8_trim_whitespace(texts[name]) for name in ("speaker", "label")}
    except FileNotFoundError as error:
        raise UserError(f"audio: {path}: no such file; check the path") from error
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"audio: {path}: not a readable table of recordings ({reason})") from error
    return {name: texts.get(name, table[name]).to_pylist() for name in wanted}


def _seconds(values: list, name: str, fail: Callable) -> list[float | None]:
    numbers = []
    for row, value in enumerate(values):
        try:
            number = math.nan if value is None or not str(value).strip() else float(value)
        except (TypeError, ValueError):
            fail(row, name, f"{value!r} is not a number of seconds")
        numbers.append(None if math.isnan(number) else number)
    return numbers


def _status(folder: Path, file: str) -> FileStatus:
    """Return the status of a file; zeros if it cannot be seen, which reading it will report."""
    try:
        status = os.stat(os.path.join(folder, file))  # noqa: PTH116, PTH118 (five times as fast)
    except OSError:
        return FileStatus()
    return FileStatus(status.st_size, status.st_mtime_ns, status.st_ino, status.st_mode)
