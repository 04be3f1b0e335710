"""How the page writes numbers."""

import math
from collections.abc import Mapping

from markupsafe import Markup

MISSING = "–"
# An interval over fewer speakers says little, and is shown in grey.
FEW_SPEAKERS = 5


def percent(value: float | None) -> str:
    """Return a share in per cent."""
    return MISSING if value is None or math.isnan(value) else f"{100 * value:.1f}"


def interval(measured: Mapping) -> str:
    """Return a value with its interval, in per cent."""
    if measured["low"] is None:
        return percent(measured["value"])
    return Markup("{} {}").format(percent(measured["value"]), bounds(measured))


def bounds(measured: Mapping) -> str:
    """Return an interval, in per cent."""
    return _shown(measured, f"[{percent(measured['low'])},\u00a0{percent(measured['high'])}]")


def points(measured: Mapping) -> str:
    """Return a difference with its interval, in percentage points."""
    value = f"{100 * measured['value']:+.1f}"
    if measured["low"] is None:
        return value
    ends = _shown(measured, f"[{100 * measured['low']:+.1f},\u00a0{100 * measured['high']:+.1f}]")
    return Markup("{} {}").format(value, ends)


def _shown(measured: Mapping, text: str) -> str:
    if measured["speakers"] >= FEW_SPEAKERS:
        return text
    few = '<span class="few" title="over {} only">{}</span>'
    return Markup(few).format(number_of(measured["speakers"], "speaker"), text)


def method(measured: Mapping) -> str:
    """Return in words how an interval was computed."""
    of = f"{measured['resamples']:,} resamples of {number_of(measured['speakers'], 'speaker')}"
    if measured["method"] == "t":
        return f"Student's t, with the standard deviation of {of}"
    return f"percentiles of {of}, expanded for their number"


def count(value: int | None) -> str:
    """Return a whole number."""
    return MISSING if value is None else f"{value:,}"


def clips(value: int | None, copies: int | None) -> str:
    """Return a number of clips: recordings, and augmented copies of them if there are any."""
    return f"{value - copies:,} + {copies:,}" if copies else count(value)


def clips_of(value: int, copies: int, part: str) -> str:
    """Return the same in words, of a part of the split."""
    if not copies:
        return number_of(value, f"{part} clip")
    return f"{number_of(value - copies, f'{part} recording')} and {number_of(copies, 'copy')}"


def breakable(name: str) -> str:
    """Return a name that can be broken into lines after each underscore."""
    return Markup("_<wbr>").join(name.split("_"))


def number_of(value: int, noun: str) -> str:
    """Return a number of things, such as ``1 clip`` or ``1,440 clips``."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{value:,} {noun if value == 1 else plural}"


FILTERS = {"percent": percent, "interval": interval, "bounds": bounds, "points": points, "count": count}
FILTERS |= {"number_of": number_of, "method": method, "clips": clips, "clips_of": clips_of, "breakable": breakable}
