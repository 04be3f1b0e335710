"""How the page writes numbers."""

import math
from collections.abc import Mapping


def percent(value: str | float | None) -> str:
    """Write a share in per cent."""
    if value is None or value == "" or math.isnan(float(value)):
        return "–"
    return f"{100 * float(value):.1f}"


def interval(found: Mapping) -> str:
    """Write a figure with its interval, in per cent."""
    if found["low"] is None:
        return percent(found["value"])
    return f"{percent(found['value'])} {bounds(found)}"


def bounds(found: Mapping) -> str:
    """Write an interval, in per cent."""
    return f"[{percent(found['low'])}, {percent(found['high'])}]"


def points(found: Mapping) -> str:
    """Write a difference with its interval, in points of per cent."""
    if found["low"] is None:
        return f"{100 * found['value']:+.1f}"
    return f"{100 * found['value']:+.1f} [{100 * found['low']:+.1f}, {100 * found['high']:+.1f}]"


def count(value: str | float | None) -> str:
    """Write a whole number."""
    return "–" if value in (None, "") else f"{int(value):,}"


FILTERS = {"percent": percent, "interval": interval, "bounds": bounds, "points": points, "count": count}
