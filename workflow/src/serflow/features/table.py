"""Features of your own: a table with a row for each recording."""

import contextlib
import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from serflow.corpus.ids import plain_text
from serflow.runtime.errors import UserError
from serflow.storage import check_regular

READS = "names"
WRITES = "parquet"
TIME = False
FILES = ("path",)
SETTINGS = {
    "path": {
        "description": "null, or the path of a .parquet or .csv file",
        "type": ["string", "null"],
        "maxLength": 4096,
        "pattern": r"^[^\x00]+\.(parquet|csv|PARQUET|CSV)$",
        "default": None,
    },
}
CLIP = "clip"


def check_settings(config: Mapping) -> None:
    """Raise ``UserError`` if no table is named, or it is not there or has no features."""
    if not config["table"]["path"]:
        raise UserError("config: table.path is null; name the table with your features, since a model reads it")
    column_names(config["table"])


def column_names(settings: Mapping) -> list[str]:
    """Return the names of the columns of the table, without that of the clips."""
    path = settings["path"]
    with _reading(path):
        check_regular(path)
        if _is_csv(path):
            with Path(path).open(newline="", encoding="utf-8-sig") as file:
                names = next(csv.reader(file), [])
        else:
            from serflow.storage.arrow import pq

            # pandas adds a column with the numbers of the rows.
            names = [name for name in pq.read_schema(path).names if not name.startswith("__index_level_")]
    if CLIP not in names:
        raise UserError(f"table.path: {path} has no column {CLIP}; it has: {', '.join(names[:20]) or 'none'}")
    if "" in names:
        number = names.index("") + 1
        raise UserError(f"table.path: {path}: column {number} has no name; name it, or remove it if it counts rows")
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"table.path: {path} has two columns {twice[0]}; remove one of them")
    if len(names) == 1:
        raise UserError(f"table.path: {path} has no column but {CLIP}; add the features")
    return [name for name in names if name != CLIP]


def compute(rows: Sequence[str], settings: Mapping, threads: int = 1) -> Iterator[np.ndarray]:
    """Look up recordings by their names; ``threads`` are not used.

    The rows are one batch, float32 of shape (recordings, columns), in the order of :func:`column_names`. Rows of other
    recordings are ignored. ``UserError`` if a recording has no row, or two, if a value of its row is missing or not
    finite, or if a column holds text.
    """
    from pandas.api.types import is_numeric_dtype

    path, names = settings["path"], column_names(settings)
    table = _read(path, names)
    if text := [name for name in names if not is_numeric_dtype(table[name])]:
        more = f" (and {len(text) - 1} more)" if text[1:] else ""
        raise UserError(f"table.path: {path}: the column {text[0]}{more} holds text; remove it, or make it numbers")
    clips = [plain_text(clip) if isinstance(clip, str) else "" for clip in table[CLIP]]
    row_of = {clip: row for row, clip in enumerate(clips)}
    if len(row_of) < len(clips):
        twice = next(clip for row, clip in enumerate(clips) if row_of[clip] != row)
        raise UserError(f"table.path: {path} has two rows of {twice or 'a clip without name'}; remove one of them")
    if missing := [clip for clip in rows if clip not in row_of]:
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise UserError(f"table.path: {path} has no row of {missing[0]}{more}; add them, named as in the corpus")
    wanted = table[names].iloc[[row_of[clip] for clip in rows]]
    with np.errstate(over="ignore"):
        values = wanted.to_numpy(np.float32, na_value=np.nan)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise UserError(
            f"table.path: {path}: {names[column]} of {rows[row]} is empty, NaN or infinite; "
            "give it a number, or remove the column"
        )
    yield values


def _read(path: str, names: Sequence[str]):
    """Return clips and features as a ``pandas.DataFrame``."""
    with _reading(path):
        if _is_csv(path):
            import pandas as pd

            options = {"index_col": False, "low_memory": False, "encoding": "utf-8-sig"}
            return pd.read_csv(path, dtype={CLIP: str}, **options)
        from serflow.storage.arrow import pq

        return pq.read_table(path, columns=[CLIP, *names]).to_pandas(ignore_metadata=True)


@contextlib.contextmanager
def _reading(path: str) -> Iterator[None]:
    """Turn an error while the table is read into a ``UserError`` of one line."""
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"table.path: {path}: no such file; check the path") from error
    except (OSError, ValueError, csv.Error) as error:  # those of pandas and pyarrow are ValueErrors
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise UserError(f"table.path: {path}: not a readable table ({reason})") from error


def _is_csv(path: str) -> bool:
    return Path(path).suffix.lower() == ".csv"
