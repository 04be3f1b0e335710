"""How the page writes numbers."""

import math
from collections.abc import Mapping

MISSING = "–"


def percent(value: float | None) -> str:
    """Return a share in per cent."""
    return MISSING if value is None or math.isnan(value) else f"{100 * value:.1f}"


def interval(measured: Mapping) -> str:
    """Return a value with its interval, in per cent."""
    return percent(measured["value"]) + ("" if measured["low"] is None else f" {bounds(measured)}")


def bounds(measured: Mapping) -> str:
    """Return an interval, in per cent."""
    return f"[{percent(measured['low'])}, {percent(measured['high'])}]"


def points(measured: Mapping) -> str:
    """Return a difference with its interval, in percentage points."""
    if measured["low"] is None:
        return f"{100 * measured['value']:+.1f}"
    return f"{100 * measured['value']:+.1f} [{100 * measured['low']:+.1f}, {100 * measured['high']:+.1f}]"


def count(value: int | None) -> str:
    """Return a whole number."""
    return MISSING if value is None else f"{value:,}"


def number_of(value: int, noun: str) -> str:
    """Return a number of things, such as ``1 clip`` or ``1,440 clips``."""
    return f"{value:,} {noun}" + ("" if value == 1 else "s")


FILTERS = {"percent": percent, "interval": interval, "bounds": bounds, "points": points, "count": count}
FILTERS["number_of"] = number_of
