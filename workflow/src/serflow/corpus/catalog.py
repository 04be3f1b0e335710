"""The catalogue: one row per clip, and what was left out or flagged and why."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from serflow import storage
from serflow.corpus.audit import RULES, audit_clips, excluded_clips
from serflow.corpus.crema_d_names import VOTES
from serflow.corpus.formats import CREMA_D, load_formats
from serflow.corpus.ids import of_corpus
from serflow.corpus.labels import count_labels, with_used_labels
from serflow.corpus.listing import documented_people
from serflow.corpus.metadata import read_demographics, voice_votes
from serflow.corpus.policy import apply_policy
from serflow.runtime.errors import UserError, printable

_FOUND = ["file", "rule", "reason"]
EVERYTHING, ALL_BUT_LEAKY, NOTHING = "everything", "protocols that are not leaky", "nothing"
_PERSON = {"age": "int32", "sex": "string", "race": "string", "ethnicity": "string"}


def catalog_clips(
    indices: Sequence[Path],
    *,
    demographics: Path | None = None,
    votes: Path | None = None,
    policy: str,
    audit_settings: Mapping,
    labels: Mapping,
    formats: Mapping[str, str],
    output: Path,
    excluded: Path,
    flagged: Path,
    audit: Path,
) -> None:
    """Join what is known about every clip: recording, speaker and listeners' votes.

    Parameters
    ----------
    indices
        Indices of the recordings of all shards.
    demographics, votes
        The metadata tables of CREMA-D.
    policy
        What an unusable recording means: ``fail`` or ``exclude``.
    audit_settings
        The section ``catalog.audit`` of the configuration.
    labels
        The section ``labels`` of the configuration.
    formats
        Name of each corpus of a union (empty for a single corpus) → its format.
    output
        ``clips.parquet``: the usable clips by name, without those whose label is not used. ``emotion`` is the label
        that is used, ``corpus_label`` that of the corpus. ``left_out`` tells whether the audit excludes a clip from
        protocols that are not leaky.
    excluded, flagged
        TSV tables of file, rule and reason: recordings that are left out, and others that the audit flags.
    audit
        ``audit.json``: counts.

    Raises
    ------
    UserError
        If no usable clip is left, or the policy refuses the corpus.
    """
    import pandas as pd

    table = storage.read_tables(indices).sort_by([("clip", "ascending"), ("file", "ascending")])
    rows = table.to_pandas()
    broken = rows[rows["problem"].notna()]
    apply_policy(policy, list(broken["problem"]))
    clips = rows[rows["problem"].isna()]
    if clips.empty:
        raise UserError("no usable recordings are left; see excluded.tsv in the catalog folder of the results")
    usable = [row for row in table.to_pylist() if row["problem"] is None]
    named = with_used_labels(usable, labels)
    emotions = clips["clip"].map({row["clip"]: row["emotion"] for row in named})
    clips = clips.assign(corpus_label=clips["emotion"], emotion=emotions).dropna(subset="emotion")
    flags = audit_clips(named, audit_settings)
    left_out = excluded_clips(flags, audit_settings)
    people = {name: person._asdict() for name, person in documented_people(load_formats(formats)).items()}
    people |= _of_crema_d(read_demographics(demographics) if demographics else {}, formats)
    heard = _of_crema_d(voice_votes(votes) if votes else {}, formats)
    clips = (
        clips.join(pd.DataFrame.from_dict(people, "index", columns=list(_PERSON)), on="speaker")
        .join(pd.DataFrame.from_dict(heard, "index", columns=VOTES), on="clip")
        .assign(left_out=clips["clip"].isin(left_out))
    )
    schema = {field.name: str(field.type) for field in table.drop(["problem", "offset", "length"]).schema}
    schema |= {"corpus_label": "string"} | _PERSON | dict.fromkeys(VOTES, "int32") | {"left_out": "bool"}
    storage.write_table(output, storage.table_of_frame(clips, schema))

    file_of = dict(zip(clips["clip"], map(printable, clips["file"]), strict=True))
    lost = [
        (row.file, "name" if pd.isna(row.speaker) else "unusable", row.problem, EVERYTHING)
        for row in broken.itertuples()
    ]
    found = [(file_of[clip], rule, reason) for clip, rule, reason in flags]
    lost += [(*row, ALL_BUT_LEAKY) for row in found if row[1] in audit_settings["exclude"]]
    kept = [row for row in found if row[1] not in audit_settings["exclude"]]
    for path, rows, columns in ((excluded, lost, [*_FOUND, "left_out_of"]), (flagged, kept, _FOUND)):
        storage.write_csv(path, columns, rows)
    counts = _counts(clips, broken, found, audit_settings) | {"left_out": len(left_out)}
    storage.write_json(audit, counts | {"labels": count_labels(usable, labels)})


def _of_crema_d(known: Mapping, formats: Mapping[str, str]) -> dict:
    """Put what is known about clips or speakers of CREMA-D under the names that they have in this corpus."""
    names = [name for name, format_ in formats.items() if format_ == CREMA_D]
    return {of_corpus(name, id_): value for name in names for id_, value in known.items()}


def _counts(clips, broken, found: Sequence[tuple[str, str, str]], settings: Mapping) -> dict:
    def by(column: str) -> dict[str, int]:
        return {str(value): int(count) for value, count in clips[column].value_counts().sort_index().items()}

    flagged = Counter(rule for _, rule, _ in found)
    rules = {
        rule: {"clips": flagged[rule], "left_out_of": ALL_BUT_LEAKY if rule in settings["exclude"] else NOTHING}
        for rule in RULES
    }
    for rule, count in (("name", broken["speaker"].isna().sum()), ("unusable", broken["speaker"].notna().sum())):
        if count:
            rules[rule] = {"clips": int(count), "left_out_of": EVERYTHING}
    identical = clips.groupby("audio_sha256")["clip"].apply(list)
    return {
        "clips": len(clips),
        "excluded": len(broken),
        "speakers": clips["speaker"].nunique(),
        "hours": float(clips["duration"].sum()) / 3600,
        **({"corpora": by("corpus")} if clips["corpus"].notna().any() else {}),
        "emotions": by("emotion"),
        "sentences": by("sentence"),
        "levels": by("level"),
        "rates": by("rate"),
        "with_demographics": int(clips["sex"].notna().sum()),
        "with_votes": int(clips[VOTES[0]].notna().sum()),
        "identical_audio": sorted(names for names in identical if names[1:]),
        "rules": rules,
    }
