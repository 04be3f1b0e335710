"""A split given by the user: a CSV table of clips, with a fold or a part each."""

import csv
from pathlib import Path

from serflow.runtime.errors import UserError

PARTS = ("train", "valid", "test")


def read_custom_split(table: Path) -> list[dict[str, str]]:
    """Read the table that the setting ``split.table`` names.

    Parameters
    ----------
    table
        CSV with the columns ``clip`` and either ``part`` (train, valid or test: one fold) or ``fold``: each fold
        is tested on once, the next one in sorted order is validated on, the others are trained on. Other columns
        are left alone, and a clip of the corpus that is not in the table is not used.

    Returns
    -------
    list of dict
        For each fold, clip name → part.

    Raises
    ------
    UserError
        Naming the table and the row or column, if it is not such a table.
    """
    try:
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
        clip, value = (row["clip"] or "").strip(), (row[kind] or "").strip()
        if not clip or not value:
            raise UserError(f"split.table: {table}, row {number}: {'clip' if not clip else kind} is empty")
        if clip in given:
            raise UserError(f"split.table: {table}, row {number}: {clip} stands in the table twice")
        if kind == "part" and value not in PARTS:
            raise UserError(f"split.table: {table}, row {number}: part is {value!r}, not one of {', '.join(PARTS)}")
        given[clip] = value
    return _by_part(table, given) if kind == "part" else _by_fold(table, given)


def _by_part(table: Path, given: dict[str, str]) -> list[dict[str, str]]:
    missing = [part for part in PARTS if part not in given.values()]
    if missing:
        raise UserError(f"split.table: {table}: no clip has the part {missing[0]}")
    return [given]


def _by_fold(table: Path, given: dict[str, str]) -> list[dict[str, str]]:
    folds = sorted(set(given.values()), key=lambda value: (not value.isdecimal(), value.zfill(9), value))
    if len(folds) < 3:
        raise UserError(
            f"split.table: {table}: {len(folds)} folds; at least three are needed, to test, to validate and to train on"
        )
    following = dict(zip(folds, [*folds[1:], folds[0]], strict=True))
    return [
        {clip: {tested: "test", following[tested]: "valid"}.get(fold, "train") for clip, fold in given.items()}
        for tested in folds
    ]
