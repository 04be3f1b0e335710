"""Which clips get augmented copies, and with which parameter: drawn per clip, by name.

A draw depends on (seed, clip, purpose) and on nothing else, so the same copies come out for any
number of shards, cores and machines.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

KINDS = ("pitch_shift", "time_stretch")  # the order in which the notebook appends them


class Copy(NamedTuple):
    """One augmented copy: its name, the clip it is made of, how, and with which parameter."""

    clip: str
    origin: str
    kind: str
    parameter: float


def draw(seed: int, clip: str, purpose: str) -> float:
    """Draw a number from [0, 1), the same one for the same (seed, clip, purpose)."""
    digest = hashlib.blake2b(f"{seed}\0{clip}\0{purpose}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def plan_copies(clips: Sequence[str], settings: Mapping) -> list[Copy]:
    """Choose the clips that are copied, and the parameter of each copy.

    Parameters
    ----------
    clips
        Names of the corpus' clips.
    settings
        The section ``augment`` of the configuration: ``seed`` and, for each kind, ``clips``, ``low``
        and ``high``. An integer ``clips`` is an exact number, capped at the corpus' size: the clips
        with the lowest draws. A fraction is the share of clips drawn, each for itself, so that a new
        clip never changes which others are copied.

    Returns
    -------
    list of Copy
        By kind in the order of :data:`KINDS`, then by name.
    """
    plan = []
    for kind in KINDS:
        wanted, low, high = (settings[kind][key] for key in ("clips", "low", "high"))
        draws = {clip: draw(settings["seed"], clip, f"{kind} chosen") for clip in clips}
        if isinstance(wanted, float):
            chosen = [clip for clip in clips if draws[clip] < wanted]
        else:
            chosen = sorted(clips, key=draws.__getitem__)[:wanted]
        for clip in sorted(chosen):
            parameter = low + (high - low) * draw(settings["seed"], clip, f"{kind} parameter")
            plan.append(Copy(f"{clip}.{kind}", clip, kind, parameter))
    return plan
