"""The catalogue: one row per clip, and what was left out or flagged and why."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
from serflow.runtime.progress import tell

_FOUND = ["file", "rule", "reason"]
EVERYTHING, ALL_BUT_LEAKY, NOTHING = "everything", "protocols that are not leaky", "nothing"
_PERSON = {"age": "int32", "sex": "string", "race": "string", "ethnicity": "string", "language": "string"}


def catalog_clips(
    indices: Sequence[Path],
    *,
    groups: Path,
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
    groups
        ``listing/groups.parquet``: sex, age, language and further groups of the clips of manifests.
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
    excluded
        TSV table of file, rule, reason and what it is left out of: recordings that cannot be used, and clips that the
        audit leaves out.
    flagged
        TSV table of file, rule and reason: clips that the audit flags and that are used. What it says of all clips of a
        corpus is one row.
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
        raise UserError(f"no usable recording is left of {len(rows)}; the first: {broken['problem'].iloc[0]}")
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
        .join(pd.DataFrame.from_dict(heard, "index", columns=VOTES), on="recording")
        .assign(left_out=clips["clip"].isin(left_out))
    )
    schema = {field.name: str(field.type) for field in table.drop(["recording", "problem", "offset", "length"]).schema}
    told = storage.read_table(groups).to_pandas().set_index("clip").reindex(clips["recording"]).set_index(clips.index)
    for name in told:
        clips[name] = clips[name].where(clips[name].notna(), told[name]) if name in _PERSON else told[name]
    schema |= {"corpus_label": "string"} | _PERSON | {name: "string" for name in told if name not in _PERSON}
    schema |= dict.fromkeys(VOTES, "int32") | {"left_out": "bool"}
    storage.write_table(output, storage.table_of_frame(clips, schema))

    row_of = {row["clip"]: row for row in named}
    file_of = {clip: printable(row["file"]) for clip, row in row_of.items()}
    lost = [
        (row.file, "name" if pd.isna(row.speaker) else "unusable", row.problem, EVERYTHING)
        for row in broken.itertuples()
    ]
    found = [(file_of[clip], rule, reason) for clip, rule, reason in flags]
    lost += [(*row, ALL_BUT_LEAKY) for row in found if row[1] in audit_settings["exclude"]]
    kept = _summarised([flag for flag in flags if flag[1] not in audit_settings["exclude"]], row_of)
    storage.write_csv(excluded, [*_FOUND, "left_out_of"], lost)
    storage.write_csv(flagged, _FOUND, kept)
    counts = _counts(clips, broken, flags, audit_settings) | {"labels": count_labels(usable, labels)}
    storage.write_json(audit, counts)
    for line in _told(counts):
        tell(line)


def _summarised(flags: Sequence[tuple[str, str, str]], row_of: Mapping[str, Mapping]) -> list[tuple[str, str, str]]:
    """Return file, rule and reason of flags; one row, the first, for what is flagged in every clip of a corpus."""
    sizes = Counter(row["corpus"] for row in row_of.values())
    alike = Counter((row_of[clip]["corpus"], *why) for clip, *why in flags)
    of_all = [key for key, count in alike.items() if count == sizes[key[0]] > 1]
    rows = [
        (f"all {sizes[corpus]} clips" + (f" of {corpus}" if corpus else ""), rule, reason)
        for corpus, rule, reason in of_all
    ]
    rest = [flag for flag in flags if (row_of[flag[0]]["corpus"], *flag[1:]) not in of_all]
    return rows + [(printable(row_of[clip]["file"]), rule, reason) for clip, rule, reason in rest]


def _told(counts: Mapping) -> Iterator[str]:
    """Yield what the user should know: what is left out, by rule and label, and what is flagged and used."""
    unused = [row for row in counts["labels"] if row["used_as"] is None]
    if unused:
        names = ", ".join(f"{row['label']} {row['clips']}" for row in unused)
        yield f"labels: clips left out of {EVERYTHING}: {names}"
    for what in (EVERYTHING, ALL_BUT_LEAKY):
        for rule, found in counts["rules"].items():
            if found["clips"] and found["left_out_of"] == what:
                labels = ", ".join(f"{label} {count}" for label, count in found["emotions"].items())
                yield f"audit: clips left out of {what}: {rule} {found['clips']}" + (f" ({labels})" if labels else "")
    used = [
        f"{rule} {found['clips']}"
        for rule, found in counts["rules"].items()
        if found["left_out_of"] == NOTHING and found["clips"]
    ]
    if used:
        yield f"audit: clips flagged and used: {', '.join(used)}; catalog/flagged.tsv lists them"


def _of_crema_d(known: Mapping, formats: Mapping[str, str]) -> dict:
    """Put what is known about clips or speakers of CREMA-D under the names that they have in this corpus."""
    names = [name for name, format_ in formats.items() if format_ == CREMA_D]
    return {of_corpus(name, id_): value for name in names for id_, value in known.items()}


def _counts(clips, broken, flags: Sequence[tuple[str, str, str]], settings: Mapping) -> dict:
    def by(column: str, rows=clips) -> dict[str, int]:
        return {str(value): int(count) for value, count in rows[column].value_counts().sort_index().items()}

    flagged: dict[str, list[str]] = {rule: [] for rule in RULES}
    for clip, rule, _ in flags:
        flagged[rule].append(clip)
    rules = {
        rule: {
            "clips": len(names),
            "emotions": by("emotion", clips[clips["clip"].isin(names)]),
            "left_out_of": ALL_BUT_LEAKY if rule in settings["exclude"] else NOTHING,
        }
        for rule, names in flagged.items()
    }
    for rule, count in (("name", broken["speaker"].isna().sum()), ("unusable", broken["speaker"].notna().sum())):
        if count:
            rules[rule] = {"clips": int(count), "emotions": {}, "left_out_of": EVERYTHING}
    used = clips[~clips["left_out"]]
    identical = clips.groupby("audio_sha256")["clip"].apply(list)
    return {
        "clips": len(clips),
        "excluded": len(broken),
        "speakers": clips["speaker"].nunique(),
        "hours": float(clips["duration"].sum()) / 3600,
        "left_out": len(clips) - len(used),
        "used": {
            "clips": len(used),
            "speakers": used["speaker"].nunique(),
            "hours": float(used["duration"].sum()) / 3600,
            "emotions": by("emotion", used),
        },
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
