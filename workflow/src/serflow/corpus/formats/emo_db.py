"""EMO-DB, the Berlin Database of Emotional Speech: ``03a01Fa``.

Source: Burkhardt, Paeschke, Rolfes, Sendlmeier & Weiss, "A Database of German Emotional Speech", Interspeech 2005, and
the documentation of the corpus. A name is made of speaker, text, first letter of the German word for the emotion, and
version. Ten speakers, ten sentences, 535 recordings. One speaker at a time is tested on, as in Schuller, Vlasenko,
Eyben, Rigoll & Wendemuth, "Acoustic Emotion Recognition: A Benchmark Comparison of Performances", ASRU 2009.
"""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from serflow.corpus.listing import Person, Utterance
from serflow.runtime.errors import UserError

TITLE = "EMO-DB"
LANGUAGE = "de"
# Wut, Langeweile, Ekel, Angst, Freude, Trauer, neutral.
LABELS = {"W": "ANG", "L": "BOR", "E": "DIS", "A": "FEA", "F": "HAP", "T": "SAD", "N": "NEU"}
TEXTS = ("a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10")
PEOPLE = {
    "03": Person(31, "Male"),
    "08": Person(34, "Female"),
    "09": Person(21, "Female"),
    "10": Person(32, "Male"),
    "11": Person(26, "Male"),
    "12": Person(30, "Male"),
    "13": Person(32, "Female"),
    "14": Person(35, "Female"),
    "15": Person(25, "Male"),
    "16": Person(31, "Female"),
}
_NAME = re.compile(r"(?P<speaker>[0-9]{2})(?P<text>[ab][0-9]{2})(?P<emotion>[A-Z])(?P<version>[a-z])?")


def parse(path: str) -> Utterance:
    """Read a path such as ``wav/03a01Fa``."""
    stem = PurePosixPath(path).name
    match = _NAME.fullmatch(stem)
    if match is None:
        raise UserError(f"{stem!r} is not an EMO-DB name: expected speaker, text, emotion and version like 03a01Fa")
    speaker, text, emotion, _ = match.groups()
    for place, code, known in (("speaker", speaker, PEOPLE), ("text", text, TEXTS), ("emotion", emotion, LABELS)):
        if code not in known:
            raise UserError(f"{stem!r} is not an EMO-DB name: {place} {code!r} must be one of {', '.join(known)}")
    return Utterance(f"{speaker}_{stem}", speaker, text, LABELS[emotion], None)


def published_folds(speakers: Sequence[str]) -> list[list[str]]:
    """Return each speaker as a fold; raise ``UserError`` if there are fewer than two."""
    if len(speakers) < 2:
        raise UserError("protocol speaker-independent: needs at least two speakers, found 1; leave it out of runs")
    return [[speaker] for speaker in sorted(speakers)]
