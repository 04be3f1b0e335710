"""The emotions that corpora have in common, by the codes that every table has."""

from serflow.corpus.grammar import EMOTIONS


class _Words(dict):
    """A label that is not known is its own word: those of a manifest are any text."""

    def __missing__(self, label: str) -> str:
        return label


LABELS = _Words(EMOTIONS | {"BOR": "boredom", "CAL": "calm", "SUR": "surprise"})
