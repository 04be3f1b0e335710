"""The file names of CREMA-D: ``ACTOR_SENTENCE_EMOTION_LEVEL``.

Source: Cao et al., IEEE Transactions on Affective Computing 5(4), 2014, and the corpus' README.
"""

import re
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
VOTES = [f"votes_{emotion}" for emotion in sorted(EMOTIONS)]  # columns of the catalogue

# 1040_ITH_SAD_XX was published as 1040_ITH_SAD_X for a while. Speakers are 1001 to 1091; more digits leave room for
# larger corpora with such names.
_NAME = re.compile(
    rf"(?P<speaker>1\d{{3,}})_(?P<sentence>{'|'.join(SENTENCES)})_(?P<emotion>{'|'.join(EMOTIONS)})_(?P<level>LO|MD|HI|XX?)"
)


class ClipName(NamedTuple):
    """What a file name says about its clip."""

    speaker: str
    sentence: str
    emotion: str
    level: str

    @property
    def clip(self) -> str:
        """Name of the clip: the file name without its suffix."""
        return "_".join(self)


def parse_name(stem: str) -> ClipName:
    """Return what a file name without suffix, such as ``"1001_IEO_ANG_HI"``, says; else raise ``UserError``."""
    match = _NAME.fullmatch(stem)
    if match is None:
        raise UserError(f"{stem!r} is not a CREMA-D name: expected ACTOR_SENTENCE_EMOTION_LEVEL like 1001_IEO_ANG_HI")
    level = "XX" if match["level"] == "X" else match["level"]
    return ClipName(match["speaker"], match["sentence"], match["emotion"], level)
