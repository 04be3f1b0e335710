"""The exception for user errors, and text that is safe to show."""

import difflib
from collections.abc import Iterable


def printable(text: str) -> str:
    r"""Return text with characters that cannot be shown as escapes: ``\n``, ``\u202e``, ``\xff``.

    Parameters
    ----------
    text
        For example the name of a file, which may contain any character, and bytes that are not UTF-8.
    """
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte of a file name that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the most similar known name as the end of a message, or nothing if there is none."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


class UserError(Exception):
    """An error of the user: what is wrong, where, and what to do, in one line. It is shown without a traceback."""

    def __init__(self, message: str):
        super().__init__(printable(message))
