"""The check before training: a run must not know anything that it is tested on."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from serflow.corpus.ids import corpus_of, speaker_of
from serflow.runtime.errors import UserError

_SHOWN = 6


def check_leaks(
    protocol: str,
    rows: Sequence[tuple[str, str, int, str, str]],
    digests: Mapping[str, str],
    *,
    apart: Collection[str] = (),
    overlaps: Mapping[str, str] | None = None,
) -> None:
    """Refuse a split in which the same thing is in two parts of one fold.

    Parameters
    ----------
    protocol
        Its name, for the message.
    rows
        Clip, origin, fold, part and label of each row.
    digests
        Origin → sha256 of its samples.
    apart
        ``"speaker"`` if a speaker must not be in two parts either. If a fold has a single speaker to train and to
        validate on, these two parts count as one. ``"corpus"`` if the corpus that is tested on must not be in training
        or validation.
    overlaps
        As :func:`serflow.splits.overlaps.find_overlaps` returns it.

    Raises
    ------
    UserError
        With the clips of the first leak: of a recording and its copies, of identical audio under different names, of
        overlapping pieces of a file, of a speaker, or of a corpus.
    """
    known: dict[int, set[str]] = {}
    for _, origin, fold, part, _ in rows:
        if part != "test":
            known.setdefault(fold, set()).add(speaker_of(origin))
    alone = {fold for fold, speakers in known.items() if len(speakers) == 1}
    overlaps = overlaps or {}
    kinds = {
        "the same recording": (str, ()),
        "identical audio": (digests.__getitem__, ()),
        "one stretch of a file": (lambda origin: overlaps.get(origin, origin), ()),
    }
    if "speaker" in apart:
        kinds["the same speaker"] = (speaker_of, alone)
    if "corpus" in apart:
        kinds["the same corpus"] = (corpus_of, known)
    for what, (key_of, merged) in kinds.items():
        places: dict[tuple[int, str], dict[str, list[str]]] = {}
        for clip, origin, fold, part, _ in rows:
            part = "train" if fold in merged and part == "valid" else part
            places.setdefault((fold, key_of(origin)), {}).setdefault(part, []).append(clip)
        leaks = {place: parts for place, parts in places.items() if len(parts) > 1}
        if leaks:
            (fold, key), parts = min(leaks.items())
            subject = f"{what} ({key})" if what in ("the same speaker", "the same corpus") else what
            where = "; ".join(f"{part}: {_listed(clips)}" for part, clips in sorted(parts.items()))
            more = f" (and {len(leaks) - 1} more such leaks)" if len(leaks) > 1 else ""
            remedy = "move them to one part"
            if what == "identical audio":
                remedy = "remove one of the recordings, or let catalog.audit.exclude leave them out"
            elif what == "one stretch of a file":
                remedy = "change start and end so that they do not overlap, or move them to one part"
            raise UserError(
                f"split {protocol}: fold {fold}: {subject} is in more than one part: {where}{more}; {remedy}"
            )


def _listed(clips: Iterable[str]) -> str:
    clips = sorted(clips)
    return ", ".join(clips[:_SHOWN]) + (f" and {len(clips) - _SHOWN} more" if clips[_SHOWN:] else "")
