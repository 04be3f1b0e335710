"""The catalogue: one row per clip, what was left out and why, and the plan of augmented copies."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from serflow.corpus.audit import audit_clips, count_by_rule, left_out_clips
from serflow.corpus.copies import plan_copies
from serflow.corpus.formats import CREMA_D
from serflow.corpus.grammar import EMOTIONS
from serflow.corpus.ids import of_corpus
from serflow.corpus.locations import ALONE
from serflow.corpus.metadata import read_demographics, voice_votes
from serflow.corpus.policy import apply_policy
from serflow.runtime.errors import UserError, printable
from serflow.splits.folds import people_of
from serflow.storage import read_tables, write_json, write_table, write_text

EVERYTHING, ALL_BUT_LEAKY, NOTHING = "everything", "protocols that are not leaky", "nothing"


def catalog_clips(
    scans: Sequence[Path],
    *,
    demographics: Path | None,
    votes: Path | None,
    policy: str,
    augment: Mapping,
    audit_settings: Mapping,
    output: Path,
    excluded: Path,
    audit: Path,
    copies: Path,
    formats: Mapping[str, str] = ALONE,
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
    audit_settings
        The section ``catalog.audit``.
    output
        ``clips.parquet``: the usable clips, sorted by name; ``left_out`` says of each whether the policy keeps
        it from protocols that are not leaky.
    excluded
        ``excluded.tsv``: file, rule and reason of every recording that is unusable or was flagged, and what it
        is left out of.
    audit
        ``audit.json``: counts.
    copies
        ``copies.parquet``: the augmented copies to make. Planned over all names, so that a broken
        recording does not change which other clips are copied.
    formats
        The format of each corpus of a union, or of the one, whose name is empty. The metadata are of those in
        CREMA-D's format.

    Raises
    ------
    UserError
        If no usable clip is left, or the policy refuses the corpus.
    """
    from serflow.storage.arrow import pa

    table = read_tables(scans).sort_by([("clip", "ascending"), ("file", "ascending")])
    rows = table.to_pylist()
    apply_policy(policy, [row["problem"] for row in rows if row["problem"]])
    usable = [row for row in rows if row["problem"] is None]
    if not usable:
        raise UserError("no usable recordings are left; see excluded.tsv in the results' catalog folder")
    nothing = {"age": None, "sex": None, "race": None, "ethnicity": None}
    people = {speaker: nothing | person._asdict() for speaker, person in people_of(formats).items()}
    people |= _of_crema_d(read_demographics(demographics) if demographics else {}, formats)
    heard = _of_crema_d(voice_votes(votes) if votes else {}, formats)
    flags = audit_clips(usable, audit_settings)
    left_out = left_out_clips(flags, audit_settings)
    for row in usable:
        del row["problem"]
        row["left_out"] = row["clip"] in left_out
        row |= people.get(row["speaker"], nothing)
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
    schema = schema.append(pa.field("left_out", pa.bool_()))
    write_table(output, pa.Table.from_pylist(usable, schema=schema))

    broken = [row for row in rows if row.get("problem")]
    file_of = {row["clip"]: printable(row["file"]) for row in usable}
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(["file", "rule", "reason", "left_out_of"])
    writer.writerows([row["file"], _rule_of(row), row["problem"], EVERYTHING] for row in broken)
    writer.writerows(
        [file_of[clip], rule, wrong, ALL_BUT_LEAKY if rule in audit_settings["exclude"] else NOTHING]
        for clip, rule, wrong in flags
    )
    write_text(excluded, text.getvalue())
    rules = {rule: {"clips": count, "left_out_of": NOTHING} for rule, count in count_by_rule(flags).items()}
    for rule in audit_settings["exclude"]:
        rules[rule]["left_out_of"] = ALL_BUT_LEAKY
    for row in broken:
        rules.setdefault(_rule_of(row), {"clips": 0, "left_out_of": EVERYTHING})["clips"] += 1
    write_json(audit, _count(usable, broken) | {"left_out": len(left_out), "rules": rules})

    named = [row["clip"] for row in rows if row["speaker"]]
    write_table(copies, _copies_table(named, augment))


def _of_crema_d(known: Mapping, formats: Mapping[str, str]) -> dict:
    """Put what is known of CREMA-D's clips or speakers under the ids that they have here."""
    names = [name for name, format_ in formats.items() if format_ == CREMA_D]
    return {of_corpus(name, id_): value for name in names for id_, value in known.items()}


def _rule_of(row: Mapping) -> str:
    return "unusable" if row["speaker"] else "name"


def _copies_table(clips: Sequence[str], augment: Mapping):
    from serflow.storage.arrow import pa

    schema = pa.schema(
        [("clip", pa.string()), ("origin", pa.string()), ("kind", pa.string()), ("parameter", pa.float64())]
    )
    return pa.Table.from_pylist([copy._asdict() for copy in plan_copies(clips, augment)], schema=schema)


def _counts(rows: Sequence[Mapping], column: str) -> dict[str, int]:
    """Count rows by a column, those without a value left out."""
    return dict(sorted(Counter(row[column] for row in rows if row[column] is not None).items()))


def _count(usable: Sequence[Mapping], broken: Sequence[Mapping]) -> dict:
    same = Counter(row["sha256"] for row in usable)
    identical: dict[str, list[str]] = {}
    for row in usable:
        if same[row["sha256"]] > 1:
            identical.setdefault(row["sha256"], []).append(row["clip"])
    return {
        "clips": len(usable),
        "excluded": len(broken),
        "speakers": len({row["speaker"] for row in usable}),
        "hours": sum(row["duration"] for row in usable) / 3600,
        **({"corpora": _counts(usable, "corpus")} if "corpus" in usable[0] else {}),
        "emotions": _counts(usable, "emotion"),
        "sentences": _counts(usable, "sentence"),
        "levels": _counts(usable, "level"),
        "rates": {str(rate): count for rate, count in sorted(Counter(row["rate"] for row in usable).items())},
        "with_demographics": sum(row["sex"] is not None for row in usable),
        "with_votes": sum(row["votes_ANG"] is not None for row in usable),
        "identical_audio": sorted(identical.values()),
    }
