"""Writing the split table of a protocol."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from serflow import storage
from serflow.corpus.audit import AUDITED, audit_clips, count_by_rule, excluded_clips, refuse_losses
from serflow.corpus.copies import KINDS
from serflow.corpus.labels import with_used_labels
from serflow.runtime.errors import UserError
from serflow.splits import PROTOCOLS, Row
from serflow.splits.leaks import check_leaks
from serflow.splits.overlaps import find_overlaps

SCHEMA = {"clip": "string", "origin": "string", "fold": "int32", "part": "string", "label": "string"}


def split_clips(
    indices: Sequence[Path],
    plans: Sequence[Path],
    *,
    protocol: str,
    audit: Mapping,
    labels: Mapping,
    settings: Mapping,
    formats: Mapping[str, str],
    output: Path,
) -> None:
    """Write the split table of a protocol, which alone decides the rows that a run may see.

    Parameters
    ----------
    indices
        Indices of the recordings of all shards. Not the catalogue, so that new metadata retrains no model.
    plans
        The plan of copies of all shards.
    protocol
        Name of the protocol.
    audit
        The section ``catalog.audit`` of the configuration; empty for a leaky protocol, which keeps every clip.
    labels
        The section ``labels`` of the configuration.
    settings
        The settings of the section ``split`` that the protocol uses.
    formats
        Name of each corpus of a union (empty for a single corpus) → its format.
    output
        Parquet table with a row per clip and fold: clip, origin, fold, part, label.

    Raises
    ------
    UserError
        If the corpus is too small for the protocol, or the split leaks.
    """
    plugin = PROTOCOLS.find(protocol, "runs")
    columns = list(dict.fromkeys([*AUDITED, "speaker", "sha256", "start", "end", "problem"]))
    found = storage.read_tables(indices, columns).sort_by("clip")
    rows = found.to_pylist()
    usable = [row for row in rows if row["problem"] is None]
    named = with_used_labels(usable, labels)
    flags = audit_clips(named, audit) if audit else []
    refuse_losses(named, flags, audit)
    left_out = excluded_clips(flags, audit)
    label_of = {row["clip"]: row["emotion"] for row in named if row["clip"] not in left_out}
    if not label_of:
        raise UserError("no usable recording is left to split; catalog.policy leaves those out that cannot be read")
    plan = storage.read_tables(plans).to_pylist()
    copies = [
        (copy["clip"], copy["origin"])
        for copy in sorted(plan, key=lambda copy: (KINDS.index(copy["kind"]), copy["clip"]))
        if copy["origin"] in label_of and copy["kind"] in plugin.copies
    ]
    known = {
        "formats": formats,
        # Of unusable recordings too: a lost clip does not change the folds.
        "speakers": sorted(
            {row["speaker"] for row in with_used_labels((row for row in rows if row["speaker"]), labels)}
        ),
        "usable": [row["clip"] for row in usable],
        "overlaps": find_overlaps(usable),
    }
    try:
        split = plugin.load().split(label_of, copies, {**settings, **known})
    except UserError as error:
        reasons = []
        if unread := len(rows) - len(usable):
            reasons.append(f"{unread:,} recordings cannot be used")
        if left_out:
            counts = count_by_rule([flag for flag in flags if flag[1] in audit["exclude"]], left_out)
            rules = ", ".join(f"{rule} {count}" for rule, count in counts.items())
            reasons.append(f"the audit leaves {len(left_out):,} of {len(named):,} clips out ({rules})")
        if unused := len(usable) - len(named):
            reasons.append(f"labels leaves {unused:,} clips out")
        raise UserError("; ".join([str(error), *reasons])) from error
    refuse_one_class(protocol, split)
    if not plugin.leaky:
        digests = {row["clip"]: row["audio_sha256"] for row in usable}
        check_leaks(protocol, split, digests, apart=plugin.apart, overlaps=known["overlaps"])
    storage.write_table(output, storage.table_of(split, SCHEMA))


def refuse_one_class(protocol: str, split: Sequence[Row]) -> None:
    """Raise ``UserError`` for a fold whose training clips have one label only: no model can be trained on them."""
    trained: dict[int, set[str]] = {}
    for _, _, fold, part, label in split:
        if part == "train":
            trained.setdefault(fold, set()).add(label)
    for fold, labels in sorted(trained.items()):
        if len(labels) == 1:
            raise UserError(
                f"split {protocol}: fold {fold} has clips of {labels.pop()} only to train on; a model needs two labels"
            )
