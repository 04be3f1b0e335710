"""The audit: which recordings are suspicious, and by which rule.

A flagged clip can be read. Protocols that are not leaky leave out the clips flagged by the rules of
``catalog.audit.exclude``; the protocol ``notebook`` keeps every clip, as the notebook did.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from serflow.runtime.errors import UserError

# The columns of a recording that the rules look at.
AUDITED = ("clip", "emotion", "corpus", "audio_sha256", "loudest_rms", "clipped", "dc_offset", "rate", "channels")
AUDITED += ("duration",)
IDENTICAL = "identical_audio"
RULES = ("digital_silence", "silence", "clipping", "dc_offset", "rate", "channels", "too_short", "too_long", IDENTICAL)
ONE_STEP = 2**-15  # of 16-bit audio, in full scale
MOST_LOST = 0.5  # share of the clips of a label: if the audit leaves out more, its rules do not suit the corpus


def _is_silent(row: Mapping) -> bool:
    """Return whether nothing can be heard; channels of opposite sign cancel each other but for rounding."""
    return row["loudest_rms"] < ONE_STEP


def _faults(row: Mapping, limits: Mapping) -> Iterator[tuple[str, str]]:
    """Yield rule and reason of whatever is wrong with one recording."""
    if _is_silent(row):
        yield "digital_silence", "the mix of its channels is zeros, or less than one step of 16-bit audio"
    elif (level := 20 * math.log10(row["loudest_rms"])) < limits["silence_dbfs"]:
        yield "silence", f"the loudest second has {level:.1f} dB of full scale, below {limits['silence_dbfs']:g}"
    if row["clipped"] > limits["clipped_share"]:
        share = limits["clipped_share"]
        yield "clipping", f"{row['clipped']:.2%} of the samples are at full scale, above {share:.2%}"
    if abs(row["dc_offset"]) > limits["dc_offset"]:
        mean = f"the mean is {row['dc_offset']:+.4f} of full scale, beyond {limits['dc_offset']:g}"
        yield "dc_offset", f"{mean}; remove_dc: true subtracts it"
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
        flagged if their emotions differ, unless they are silent: at most one of the labels can be right.
    """
    same: dict[str, list[Mapping]] = {}
    for row in rows:
        same.setdefault(row["audio_sha256"], []).append(row)
    found = []
    for row in rows:
        found += [(row["clip"], *fault) for fault in _faults(row, settings)]
        twins = same[row["audio_sha256"]]
        if not _is_silent(row) and len({twin["emotion"] for twin in twins}) > 1:
            others = ", ".join(sorted(twin["clip"] for twin in twins if twin["clip"] != row["clip"]))
            found.append((row["clip"], IDENTICAL, f"identical to {others} under another label"))
    return sorted(found, key=lambda flag: (flag[0], RULES.index(flag[1])))


def excluded_clips(found: Sequence[tuple[str, str, str]], settings: Mapping) -> set[str]:
    """Return the flagged clips that protocols leave out unless they are leaky."""
    return {clip for clip, rule, _ in found if rule in settings["exclude"]}


def count_by_rule(found: Sequence[tuple[str, str, str]], clips: Collection[str]) -> Counter:
    """Return how many of some clips each rule flags, the rules in the order of :data:`RULES`."""
    flagged = Counter(rule for clip, rule, _ in found if clip in clips)
    return Counter({rule: flagged[rule] for rule in RULES if flagged[rule]})


def refuse_losses(rows: Sequence[Mapping], found: Sequence[tuple[str, str, str]], settings: Mapping) -> None:
    """Refuse an audit that leaves out more than half of the clips of a label.

    Parameters
    ----------
    rows
        The recordings, as for :func:`audit_clips`.
    found
        What is wrong with them.
    settings
        The section ``catalog.audit`` of the configuration.

    Raises
    ------
    UserError
        With the label that loses most, and the rules that leave its clips out.
    """
    lost = excluded_clips(found, settings)
    by_label: dict[tuple, list[str]] = {}
    for row in rows:
        by_label.setdefault((row["corpus"], row["emotion"]), []).append(row["clip"])
    shares = {key: sum(clip in lost for clip in clips) / len(clips) for key, clips in by_label.items()}
    worst = max(shares, key=shares.__getitem__, default=None)
    if worst is None or shares[worst] <= MOST_LOST:
        return
    if all(share == 1 for share in shares.values()):
        clips, whose = [row["clip"] for row in rows], ""
    else:
        clips, whose = by_label[worst], f" of {worst[1]}" + (f" in {worst[0]}" if worst[0] else "")
    rules = [item for item in found if item[1] in settings["exclude"]]
    counts = ", ".join(f"{rule} {count}" for rule, count in count_by_rule(rules, set(clips)).items())
    raise UserError(
        f"the audit leaves out {len(lost & set(clips)):,} of {len(clips):,} clips{whose} ({counts}); take the rule out "
        "of catalog.audit.exclude, change its threshold, or leave the label out with labels.keep"
    )
