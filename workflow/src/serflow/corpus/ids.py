"""Names of clips: ``SPEAKER_…``, in a union of corpora ``CORPUS:SPEAKER_…``, of a copy ``….KIND``.

Several copies of one kind are ``….KIND@PARAMETER``.

Formats keep these separators free: a speaker contains no underscore, and the name of a recording no full stop.
"""

import unicodedata

_ESCAPES = {"%": "%25", ".": "%2E", "\0": "%00", "\t": "%09", "\n": "%0A", "\r": "%0D"}
_OF_NAMES = str.maketrans(_ESCAPES)
_OF_SPEAKERS = str.maketrans(_ESCAPES | {"_": "%5F"})


def speaker_of(clip: str) -> str:
    """Return the speaker of a clip or a copy; in a union it begins with the name of the corpus."""
    return clip.partition("_")[0]


def corpus_of(clip: str) -> str:
    """Return the corpus of a clip, copy or speaker of a union."""
    return clip.partition(":")[0]


def of_corpus(name: str, id_: str) -> str:
    """Return the name of a clip or speaker in a union; in a single corpus (empty ``name``) it stays as it is."""
    return f"{name}:{id_}" if name else id_


def copy_kind(clip: str, origin: str) -> str | None:
    """Return the kind of a copy of the recording ``origin``; None for the recording itself."""
    return None if clip == origin else clip.removeprefix(f"{origin}.").partition("@")[0]


def is_copy(clip: str) -> bool:
    """Return whether a clip is a copy, by its name."""
    return "." in clip


def escape_speaker(text: str) -> str:
    """Return any text as a valid speaker: separators become ``%`` and two digits."""
    return text.translate(_OF_SPEAKERS)


def escape_name(text: str) -> str:
    """Return any text as a valid rest of a clip name."""
    return text.translate(_OF_NAMES)


def plain_text(text: str) -> str:
    """Return a name as it is seen: in the normal form NFC, without invisible format characters and space around it.

    Zero-width spaces, byte-order marks and the like, and letters that are composed in two ways, would make one speaker
    or label two.
    """
    if text.isascii():
        return text.strip()
    seen = "".join(character for character in text if unicodedata.category(character) != "Cf")
    return unicodedata.normalize("NFC", seen).strip()
