"""A corpus described by a CSV, TSV or Parquet table with the columns file, speaker, label and optionally start and end.

``file`` is absolute or relative to the folder of the table; ``start`` and ``end`` are in seconds. A label is any text;
codes of :data:`serflow.corpus.labels.LABELS` and words for these emotions become codes. ``sex`` or ``gender``, ``age``
in years and ``language`` describe the speaker. Further columns are groups, if they have few values.
"""

import functools
import math
import os
import unicodedata
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path

from serflow.corpus.formats.manifest_table import FIRST_ROW, PERSON, TEXTS, TIMES, read_columns
from serflow.corpus.ids import escape_name, escape_speaker, plain_text
from serflow.corpus.labels import code_of
from serflow.corpus.listing import Entry, FileStatus, Utterance
from serflow.runtime.errors import UserError

TITLE = "manifest"
LONGEST = {"file": 4096, "speaker": 200, "label": 200}  # characters
_SEXES = {"m": "Male", "male": "Male", "man": "Male", "f": "Female", "female": "Female", "woman": "Female"}


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
    columns, groups = read_columns(path)
    first = FIRST_ROW[path.suffix.lower()]
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
    found = {file: _find(path.parent, file) for file in set(files)}
    files = [found[file][0] for file in files]
    status_of = dict(found.values())
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
    stem_of = {file: _stem(file) for file in set(files)}
    clips = [f"{speaker}_{stem_of[file]}{piece}" for speaker, file, piece in zip(speakers, files, pieces, strict=True)]
    refuse_doubles(clips, "clip (file without suffix, start and end in milliseconds)")
    described = _described(columns, groups, fail)
    numbers = range(first, first + len(clips))
    rows = zip(clips, speakers, map(code_of, labels), files, starts, ends, numbers, described, strict=True)
    # Sorted, so that the order of the rows does not matter.
    return [
        Entry(file, Utterance(clip, speaker, None, label, None), status_of[file], None, None, start, end, row, about)
        for clip, speaker, label, file, start, end, row, about in sorted(rows, key=itemgetter(0))
    ]


def _described(columns: dict[str, list], groups: dict[str, list], fail: Callable) -> list[dict]:
    """Return what each row says about its speaker, and its groups as ``group_…``; None where it says nothing."""
    about: dict[str, list] = {f"group_{name}": values for name, values in groups.items()}
    for column, name in PERSON.items():
        if column in columns:
            about[name] = [value or None for value in columns[column]]
    if "sex" in about:
        about["sex"] = [value and _SEXES.get(value.lower(), value) for value in about["sex"]]
    if "age" in about:
        about["age"] = [value and _years(value, row, fail) for row, value in enumerate(about["age"])]
    return [dict(zip(about, values, strict=True)) for values in zip(*about.values(), strict=True)] or [
        {} for _ in columns["file"]
    ]


def _years(value: str, row: int, fail: Callable) -> int:
    try:
        years = float(value)
    except ValueError:
        years = math.nan
    if not 0 <= years <= 150:
        fail(row, "age", f"{value!r} is not a number of years; rename the column to keep it as a group")
    return int(years)


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


def _seconds(values: list, name: str, fail: Callable) -> list[float | None]:
    numbers = []
    for row, value in enumerate(values):
        try:
            number = math.nan if value is None or not str(value).strip() else float(value)
        except (TypeError, ValueError):
            fail(row, name, f"{value!r} is not a number of seconds")
        numbers.append(None if math.isnan(number) else number)
    return numbers


def _find(folder: Path, file: str) -> tuple[str, FileStatus]:
    """Return the name and the status of a file; zeros if it cannot be seen, which reading it will report.

    A name that is composed in another way on the disk than in the table, such as é on a Mac, is found all the same.
    """
    forms = [file] if file.isascii() else [file, *(unicodedata.normalize(form, file) for form in ("NFC", "NFD"))]
    for name in forms:
        try:
            status = os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118 (five times as fast)
        except OSError:
            continue
        return name, FileStatus(status.st_size, status.st_mtime_ns, status.st_ino, status.st_mode)
    return file, FileStatus()


def _stem(file: str) -> str:
    return escape_name(plain_text(os.path.splitext(file)[0]))  # noqa: PTH122 (ten times as fast)
