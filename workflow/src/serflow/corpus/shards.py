"""Shards: the parts that a corpus is processed in, each with whole speakers."""

import re
import zlib

_NUMBER = re.compile(r"[0-9]{1,18}\Z")


def shard_names(shards: int) -> list[str]:
    """Return ``s00``, ``s01``, … for a number of shards."""
    return [f"s{index:02d}" for index in range(shards)]


def shard_of(speaker: str, shards: int) -> int:
    """Return the shard of a speaker, which does not depend on the other speakers of the corpus.

    A number at the end of the name, modulo ``shards``, spreads speakers more evenly than a hash. Names without one are
    hashed.
    """
    number = _NUMBER.search(speaker)
    return (int(number[0]) if number else zlib.crc32(speaker.encode())) % shards
