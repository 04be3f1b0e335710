"""Rows as tables."""

from collections.abc import Mapping, Sequence


def table_of(rows: Sequence[Sequence], schema: Mapping[str, str]):
    """Return rows as a ``pyarrow.Table``.

    Parameters
    ----------
    rows
        Values in the order of the columns, or a mapping of column → value per row; a missing key is null.
    schema
        Column → name of its pyarrow type, such as ``"int64"``.
    """
    from serflow.storage.arrow import pa

    if rows and isinstance(rows[0], Mapping):
        rows = [tuple(row.get(name) for name in schema) for row in rows]
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(column, pa.type_for_alias(kind)) for column, kind in zip(columns, schema.values(), strict=True)]
    return pa.table(arrays, names=list(schema))


def table_of_frame(frame, schema: Mapping[str, str]):
    """Return a ``pandas.DataFrame`` as a ``pyarrow.Table`` with the columns of ``schema``; NaN becomes null."""
    from serflow.storage.arrow import pa

    arrays = [pa.array(frame[name], pa.type_for_alias(kind), from_pandas=True) for name, kind in schema.items()]
    return pa.table(arrays, names=list(schema))
