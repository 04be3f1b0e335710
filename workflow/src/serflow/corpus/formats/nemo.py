"""nEMO: ``samples/EB0_anger_1``.

Source: Christop, "nEMO: Dataset of Emotional Speech in Polish", LREC-COLING 2024, and the corpus' own README and table
of speakers. Nine actors speak 90 sentences in six emotions, 4,481 recordings.
"""

import re
from pathlib import PurePosixPath

from serflow.corpus.listing import Person, Utterance
from serflow.runtime.errors import UserError

TITLE = "nEMO"
LANGUAGE = "pl"
LABELS = {"anger": "ANG", "fear": "FEA", "happiness": "HAP", "neutral": "NEU", "sadness": "SAD", "surprised": "SUR"}
PEOPLE = {
    "EB0": Person(27, "Female"),
    "IC0": Person(28, "Female"),
    "KD0": Person(28, "Female"),
    "KS0": Person(23, "Male"),
    "MK0": Person(23, "Female"),
    "MP0": Person(24, "Male"),
    "SM0": Person(24, "Male"),
    "TP0": Person(26, "Male"),
    "WR0": Person(23, "Male"),
}
SENTENCES = 90
_NAME = re.compile(r"(?P<speaker>[A-Z]{2}\d)_(?P<emotion>[a-z]+)_(?P<sentence>[1-9]\d?)")


def parse(path: str) -> Utterance:
    """Read a path such as ``samples/EB0_anger_1``."""
    stem = PurePosixPath(path).name
    match = _NAME.fullmatch(stem)
    if match is None:
        raise UserError(f"{stem!r} is not a nEMO name: expected speaker, emotion and sentence like EB0_anger_1")
    speaker, emotion, sentence = match.groups()
    for place, code, known in (("speaker", speaker, PEOPLE), ("emotion", emotion, LABELS)):
        if code not in known:
            raise UserError(f"{stem!r} is not a nEMO name: {place} {code!r} must be one of {', '.join(known)}")
    if int(sentence) > SENTENCES:
        raise UserError(f"{stem!r} is not a nEMO name: sentence {sentence} must be one of 1 to {SENTENCES}")
    return Utterance(stem, speaker, sentence, LABELS[emotion], None)
