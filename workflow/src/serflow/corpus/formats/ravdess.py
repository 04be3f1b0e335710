"""RAVDESS: ``03-01-06-01-02-01-12``, in ``Actor_12/``; speech only.

Source: Livingstone & Russo, "The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS)", PLoS ONE 13(5),
2018, doi 10.1371/journal.pone.0196391. 24 speakers, of whom odd numbers are men and even ones women; their ages are
published as a range only. 1,440 recordings of speech; the 1,012 of song are the format ``ravdess-song``.
"""

from pathlib import PurePosixPath

from serflow.corpus.listing import Person, Utterance
from serflow.runtime.errors import UserError

TITLE = "RAVDESS"
LANGUAGE = "en"
SPEECH, SONG = "01", "02"
LABELS = {"01": "NEU", "02": "CAL", "03": "HAP", "04": "SAD", "05": "ANG", "06": "FEA", "07": "DIS", "08": "SUR"}
LEVELS = {"01": "normal", "02": "strong"}
STATEMENTS = {"01": "kids", "02": "dogs"}  # Kids are talking by the door. Dogs are sitting by the door.
SPEAKERS = [f"{number:02d}" for number in range(1, 25)]
PEOPLE = {speaker: Person(None, "Male" if int(speaker) % 2 else "Female") for speaker in SPEAKERS}
# The parts of a name and their codes.
_PLACES = {
    "modality": ("03",),
    "channel": (SPEECH, SONG),
    "emotion": tuple(LABELS),
    "intensity": tuple(LEVELS),
    "statement": tuple(STATEMENTS),
    "repetition": ("01", "02"),
    "speaker": tuple(SPEAKERS),
}
_CHANNELS = {SPEECH: "speech", SONG: "song"}
_UNSUNG = ("07", "08")  # nobody sang disgust and surprise


def parse_channel(path: str, channel: str) -> Utterance:
    """Read a path such as ``Actor_12/03-01-06-01-02-01-12`` of a vocal channel (:data:`SPEECH` or :data:`SONG`)."""
    stem = PurePosixPath(path).name
    codes = stem.split("-")
    wrong = f"{stem!r} is not a RAVDESS name: "
    if len(codes) != len(_PLACES):
        raise UserError(
            f"{wrong}expected MODALITY-CHANNEL-EMOTION-INTENSITY-STATEMENT-REPETITION-ACTOR like "
            f"03-{channel}-06-01-02-01-12"
        )
    for (place, known), code in zip(_PLACES.items(), codes, strict=True):
        if code not in known:
            allowed = known[0] if not known[1:] else f"one of {known[0]} to {known[-1]}"
            raise UserError(f"{wrong}{place} {code!r} must be {allowed}")
    _, _, emotion, intensity, statement, _, speaker = codes
    if (emotion, intensity) == ("01", "02"):
        raise UserError(f"{wrong}neutral (emotion 01) has no strong intensity (02)")
    if channel == SONG and emotion in _UNSUNG:
        raise UserError(f"{wrong}song has no emotion {emotion}")
    return Utterance(f"{speaker}_{stem}", speaker, STATEMENTS[statement], LABELS[emotion], LEVELS[intensity])


def describe_other_channel(path: str, channel: str) -> str | None:
    """Return what a recording of another vocal channel is."""
    codes = PurePosixPath(path).name.split("-")
    return _CHANNELS.get(codes[1]) if len(codes) == len(_PLACES) and codes[1] != channel else None


def parse(path: str) -> Utterance:
    """Read a path such as ``Actor_12/03-01-06-01-02-01-12``."""
    return parse_channel(path, SPEECH)


def describe_excluded(path: str) -> str | None:
    """Return ``"song"`` for a song."""
    return describe_other_channel(path, SPEECH)
