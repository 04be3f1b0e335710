"""The songs of RAVDESS: ``03-02-06-01-02-01-12``; see :mod:`serflow.corpus.formats.ravdess`."""

from serflow.corpus.formats.ravdess import PEOPLE, SONG, describe_other_channel, parse_channel
from serflow.corpus.listing import Utterance

TITLE = "RAVDESS (song)"
LANGUAGE = "en"
__all__ = ["PEOPLE", "describe_excluded", "parse"]


def parse(path: str) -> Utterance:
    """Read a path such as ``Actor_12/03-02-06-01-02-01-12``."""
    return parse_channel(path, SONG)


def describe_excluded(path: str) -> str | None:
    """Return ``"speech"`` for speech."""
    return describe_other_channel(path, SONG)
