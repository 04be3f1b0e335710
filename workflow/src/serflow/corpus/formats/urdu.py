"""URDU-Dataset: ``Angry/SM1_F10_A010``.

Source: Latif, Qayyum, Usman & Qadir, "Cross Lingual Speech Emotion Recognition: Urdu vs. Western Languages", FIT 2018,
and the names of the published files. 400 utterances of talk shows by 38 speakers, 27 men (SM) and 11 women (SF). The
number behind F counts the utterances of the speaker in one emotion, the last one those of the emotion.
"""

import re
from pathlib import PurePosixPath

from serflow.corpus.listing import Person, Utterance
from serflow.runtime.errors import UserError

TITLE = "URDU-Dataset"
LANGUAGE = "ur"
LABELS = {"A": "ANG", "H": "HAP", "N": "NEU", "S": "SAD"}
MEN, WOMEN = 27, 11
PEOPLE = {f"SM{number}": Person(None, "Male") for number in range(1, MEN + 1)}
PEOPLE |= {f"SF{number}": Person(None, "Female") for number in range(1, WOMEN + 1)}
_NAME = re.compile(r"(?P<speaker>S[MF][1-9]\d?)_F[1-9]\d?_(?P<emotion>[A-Z])0\d{1,3}")


def parse(path: str) -> Utterance:
    """Read a path such as ``Angry/SM1_F10_A010``."""
    stem = PurePosixPath(path).name
    match = _NAME.fullmatch(stem)
    if match is None:
        raise UserError(f"{stem!r} is not a name of URDU-Dataset: expected speaker, file and emotion like SM1_F10_A010")
    speaker, emotion = match.groups()
    if speaker not in PEOPLE:
        raise UserError(f"{stem!r} is not a name of URDU-Dataset: speakers are SM1 to SM{MEN} and SF1 to SF{WOMEN}")
    if emotion not in LABELS:
        raise UserError(
            f"{stem!r} is not a name of URDU-Dataset: emotion {emotion!r} must be one of {', '.join(LABELS)}"
        )
    return Utterance(stem, speaker, None, LABELS[emotion], None)
