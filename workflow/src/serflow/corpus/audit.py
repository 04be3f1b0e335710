"""The audit: which recordings are suspicious, and by which rule.

A flagged clip can be read. Protocols that are not leaky leave out the clips flagged by the rules of
``catalog.audit.exclude``; the protocol ``notebook`` keeps every clip, as the notebook did.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

# The columns of a recording that the rules look at.
AUDITED = ("clip", "emotion", "audio_sha256", "rms", "clipped", "dc_offset", "rate", "channels", "duration")
IDENTICAL = "identical_audio"
RULES = ("silence", "clipping", "dc_offset", "rate", "channels", "too_short", "too_long", IDENTICAL)


def _faults(row: Mapping, limits: Mapping) -> Iterator[tuple[str, str]]:
    """Yield rule and reason of whatever is wrong with one recording."""
    level = 20 * math.log10(row["rms"]) if row["rms"] > 0 else -math.inf
    if level < limits["silence_dbfs"]:
        yield "silence", f"RMS is {level:.1f} dB of full scale, below {limits['silence_dbfs']:g}"
    if row["clipped"] > limits["clipped_share"]:
        share = limits["clipped_share"]
        yield "clipping", f"{row['clipped']:.2%} of the samples are at full scale, above {share:.2%}"
    if abs(row["dc_offset"]) > limits["dc_offset"]:
        yield "dc_offset", f"the mean is {row['dc_offset']:+.4f} of full scale, beyond {limits['dc_offset']:g}"
    if row["rate"] != limits["rate"]:
        yield "rate", f"{row['rate']} Hz, not {limits['rate']}"
    if row["channels"] != limits["channels"]:
        yield "channels", f"{row['channels']} channels, not {limits['channels']}"
    if row["duration"] < limits["min_seconds"]:
        yield "too_short", f"{row['duration']:.2f} s, below {limits['min_seconds']:g}"
    if row["duration"] > limits["max_seconds"]:
        yield "too_long", f"{row['duration']:.2f} s, above {limits['max_seconds']:g}"


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
        found += [(row["clip"], *fault) for fault in _faults(row, settings)]
        twins = same[row["audio_sha256"]]
        if len({twin["emotion"] for twin in twins}) > 1:
            others = ", ".join(sorted(twin["clip"] for twin in twins if twin["clip"] != row["clip"]))
            found.append((row["clip"], IDENTICAL, f"identical to {others} under another label"))
    return sorted(found, key=lambda flag: (flag[0], RULES.index(flag[1])))


def excluded_clips(found: Sequence[tuple[str, str, str]], settings: Mapping) -> set[str]:
    """Return the flagged clips that protocols leave out unless they are leaky."""
    return {clip for clip, rule, _ in found if rule in settings["exclude"]}
