"""What a clip's id says: ``SPEAKER_…``, in a union of corpora ``CORPUS:SPEAKER_…``, of a copy ``….KIND``.

No adapter makes an id with another meaning: a speaker has no underscore in it, and no recording's id has a full stop.
"""

_ESCAPES = {"%": "%25", ".": "%2E", "\0": "%00", "\t": "%09", "\n": "%0A", "\r": "%0D"}
_OF_NAMES = str.maketrans(_ESCAPES)
_OF_SPEAKERS = str.maketrans(_ESCAPES | {"_": "%5F"})


def speaker_of(clip: str) -> str:
    """Give the speaker of a clip or a copy; speakers of a union bear their corpus' name before them."""
    return clip.partition("_")[0]


def corpus_of(clip: str) -> str:
    """Give the corpus of a clip, a copy or a speaker of a union."""
    return clip.partition(":")[0]


def of_corpus(name: str, id_: str) -> str:
    """Give the id that a clip or a speaker of a corpus has in a union; alone (an empty name) it keeps its own."""
    return f"{name}:{id_}" if name else id_


def escape_speaker(text: str) -> str:
    """Write any text so that it can be a speaker: what has a meaning in an id becomes ``%`` and two digits."""
    return text.translate(_OF_SPEAKERS)


def escape_name(text: str) -> str:
    """Write any text so that it can follow a speaker in an id."""
    return text.translate(_OF_NAMES)
