"""Pieces of one file that overlap: for a split they are one recording."""

import math
from collections.abc import Iterable, Mapping


def find_overlaps(rows: Iterable[Mapping]) -> dict[str, str]:
    """Return which pieces of a file overlap.

    Parameters
    ----------
    rows
        Recordings with ``clip``, ``sha256`` of the file, ``start`` and ``end`` in seconds or None. Two files with the
        same bytes count as one.

    Returns
    -------
    dict
        Clip → the earliest of the clips that it overlaps, directly or by way of others. Clips that overlap none are
        left out.
    """
    of_file: dict[str, list[tuple[float, float, str]]] = {}
    for row in rows:
        end = math.inf if row["end"] is None else row["end"]
        of_file.setdefault(row["sha256"], []).append((row["start"] or 0.0, end, row["clip"]))
    found: dict[str, str] = {}
    for pieces in of_file.values():
        (_, reached, first), *others = sorted(pieces)
        for start, end, clip in others:
            if start < reached:
                found[first] = found[clip] = first
            else:
                first = clip
            reached = max(reached, end)
    return found
