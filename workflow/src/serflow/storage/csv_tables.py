"""CSV, and TSV by the suffix, whose text a spreadsheet program does not take for formulas.

A text that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line break gets a single quote before it. So does one
that begins with quotes and then one of these, so that reading can remove the quote again. Numbers stay as they are.

Source: OWASP, "CSV Injection", https://owasp.org/www-community/attacks/CSV_Injection.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TextIO

from serflow.storage.files import readable, replacing

_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")  # the last four are wide characters


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[Sequence]) -> None:
    """Write a table; None is empty."""
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        stream_csv(stream, columns, rows, _separator(path))


def stream_csv(stream: TextIO, columns: Sequence[str], rows: Iterable[Sequence], separator: str = ",") -> None:
    """Write a table to a stream, row by row."""
    # A carriage return in a text is quoted only where it also ends lines.
    lines = SimpleNamespace(write=lambda line: stream.write(line.removesuffix("\r\n") + "\n"))
    writer = csv.writer(lines, delimiter=separator, lineterminator="\r\n")
    writer.writerow(map(_guarded, columns))
    writer.writerows(map(_guarded, row) for row in rows)


def read_csv(path: str | Path) -> list[dict[str, str]]:
    """Read a file of :func:`write_csv`: the rows, with text as it was before it was guarded."""
    with readable(path, "not a readable table", csv.Error), Path(path).open(encoding="utf-8", newline="") as file:
        columns, *rows = csv.reader(file, delimiter=_separator(path), strict=True)
        return [dict(zip(columns, map(_unguarded, row), strict=True)) for row in rows]


def _separator(path: str | Path) -> str:
    return "\t" if Path(path).suffix == ".tsv" else ","


def _guarded(value):
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def _unguarded(text: str) -> str:
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
