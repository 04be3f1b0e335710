"""Reading the table of a manifest: CSV, TSV or Parquet, column by column."""

import csv
from pathlib import Path

from serflow.corpus.ids import plain_text
from serflow.runtime.errors import UserError
from serflow.storage import check_regular

TEXTS = ("file", "speaker", "label")
TIMES = ("start", "end")
PERSON = {"sex": "sex", "gender": "sex", "age": "age", "language": "language"}  # column → column of the catalogue
FIRST_ROW = {".csv": 2, ".tsv": 2, ".parquet": 1}  # its number: the header of a text table is row 1
MOST_GROUPS = 100  # different values of a further column; with more it is no grouping, such as a transcript
_SEPARATORS = {".csv": ",", ".tsv": "\t"}


def read_columns(path: Path) -> tuple[dict[str, list], dict[str, list]]:
    """Read a manifest.

    Returns
    -------
    columns : dict
        Of :data:`TEXTS`, :data:`TIMES` and :data:`PERSON`, as far as the table has them: text without nulls, and times
        as they are. Names of speakers and labels are :func:`~serflow.corpus.ids.plain_text`.
    groups : dict
        The further columns with at most :data:`MOST_GROUPS` different values, as text or None.

    Raises
    ------
    UserError
        If it is no such table, or lacks a column.
    """
    import pyarrow.compute as pc
    import pyarrow.csv

    from serflow.storage.arrow import pa, pq

    kind = path.suffix.lower()
    if kind not in FIRST_ROW:
        raise UserError(f"audio: {path}: a manifest is a table in a .csv, .tsv or .parquet file")
    try:
        check_regular(path)
        if kind == ".parquet":
            names = pq.read_schema(path).names
        else:
            with path.open(newline="", encoding="utf-8-sig") as file:
                names = next(csv.reader(file, delimiter=_SEPARATORS[kind]), [])
        if missing := [name for name in TEXTS if name not in names]:
            raise UserError(f"audio: {path} has no column {missing[0]}; it has: {', '.join(names) or 'none'}")
        wanted = list(filter(None, dict.fromkeys(names)))
        if twice := [name for name in wanted if names.count(name) > 1]:
            raise UserError(f"audio: {path} has two columns {twice[0]}; remove one of them")
        if {"sex", "gender"} <= set(names):
            raise UserError(f"audio: {path} has the columns sex and gender; remove one of them")
        if kind == ".parquet":
            table = pq.ParquetFile(path).read(columns=wanted)
        else:
            types = dict.fromkeys(wanted, pa.string())
            options = pyarrow.csv.ConvertOptions(include_columns=wanted, column_types=types)
            parsing = pyarrow.csv.ParseOptions(delimiter=_SEPARATORS[kind], newlines_in_values=True)
            table = pyarrow.csv.read_csv(path, convert_options=options, parse_options=parsing)

        def text(name: str):
            column = table[name]
            if pa.types.is_floating(column.type):  # how pandas keeps a gap in a column of numbers
                column = pc.if_else(pc.is_nan(column), None, column)
            return pc.fill_null(pc.cast(column, pa.string()), "")

        columns = {name: text(name).to_pylist() for name in (*TEXTS, *PERSON) if name in names}
        columns |= {name: table[name].to_pylist() for name in TIMES if name in names}
        rest = [name for name in wanted if name not in columns and not pa.types.is_nested(table[name].type)]
        few = [name for name in rest if pc.count_distinct(table[name], mode="only_valid").as_py() <= MOST_GROUPS]
        groups = {name: text(name).to_pylist() for name in few}
    except FileNotFoundError as error:
        raise UserError(f"audio: {path}: no such file; check the path") from error
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"audio: {path}: not a readable table of recordings ({reason})") from error
    for name in columns.keys() - {"file", *TIMES}:
        columns[name] = list(map(plain_text, columns[name]))
    return columns, {name: [plain_text(value) or None for value in values] for name, values in groups.items()}
