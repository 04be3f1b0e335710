"""The file-name grammar of CREMA-D: ``ACTOR_SENTENCE_EMOTION_LEVEL``.

Source: Cao et al., IEEE Transactions on Affective Computing 5(4), 2014, and the corpus' README.
"""

import re
import zlib
from typing import NamedTuple

from serflow.runtime.errors import UserError

SENTENCES = {
    "DFA": "Don't forget a jacket.",
    "IEO": "It's eleven o'clock.",
    "IOM": "I'm on my way to the meeting.",
    "ITH": "I think I have a doctor's appointment.",
    "ITS": "I think I've seen this before.",
    "IWL": "I would like a new alarm clock.",
    "IWW": "I wonder what this is about.",
    "MTI": "Maybe tomorrow it will be cold.",
    "TAI": "The airplane is almost full.",
    "TIE": "That is exactly what happened.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}
EMOTIONS = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}

# 1040_ITH_SAD_XX was published as 1040_ITH_SAD_X for a while. CREMA-D's speakers are 1001 to 1091; more digits leave
# room for corpora of its kind with more speakers.
_NAME = re.compile(
    rf"(?P<speaker>1\d{{3,}})_(?P<sentence>{'|'.join(SENTENCES)})_(?P<emotion>{'|'.join(EMOTIONS)})_(?P<level>LO|MD|HI|XX?)"
)
_NUMBER = re.compile(r"[0-9]{1,18}\Z")


class ClipName(NamedTuple):
    """What a file name says of its clip."""

    speaker: str
    sentence: str
    emotion: str
    level: str

    @property
    def clip(self) -> str:
        """The clip's name, which is the file's without its suffix."""
        return "_".join(self)


def parse_name(stem: str) -> ClipName:
    """Read a file name.

    Parameters
    ----------
    stem
        The file's name without folder and suffix, for example ``"1001_IEO_ANG_HI"``.

    Raises
    ------
    UserError
        If it is not of the grammar.
    """
    match = _NAME.fullmatch(stem)
    if match is None:
        raise UserError(f"{stem!r} is not a CREMA-D name: expected ACTOR_SENTENCE_EMOTION_LEVEL like 1001_IEO_ANG_HI")
    level = "XX" if match["level"] == "X" else match["level"]
    return ClipName(match["speaker"], match["sentence"], match["emotion"], level)


def shard_of(speaker: str, shards: int) -> int:
    """Give the shard that holds a speaker: a whole speaker, the same one whatever else the corpus holds.

    Speakers are mostly numbered, and the number modulo ``shards`` spreads them more evenly than a hash does, which is
    for those without a number at the end of their name.
    """
    number = _NUMBER.search(speaker)
    return (int(number[0]) if number else zlib.crc32(speaker.encode())) % shards


def shard_names(shards: int) -> list[str]:
    """Give ``s00``, ``s01``, … for a number of shards."""
    return [f"s{index:02d}" for index in range(shards)]
