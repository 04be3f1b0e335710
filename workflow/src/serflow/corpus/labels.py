"""The emotions that corpora share, by the codes used in every table."""

from serflow.corpus.crema_d_names import EMOTIONS


class _Words(dict):
    """Labels that are not known are their own words: a manifest may use any text."""

    def __missing__(self, label: str) -> str:
        return label


LABELS = _Words(EMOTIONS | {"BOR": "boredom", "CAL": "calm", "SUR": "surprise"})
