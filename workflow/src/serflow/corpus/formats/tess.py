"""TESS: ``OAF_back_angry``, in ``OAF_angry/``.

Source: Pichora-Fuller & Dupuis, "Toronto emotional speech set (TESS)", Scholars Portal Dataverse, 2020, doi
10.5683/SP2/E8H2MF. A woman of 64 (OAF) and one of 26 (YAF) say "Say the word …" with 200 words. ``ps`` is pleasant
surprise. One file was published as ``OA_bite_neutral``; copies of the corpus differ in upper and lower case.
"""

import re
from pathlib import PurePosixPath

from serflow.corpus.listing import Person, Utterance
from serflow.runtime.errors import UserError

TITLE = "TESS"
LANGUAGE = "en"
LABELS = {"angry": "ANG", "disgust": "DIS", "fear": "FEA", "happy": "HAP", "neutral": "NEU", "ps": "SUR", "sad": "SAD"}
PEOPLE = {"OAF": Person(64, "Female"), "YAF": Person(26, "Female")}
_SPEAKERS = {"OAF": "OAF", "OA": "OAF", "YAF": "YAF"}
_NAME = re.compile(r"(?P<speaker>[^_]+)_(?P<word>[a-z]+)_(?P<emotion>[^_]+)", re.IGNORECASE)


def parse(path: str) -> Utterance:
    """Read a path such as ``OAF_angry/OAF_back_angry``."""
    stem = PurePosixPath(path).name
    match = _NAME.fullmatch(stem)
    if match is None:
        raise UserError(f"{stem!r} is not a TESS name: expected SPEAKER_WORD_EMOTION like OAF_back_angry")
    speaker, word, emotion = match["speaker"].upper(), match["word"].lower(), match["emotion"].lower()
    if speaker not in _SPEAKERS:
        raise UserError(f"{stem!r} is not a TESS name: speaker {match['speaker']!r} must be OAF or YAF")
    if emotion not in LABELS:
        raise UserError(f"{stem!r} is not a TESS name: emotion {match['emotion']!r} must be one of {', '.join(LABELS)}")
    speaker = _SPEAKERS[speaker]
    return Utterance(f"{speaker}_{word}_{emotion}", speaker, word, LABELS[emotion], None)
