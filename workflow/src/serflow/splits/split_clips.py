"""Writing the split table of a protocol."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from serflow import storage
from serflow.corpus.audit import AUDITED, audit_clips, excluded_clips
from serflow.corpus.copies import KINDS
from serflow.runtime.errors import UserError
from serflow.splits import PROTOCOLS
from serflow.splits.leaks import check_leaks
from serflow.splits.overlaps import find_overlaps

SCHEMA = {"clip": "string", "origin": "string", "fold": "int32", "part": "string", "label": "string"}


def split_clips(
    indices: Sequence[Path],
    plans: Sequence[Path],
    *,
    protocol: str,
    audit: Mapping,
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
    left_out = excluded_clips(audit_clips(usable, audit), audit) if audit else set()
    labels = {row["clip"]: row["emotion"] for row in usable if row["clip"] not in left_out}
    if not labels:
        raise UserError(
            "the audit leaves no clip to split; catalog/excluded.tsv says why, catalog.audit sets its rules"
        )
    plan = storage.read_tables(plans).to_pylist()
    copies = [
        (copy["clip"], copy["origin"])
        for copy in sorted(plan, key=lambda copy: (KINDS.index(copy["kind"]), copy["clip"]))
        if copy["origin"] in labels and copy["kind"] in plugin.copies
    ]
    known = {
        "formats": formats,
        "speakers": sorted({row["speaker"] for row in rows if row["speaker"]}),
        "usable": [row["clip"] for row in usable],
        "overlaps": find_overlaps(usable),
    }
    split = plugin.load().split(labels, copies, {**settings, **known})
    if not plugin.leaky:
        digests = {row["clip"]: row["audio_sha256"] for row in usable}
        check_leaks(protocol, split, digests, apart=plugin.apart, overlaps=known["overlaps"])
    storage.write_table(output, storage.table_of(split, SCHEMA))
