"""The one exception that a user's mistake raises, and text that is safe to show."""

import difflib
from collections.abc import Iterable


def printable(text: str) -> str:
    r"""Write what no terminal, table or page can show as an escape: ``\n``, ``\u202e``, ``\xff``.

    Parameters
    ----------
    text
        For example a file's name, which may hold any character, and bytes that are not UTF-8.
    """
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # how Python holds a byte of a file's name that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Give the known name that is most like one that is not known, as the end of a message; nothing if none is."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


class UserError(Exception):
    """What is wrong, where, and what to do, in one printable line; shown without a traceback."""

    def __init__(self, message: str):
        super().__init__(printable(message))
