"""The plan of augmented copies: which clips are copied, and with which parameter.

Every random number depends on (seed, clip, purpose) alone, so the plan is the same for any number of shards, cores and
machines.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from serflow.corpus.ids import speaker_of
from serflow.corpus.shards import shard_of

if TYPE_CHECKING:
    import numpy as np

NOTEBOOK = ("pitch_shift", "time_stretch")  # in the order in which the notebook appends them
KINDS = (*NOTEBOOK, "speed")


class Copy(NamedTuple):
    """A copy of the clip ``origin``."""

    clip: str
    origin: str
    kind: str
    parameter: float


PLAN_SCHEMA = {"clip": "string", "origin": "string", "kind": "string", "parameter": "float64"}


def random_number(seed: int, clip: str, purpose: str) -> float:
    """Return a number from [0, 1), the same one for the same (seed, clip, purpose)."""
    digest = hashlib.blake2b(f"{seed}\0{clip}\0{purpose}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def generator_of(*key: object) -> "np.random.Generator":
    """Return a source of random numbers that depends on a key alone, such as (seed, clip, purpose)."""
    import numpy as np

    digest = hashlib.blake2b("\0".join(map(str, key)).encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def plan_copies(clips: Sequence[str], settings: Mapping) -> list[Copy]:
    """Choose the clips that are copied, and the parameter of each copy.

    Parameters
    ----------
    clips
        Names of all clips of the corpus.
    settings
        The section ``augment`` of the configuration: ``seed`` and, for each kind that is wanted, ``clips``, and
        ``low`` and ``high`` or ``rates``, of which each gives a copy.
        An integer ``clips`` is a number of copies, at most one per clip: the clips with the lowest random numbers.
        A fraction is the probability of each clip, so that a new clip never changes which others are copied.

    Returns
    -------
    list of Copy
        By kind in the order of :data:`KINDS`, then by name.
    """
    plan = []
    for kind in (kind for kind in KINDS if kind in settings):
        wanted = settings[kind]["clips"]
        numbers = {clip: random_number(settings["seed"], clip, f"{kind} chosen") for clip in clips}
        if isinstance(wanted, float):
            chosen = [clip for clip in clips if numbers[clip] < wanted]
        else:
            chosen = sorted(clips, key=numbers.__getitem__)[:wanted]
        for clip in sorted(chosen):
            if "rates" in settings[kind]:
                plan += [Copy(f"{clip}.{kind}@{rate:g}", clip, kind, rate) for rate in settings[kind]["rates"]]
            else:
                low, high = settings[kind]["low"], settings[kind]["high"]
                parameter = low + (high - low) * random_number(settings["seed"], clip, f"{kind} parameter")
                plan.append(Copy(f"{clip}.{kind}", clip, kind, parameter))
    return plan


def plan_by_shard(clips: Sequence[str], settings: Mapping, shards: int) -> list[list[Copy]]:
    """Return the plan of :func:`plan_copies` in as many parts as there are shards."""
    parts: list[list[Copy]] = [[] for _ in range(shards)]
    for copy in plan_copies(clips, settings):
        parts[shard_of(speaker_of(copy.origin), shards)].append(copy)
    return parts


def plan_segments(*, indices: Sequence[Path], settings: Mapping, plans: Sequence[Path]) -> None:
    """Write the plan of copies of segments of speech, which are known only when the recordings have been read.

    Parameters
    ----------
    indices
        Indices of :func:`serflow.audio.read_recordings.read_recordings`, of all shards.
    settings
        The section ``augment`` of the configuration.
    plans
        Tables to write, in the order of the shards.
    """
    from serflow import storage

    rows = storage.read_tables(indices).to_pylist()
    clips = [row["clip"] for row in rows if row["problem"] is None]
    for path, part in zip(plans, plan_by_shard(clips, settings, len(plans)), strict=True):
        storage.write_table(path, storage.table_of(part, PLAN_SCHEMA))
