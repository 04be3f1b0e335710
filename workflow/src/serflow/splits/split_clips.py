"""Writing the split table of a protocol."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from serflow import storage
from serflow.corpus.audit import AUDITED, audit_clips, excluded_clips
from serflow.corpus.copies import KINDS
from serflow.corpus.labels import with_used_labels
from serflow.runtime.errors import UserError
from serflow.splits import PROTOCOLS
from serflow.splits.leaks import check_leaks

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
    found = storage.read_tables(indices, list(dict.fromkeys([*AUDITED, "speaker", "corpus", "problem"]))).sort_by(
        "clip"
    )
    rows = found.to_pylist()
    usable = [row for row in rows if row["problem"] is None]
    named = with_used_labels(usable, labels)
    left_out = excluded_clips(audit_clips(named, audit), audit) if audit else set()
    label_of = {row["clip"]: row["emotion"] for row in named if row["clip"] not in left_out}
    if not label_of:
        raise UserError(
            "the audit leaves no clip to split; catalog/excluded.tsv says why, catalog.audit sets its rules"
        )
    plan = storage.read_tables(plans).to_pylist()
    copies = [
        (copy["clip"], copy["origin"])
        for copy in sorted(plan, key=lambda copy: (KINDS.index(copy["kind"]), copy["clip"]))
        if copy["origin"] in label_of and copy["kind"] in plugin.copies
    ]
    known = {
        "formats": formats,
        "speakers": sorted({row["speaker"] for row in rows if row["speaker"]}),
        "usable": [row["clip"] for row in usable],
    }
    split = plugin.load().split(label_of, copies, {**settings, **known})
    if not plugin.leaky:
        check_leaks(protocol, split, {row["clip"]: row["audio_sha256"] for row in usable}, apart=plugin.apart)
    storage.write_table(output, storage.table_of(split, SCHEMA))
