"""The catalogue: one row per clip, what was left out and why, and the plan of augmented copies."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from serflow.corpus.copies import plan_copies
from serflow.corpus.grammar import EMOTIONS
from serflow.corpus.metadata import read_demographics, voice_votes
from serflow.corpus.policy import apply_policy
from serflow.errors import UserError
from serflow.store import read_tables, write_json, write_table, write_text


def catalog_clips(
    scans: Sequence[Path],
    *,
    demographics: Path | None,
    votes: Path | None,
    policy: str,
    augment: Mapping,
    output: Path,
    excluded: Path,
    audit: Path,
    copies: Path,
) -> None:
    """Join the shards' scans with the metadata.

    Parameters
    ----------
    scans
        The tables of all shards.
    demographics, votes
        The metadata tables, where there are any.
    policy
        What an unusable recording means: ``"fail"`` or ``"exclude"``. Asked here as well as in the scan, since
        a change of the setting makes no scan stale.
    augment
        The section ``augment`` of the configuration.
    output
        ``clips.parquet``: the usable clips, sorted by name.
    excluded
        ``excluded.tsv``: file, rule and reason of what was left out.
    audit
        ``audit.json``: counts.
    copies
        ``copies.parquet``: the augmented copies to make. Planned over all names, so that a broken
        recording does not change which other clips are copied.

    Raises
    ------
    UserError
        If no usable clip is left, or the policy refuses the corpus.
    """
    import pyarrow as pa

    table = read_tables(scans).sort_by([("clip", "ascending"), ("file", "ascending")])
    rows = table.to_pylist()
    apply_policy(policy, [row["problem"] for row in rows if row["problem"]])
    usable = [row for row in rows if row["problem"] is None]
    if not usable:
        raise UserError("no usable recordings are left; see excluded.tsv in the results' catalog folder")
    people = read_demographics(demographics) if demographics else {}
    heard = voice_votes(votes) if votes else {}
    for row in usable:
        del row["problem"]
        row |= people.get(row["actor"], {"age": None, "sex": None, "race": None, "ethnicity": None})
        counts = heard.get(row["clip"])
        row |= {
            f"votes_{emotion}": None if counts is None else int(counts[index])
            for index, emotion in enumerate(sorted(EMOTIONS))
        }
    schema = table.schema.remove(table.schema.get_field_index("problem"))
    for name, type in {
        "age": pa.int32(),
        "sex": pa.string(),
        "race": pa.string(),
        "ethnicity": pa.string(),
    }.items():
        schema = schema.append(pa.field(name, type))
    for emotion in sorted(EMOTIONS):
        schema = schema.append(pa.field(f"votes_{emotion}", pa.int32()))
    write_table(output, pa.Table.from_pylist(usable, schema=schema))

    left_out = [row for row in rows if row.get("problem")]
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(["file", "rule", "reason"])
    writer.writerows([row["file"], "unusable" if row["actor"] else "name", row["problem"]] for row in left_out)
    write_text(excluded, text.getvalue())
    write_json(audit, _count(usable, left_out))

    named = [row["clip"] for row in rows if row["actor"]]
    write_table(copies, _copies_table(named, augment))


def _copies_table(clips: Sequence[str], augment: Mapping):
    import pyarrow as pa

    schema = pa.schema(
        [("clip", pa.string()), ("origin", pa.string()), ("kind", pa.string()), ("parameter", pa.float64())]
    )
    return pa.Table.from_pylist([copy._asdict() for copy in plan_copies(clips, augment)], schema=schema)


def _count(usable: Sequence[Mapping], left_out: Sequence[Mapping]) -> dict:
    same = Counter(row["sha256"] for row in usable)
    identical: dict[str, list[str]] = {}
    for row in usable:
        if same[row["sha256"]] > 1:
            identical.setdefault(row["sha256"], []).append(row["clip"])
    return {
        "clips": len(usable),
        "excluded": len(left_out),
        "actors": len({row["actor"] for row in usable}),
        "hours": sum(row["duration"] for row in usable) / 3600,
        "emotions": dict(sorted(Counter(row["emotion"] for row in usable).items())),
        "sentences": dict(sorted(Counter(row["sentence"] for row in usable).items())),
        "levels": dict(sorted(Counter(row["level"] for row in usable).items())),
        "rates": {str(rate): count for rate, count in sorted(Counter(row["rate"] for row in usable).items())},
        "with_demographics": sum(row["sex"] is not None for row in usable),
        "with_votes": sum(row["votes_ANG"] is not None for row in usable),
        "identical_audio": sorted(identical.values()),
    }
