"""SAVEE: ``DC/a01`` as published, or ``DC_a01`` as in archives that hold all speakers in one folder.

Source: Haq & Jackson, "Multimodal Emotion Recognition", in W. Wang (ed.), Machine Audition, IGI Global, 2010; and the
corpus' own description. Four men, aged 27 to 31, speak 15 sentences in each of six emotions, 30 neutrally. The number
counts the sentences of one emotion and does not tell the text.
"""

import re

from serflow.corpus.listing import Person, Utterance
from serflow.runtime.errors import UserError

TITLE = "SAVEE"
LANGUAGE = "en"
LABELS = {"a": "ANG", "d": "DIS", "f": "FEA", "h": "HAP", "n": "NEU", "sa": "SAD", "su": "SUR"}
SPEAKERS = ("DC", "JE", "JK", "KL")
PEOPLE = dict.fromkeys(SPEAKERS, Person(None, "Male"))
SENTENCES, NEUTRAL_SENTENCES = 15, 30
_NAME = re.compile(rf"(?:.*/)?(?P<speaker>{'|'.join(SPEAKERS)})[/_](?P<code>[a-z]+)(?P<number>\d\d)")


def parse(path: str) -> Utterance:
    """Read a path such as ``DC/a01``."""
    match = _NAME.fullmatch(path)
    if match is None:
        raise UserError(
            f"{path!r} is not a SAVEE name: expected SPEAKER_EMOTIONNUMBER like DC_a01, or DC/a01, the speaker being "
            f"one of {', '.join(SPEAKERS)}"
        )
    speaker, code, number = match.groups()
    if code not in LABELS:
        raise UserError(f"{path!r} is not a SAVEE name: emotion {code!r} must be one of {', '.join(LABELS)}")
    most = NEUTRAL_SENTENCES if code == "n" else SENTENCES
    if not 1 <= int(number) <= most:
        raise UserError(f"{path!r} is not a SAVEE name: sentence {number} of {code!r} must be one of 01 to {most}")
    return Utterance(f"{speaker}_{code}{number}", speaker, None, LABELS[code], None)
