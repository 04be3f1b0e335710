"""The emotions that corpora share, by the codes used in every table, and the labels that the configuration uses."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from serflow.corpus.crema_d_names import EMOTIONS
from serflow.runtime.errors import UserError, did_you_mean


class _Words(dict):
    """Labels that are not known are their own words: a manifest may use any text."""

    def __missing__(self, label: str) -> str:
        return label


LABELS = _Words(EMOTIONS | {"BOR": "boredom", "CAL": "calm", "SUR": "surprise"})
# Other words for them, in lower case.
_OTHER_WORDS = {"ANG": "angry", "BOR": "bored", "DIS": "disgusted", "FEA": "fearful", "HAP": "happiness"}
_OTHER_WORDS |= {"SAD": "sadness", "SUR": "surprised"}
_CODES = {word.lower(): code for code, word in (*LABELS.items(), *_OTHER_WORDS.items())}
_CODES |= {code.lower(): code for code in LABELS}


def code_of(label: str) -> str:
    """Return the code of an emotion for its code or a word for it, in capitals or not; other labels as they are."""
    return _CODES.get(label.lower(), label)


def labels_by_code(settings: Mapping) -> dict:
    """Return the section ``labels`` of the configuration with codes in place of words for known emotions."""
    read = dict(settings)
    if "map" in read:
        read["map"] = {code_of(str(label)): code_of(other) for label, other in read["map"].items()}
    if read.get("keep"):
        read["keep"] = [code_of(label) for label in read["keep"]]
    if "corpora" in read:
        read["corpora"] = {corpus: labels_by_code(own) for corpus, own in read["corpora"].items()}
    return read


def used_label(label: str, corpus: str | None, settings: Mapping) -> str | None:
    """Return what a label of a corpus is used as, or None if its clips are left out.

    Parameters
    ----------
    label
        The label as the corpus has it.
    corpus
        Name of the corpus in a union; None for a single corpus.
    settings
        The section ``labels`` of the configuration: ``map``, ``keep``, and ``corpora`` with the ``map`` and ``keep`` of
        single corpora. Their ``map`` goes before the common one; a label must be in both ``keep`` that are given.
    """
    label = _mapped(label, corpus, settings)
    keeps = (settings["keep"], settings["corpora"].get(corpus, {}).get("keep"))
    return label if all(keep is None or label in keep for keep in keeps) else None


def _mapped(label: str, corpus: str | None, settings: Mapping) -> str:
    own = settings["corpora"].get(corpus, {}).get("map", {})
    return own.get(label, settings["map"].get(label, label))


def with_used_labels(rows: Iterable[Mapping], settings: Mapping) -> list[dict]:
    """Return the rows of recordings with the label that is used as ``emotion``, without those that are left out."""
    used = [{**row, "emotion": used_label(row["emotion"], row["corpus"], settings)} for row in rows]
    return [row for row in used if row["emotion"] is not None]


def count_labels(rows: Iterable[Mapping], settings: Mapping) -> list[dict]:
    """Return a row for each label of each corpus: ``corpus``, ``label``, ``used_as`` (None if left out), ``clips``."""
    counts = Counter((row["corpus"], row["emotion"]) for row in rows)
    return [
        {"corpus": corpus, "label": label, "used_as": used_label(label, corpus, settings), "clips": count}
        for (corpus, label), count in sorted(counts.items(), key=lambda item: (item[0][0] or "", item[0][1]))
    ]


def check_labels(found: Iterable[tuple[str | None, str]], settings: Mapping) -> None:
    """Check the section ``labels`` against the labels of a corpus.

    Parameters
    ----------
    found
        Corpus (None for a single one) and label of its clips.
    settings
        The section ``labels`` of the configuration.

    Raises
    ------
    UserError
        If it names a label or a corpus that there is not, or leaves fewer than two labels.
    """
    found = set(found)
    corpora = sorted({corpus for corpus, _ in found if corpus})
    for name in settings["corpora"]:
        if name not in corpora:
            known = ", ".join(corpora) or "one without a name, for which labels.map and labels.keep are enough"
            raise UserError(f"config: labels.corpora has {name!r}, but the corpora are: {known}")
    for name, own in ((None, settings), *settings["corpora"].items()):
        where = f"labels.corpora.{name}" if name else "labels"
        pairs = [(corpus, label) for corpus, label in found if name in (None, corpus)]
        _check_known(f"{where}.map", own.get("map", {}), [label for _, label in pairs])
        _check_known(
            f"{where}.keep", own.get("keep") or (), [_mapped(label, corpus, settings) for corpus, label in pairs]
        )
    used = {used_label(label, corpus, settings) for corpus, label in found} - {None}
    asked = settings["map"] or settings["keep"] or settings["corpora"]
    if asked and len(used) < 2:
        raise UserError(f"config: labels leaves {', '.join(sorted(used)) or 'no label'}; a model needs two labels")


def _check_known(where: str, named: Iterable[str], known: Sequence[str]) -> None:
    known = sorted(set(known))
    for label in named:
        if label not in known:
            raise UserError(
                f"config: {where} has {label!r}, but the labels are {', '.join(known)}{did_you_mean(label, known)}"
            )
