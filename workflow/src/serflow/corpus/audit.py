"""The audit: which recordings are suspicious, and by which rule.

A flagged clip can be read. Protocols that are not leaky leave out the clips flagged by the rules of
``catalog.audit.exclude``; the protocol ``notebook`` keeps every clip, as the notebook did.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np


def _decibels(value: float) -> float:
    return 20 * np.log10(value) if value > 0 else -np.inf


def _silence(row, limits) -> str | None:
    level = _decibels(row["rms"])
    if level < limits["silence_dbfs"]:
        return f"RMS is {level:.1f} dB of full scale, below {limits['silence_dbfs']:g}"
    return None


def _clipping(row, limits) -> str | None:
    if row["clipped"] > limits["clipped_share"]:
        return f"{row['clipped']:.2%} of the samples are at full scale, above {limits['clipped_share']:.2%}"
    return None


def _dc_offset(row, limits) -> str | None:
    if abs(row["dc_offset"]) > limits["dc_offset"]:
        return f"the mean is {row['dc_offset']:+.4f} of full scale, beyond {limits['dc_offset']:g}"
    return None


def _rate(row, limits) -> str | None:
    return f"{row['rate']} Hz, not {limits['rate']}" if row["rate"] != limits["rate"] else None


def _channels(row, limits) -> str | None:
    return f"{row['channels']} channels, not {limits['channels']}" if row["channels"] != limits["channels"] else None


def _too_short(row, limits) -> str | None:
    if row["duration"] < limits["min_seconds"]:
        return f"{row['duration']:.2f} s, below {limits['min_seconds']:g}"
    return None


def _too_long(row, limits) -> str | None:
    if row["duration"] > limits["max_seconds"]:
        return f"{row['duration']:.2f} s, above {limits['max_seconds']:g}"
    return None


# Rules that look at one recording; each returns what is wrong, or None.
_RULES = {
    "silence": _silence,
    "clipping": _clipping,
    "dc_offset": _dc_offset,
    "rate": _rate,
    "channels": _channels,
    "too_short": _too_short,
    "too_long": _too_long,
}
# The columns of a recording that the rules look at.
AUDITED = ("clip", "emotion", "audio_sha256", "rms", "clipped", "dc_offset", "rate", "channels", "duration")
IDENTICAL = "identical_audio"
RULES = (*_RULES, IDENTICAL)


def audit_clips(rows: Sequence[Mapping], settings: Mapping) -> list[tuple[str, str, str]]:
    """Return what is wrong with the recordings of a corpus.

    Parameters
    ----------
    rows
        One per recording, with the columns :data:`AUDITED`.
    settings
        The section ``catalog.audit`` of the configuration.

    Returns
    -------
    list of (str, str, str)
        Clip, rule and reason; by clip, then in the order of :data:`RULES`. All recordings with identical samples are
        flagged if their emotions differ: at most one of the labels can be right.
    """
    same: dict[str, list[Mapping]] = {}
    for row in rows:
        same.setdefault(row["audio_sha256"], []).append(row)
    found = []
    for row in rows:
        found += [(row["clip"], rule, wrong) for rule, judge in _RULES.items() if (wrong := judge(row, settings))]
        twins = same[row["audio_sha256"]]
        if len({twin["emotion"] for twin in twins}) > 1:
            others = ", ".join(sorted(twin["clip"] for twin in twins if twin["clip"] != row["clip"]))
            found.append((row["clip"], IDENTICAL, f"identical to {others} under another label"))
    return sorted(found, key=lambda flag: (flag[0], RULES.index(flag[1])))


def excluded_clips(found: Sequence[tuple[str, str, str]], settings: Mapping) -> set[str]:
    """Return the flagged clips that protocols leave out unless they are leaky."""
    return {clip for clip, rule, _ in found if rule in settings["exclude"]}


def count_by_rule(found: Sequence[tuple[str, str, str]]) -> dict[str, int]:
    """Count the flagged clips of every rule; rules that flag none count 0."""
    counts = Counter(rule for _, rule, _ in found)
    return {rule: counts[rule] for rule in RULES}
