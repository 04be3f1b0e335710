"""The songs of RAVDESS: ``03-02-06-01-02-01-12``; see :mod:`serflow.corpus.formats.ravdess`."""

from serflow.corpus.formats.ravdess import SONG, make_format

FORMAT = make_format(SONG)
