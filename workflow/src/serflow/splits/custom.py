"""A split given by the user: a CSV table of clips with a fold or a part each."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from serflow.corpus.ids import plain_text
from serflow.runtime.errors import UserError
from serflow.splits import PARTS, Row
from serflow.splits.folds import rows_of_fold, with_validation
from serflow.storage import check_regular

TITLE = "the split of your own table"
ORDER = 4
SETTINGS = ("table", "valid", "random_state")


def count_folds(speakers: Sequence[str], formats: Mapping[str, str], settings: Mapping) -> int:
    """Count the folds of the table."""
    if not settings["table"]:
        raise UserError("protocol custom: set split.table to the CSV with your split")
    return len(read_table(settings["table"]))


def split(labels: Mapping[str, str], copies: Sequence[tuple[str, str]], settings: Mapping) -> list[Row]:
    """Split as the table says; copies of training clips only.

    Where no clip of a fold is to validate on, a fifth of its training speakers do, or a share of the clips of a single
    one.
    """
    folds = read_table(settings["table"])
    unknown = sorted(set(folds[0]) - set(settings["usable"]))
    if unknown:
        more = f" (and {len(unknown) - 1} more)" if unknown[1:] else ""
        raise UserError(f"split.table: {settings['table']}: {unknown[0]}{more} is not a usable clip of the corpus")
    rows = []
    for fold, given in enumerate(folds):
        parts = {clip: part for clip, part in sorted(given.items()) if clip in labels}
        if "valid" not in given.values():
            parts = with_validation(parts, labels, settings)
        rows += rows_of_fold("custom", fold, parts, labels, copies)
    return rows


def read_table(table: str | Path) -> list[dict[str, str]]:
    """Read the table of the setting ``split.table``.

    Parameters
    ----------
    table
        CSV with the columns ``clip`` and either ``part`` (train, valid or test: one fold; valid may be missing) or
        ``fold``: each fold is tested on once, the next one in sorted order validates, and the others are trained on; of
        two folds one is tested on and the other trained on. Other columns are ignored, and clips that are not in the
        table are not used.

    Returns
    -------
    list of dict
        Clip → part of each fold.

    Raises
    ------
    UserError
        With the table and the row or column that is wrong.
    """
    try:
        check_regular(table)
        with Path(table).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), reader.fieldnames or []
    except FileNotFoundError as error:
        raise UserError(f"split.table: {table}: no such file") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"split.table: {table}: not a readable CSV table ({error})") from error
    kinds = [name for name in ("fold", "part") if name in columns]
    if "clip" not in columns or len(kinds) != 1:
        raise UserError(
            f"split.table: {table}: needs the columns clip and either fold or part, has: {', '.join(columns) or 'none'}"
        )
    (kind,) = kinds
    given: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        clip, value = plain_text(row["clip"] or ""), plain_text(row[kind] or "")
        if not clip or not value:
            raise UserError(f"split.table: {table}, row {number}: {'clip' if not clip else kind} is empty")
        if clip in given:
            raise UserError(f"split.table: {table}, row {number}: {clip} is in the table twice")
        if kind == "part" and value not in PARTS:
            raise UserError(f"split.table: {table}, row {number}: part is {value!r}, not one of {', '.join(PARTS)}")
        given[clip] = value
    if kind == "part":
        if missing := [part for part in ("train", "test") if part not in given.values()]:
            raise UserError(f"split.table: {table}: no clip has the part {missing[0]}")
        return [given]
    folds = sorted(set(given.values()), key=lambda value: (not value.isdecimal(), value.zfill(9), value))
    if len(folds) < 2:
        raise UserError(f"split.table: {table}: one fold alone; at least two are needed, to test and to train on")
    following = dict(zip(folds, [*folds[1:], folds[0]], strict=True)) if folds[2:] else dict.fromkeys(folds)
    return [
        {clip: {tested: "test", following[tested]: "valid"}.get(fold, "train") for clip, fold in given.items()}
        for tested in folds
    ]
