"""Protocols as tables: which clips a run trains on, validates on and is tested on."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from serflow.corpus.audit import AUDITED, audit_clips, left_out_clips
from serflow.corpus.copies import plan_copies
from serflow.corpus.ids import speaker_of
from serflow.corpus.locations import ALONE
from serflow.runtime.errors import UserError
from serflow.splits.custom import PARTS, read_custom_split
from serflow.splits.folds import corpora_of, cross_corpus_parts, parts_of_speakers, speaker_folds
from serflow.splits.leaks import check_leaks
from serflow.splits.stratify import divide
from serflow.storage import read_tables, write_table

Row = tuple[str, str, int, str, str]  # clip, origin, fold, part, label


def split_clips(
    scans: Sequence[Path],
    augment: Mapping,
    audit: Mapping,
    protocol: str,
    settings: Mapping,
    output: Path,
    formats: Mapping[str, str] = ALONE,
) -> None:
    """Write the split table of a protocol.

    Parameters
    ----------
    scans
        The tables of all shards' recordings. They and not the catalogue, so that what is only known of a
        clip, such as votes, never makes a split stale and a model with it.
    augment, audit
        The sections ``augment`` and ``catalog.audit`` of the configuration.
    protocol
        A name in :data:`PROTOCOLS`.
    settings
        The section ``split`` of the configuration, as far as the protocol uses it: ``test``, ``valid``,
        ``random_state``; ``table``.
    output
        One row per clip and fold: clip, origin, fold, part, label.
    formats
        The format of each corpus of a union, or of the one, whose name is empty.

    Raises
    ------
    UserError
        If the corpus is too small for the protocol, or the split leaks (see :func:`check_leaks`). A protocol
        that is declared leaky is exempt, and keeps the clips that the audit leaves out.
    """
    from serflow.storage.arrow import pa

    columns = ["clip", "speaker", "emotion", "problem", "sha256", *AUDITED]
    found = read_tables(scans, list(dict.fromkeys(columns))).sort_by("clip").to_pylist()
    usable = [row for row in found if row["problem"] is None]
    if protocol == "custom":
        settings = {"folds": _known(read_custom_split(settings["table"]), usable, settings["table"])}
    speakers = sorted({row["speaker"] for row in found if row["speaker"]})
    settings = {**settings, "formats": formats, "speakers": speakers}
    left_out = set() if protocol in LEAKY else left_out_clips(audit_clips(usable, audit), audit)
    labels = {row["clip"]: row["emotion"] for row in usable if row["clip"] not in left_out}
    plan = plan_copies([row["clip"] for row in found if row["speaker"]], augment)
    made = [(copy.clip, copy.origin) for copy in plan if copy.origin in labels]
    rows = PROTOCOLS[protocol](labels, made, settings)
    if protocol not in LEAKY:
        digests = {row["clip"]: row["sha256"] for row in usable}
        corpora_apart = protocol == "cross-corpus"
        check_leaks(
            protocol,
            rows,
            digests,
            speakers_apart=corpora_apart or protocol == "speaker-independent",
            corpora_apart=corpora_apart,
        )
    names = ("clip", "origin", "fold", "part", "label")
    types = (pa.string(), pa.string(), pa.int32(), pa.string(), pa.string())
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, type) for column, type in zip(columns, types, strict=True)]
    write_table(output, pa.table(arrays, names=names))


def _stratified(labels: Sequence[str], settings: Mapping) -> np.ndarray:
    """Give each row its part, as the notebook does: stratified 70/30, then 5 % of the 70."""
    classes, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    try:
        kept, test = divide(codes, settings["test"], settings["random_state"])
        train, valid = (kept[half] for half in divide(codes[kept], settings["valid"], settings["random_state"]))
    except ValueError as error:
        rarest = classes[counts.argmin()]
        raise UserError(
            f"split: {len(labels)} clips, {counts.min()} of them of class {rarest}, are too few to stratify: a share "
            f"of {settings['test']:g} is tested on, and {settings['valid']:g} of the rest must still hold every class; "
            f"add clips of {rarest}, or raise split.valid"
        ) from error
    parts = np.empty(len(labels), dtype="U5")
    for name, members in zip(PARTS, (train, valid, test), strict=True):
        parts[members] = name
    return parts


def _notebook(labels: Mapping[str, str], copies: Sequence[tuple[str, str]], settings: Mapping) -> list[Row]:
    """Split originals and copies together. Leaky: copies of test clips are in training."""
    clips = [(clip, clip) for clip in sorted(labels)] + list(copies)
    parts = _stratified([labels[origin] for _, origin in clips], settings)
    return [(clip, origin, 0, str(part), labels[origin]) for (clip, origin), part in zip(clips, parts, strict=True)]


def _random(labels: Mapping[str, str], copies: Sequence[tuple[str, str]], settings: Mapping) -> list[Row]:
    """Split originals at random; copies of training clips only."""
    clips = sorted(labels)
    parts = dict(zip(clips, map(str, _stratified([labels[clip] for clip in clips], settings)), strict=True))
    return _with_copies(parts, 0, labels, copies)


def _speaker_independent(labels: Mapping[str, str], copies: Sequence[tuple[str, str]], settings: Mapping) -> list[Row]:
    """Test on one group of speakers, validate on the next, train on the others.

    With two groups there is none left to train on; then the last fifth of the other group's speakers validate, and
    where that is a single speaker a share of their clips.
    """
    speakers = settings.get("speakers") or sorted({speaker_of(clip) for clip in labels})
    members = speaker_folds(speakers, settings.get("formats", ALONE))
    rows = []
    for fold, tested in enumerate(members):
        following = members[(fold + 1) % len(members)]
        fifth = following[-max(1, len(following) // 5) :] if following[1:] else []
        parts = parts_of_speakers(labels, tested, following if members[2:] else fifth, settings)
        rows += _complete("speaker-independent", fold, parts, labels, copies)
    return rows


def _cross_corpus(labels: Mapping[str, str], copies: Sequence[tuple[str, str]], settings: Mapping) -> list[Row]:
    """Test on one corpus, train and validate on speakers of the others; copies of training clips only."""
    rows = []
    for fold, parts in enumerate(cross_corpus_parts(labels, settings)):
        rows += _complete("cross-corpus", fold, parts, labels, copies)
    return rows


def _complete(
    protocol: str, fold: int, parts: Mapping[str, str], labels: Mapping[str, str], copies: Sequence[tuple[str, str]]
) -> list[Row]:
    missing = [part for part in PARTS if part not in parts.values()]
    if missing:
        raise UserError(f"protocol {protocol}: fold {fold} has no clips to {missing[0]} on; add speakers")
    return _with_copies(parts, fold, labels, copies)


def _with_copies(
    parts: Mapping[str, str], fold: int, labels: Mapping[str, str], copies: Sequence[tuple[str, str]]
) -> list[Row]:
    rows = [(clip, clip, fold, part, labels[clip]) for clip, part in parts.items()]
    made = [copy for copy in copies if parts.get(copy[1]) == "train"]
    return rows + [(clip, origin, fold, "train", labels[origin]) for clip, origin in made]


def _custom(labels: Mapping[str, str], copies: Sequence[tuple[str, str]], settings: Mapping) -> list[Row]:
    """Split as the user's table says; copies of training clips only."""
    rows = []
    for fold, given in enumerate(settings["folds"]):
        parts = {clip: part for clip, part in sorted(given.items()) if clip in labels}
        missing = [part for part in PARTS if part not in parts.values()]
        if missing:
            raise UserError(f"protocol custom: fold {fold}: no usable clip is left to {missing[0]} on")
        rows += _with_copies(parts, fold, labels, copies)
    return rows


def _known(folds: list[dict[str, str]], usable: Sequence[Mapping], table: str) -> list[dict[str, str]]:
    unknown = sorted(set(folds[0]) - {row["clip"] for row in usable})
    if unknown:
        more = f" (and {len(unknown) - 1} more)" if unknown[1:] else ""
        raise UserError(f"split.table: {table}: {unknown[0]}{more} is no usable clip of the corpus")
    return folds


PROTOCOLS: dict[str, Callable[[Mapping, Sequence, Mapping], list[Row]]] = {
    "notebook": _notebook,
    "random": _random,
    "speaker-independent": _speaker_independent,
    "cross-corpus": _cross_corpus,
    "custom": _custom,
}
LEAKY = {"notebook": "copies of test clips, and the test speakers, are in training"}


def folds_of(protocol: str, speakers: Sequence[str], table: str | None, formats: Mapping[str, str] = ALONE) -> int:
    """Count the folds of a protocol on a corpus with these speakers; ``table`` is the setting ``split.table``."""
    if protocol == "cross-corpus":
        return len(corpora_of(formats))
    if protocol == "custom":
        return len(read_custom_split(Path(table)))
    return len(speaker_folds(speakers, formats)) if protocol == "speaker-independent" else 1
