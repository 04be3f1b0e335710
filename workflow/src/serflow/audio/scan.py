"""Reading every recording of a shard once: what it is, and what is wrong with it."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from serflow.audio.io import decode, read_content
from serflow.audio.segments import decode_piece
from serflow.corpus.locations import Location, Place, places_of, recording_path, row_of
from serflow.corpus.policy import apply_policy
from serflow.corpus.sources import Entry, entry_shard, list_recordings
from serflow.runtime.errors import UserError, printable
from serflow.storage import write_table

# From here on a sample counts as clipped: 16-bit audio within 33 steps of its end.
FULL_SCALE = 0.999
SCHEMA = {
    "clip": "string",
    "file": "string",
    "speaker": "string",
    "sentence": "string",
    "emotion": "string",
    "level": "string",
    "samples": "int64",
    "rate": "int32",
    "channels": "int32",
    "subtype": "string",
    "duration": "float64",
    "peak": "float32",
    "rms": "float32",
    "dc_offset": "float32",
    "clipped": "float32",
    "sha256": "string",
    "problem": "string",
}
# Where a corpus has more to say: a union, and a manifest.
UNION = {"corpus": "string"}
PIECES = {"start": "float64", "end": "float64"}


def scan_recordings(source: Location, *, shard: int, shards: int, policy: str, output: Path) -> None:
    """Read a shard's recordings and write a row for each.

    Parameters
    ----------
    source
        The corpus' recordings: see :func:`serflow.corpus.locations.places_of`.
    shard, shards
        Which shard, of how many.
    policy
        ``"fail"`` refuses a corpus with an unusable recording; ``"exclude"`` notes the reason in the
        column ``problem`` and goes on.
    output
        The table, sorted by clip.

    Raises
    ------
    UserError
        Under ``"fail"``: the first problem, and how many there are.
    """
    from serflow.storage.arrow import pa

    entries = [entry for entry in list_recordings(source) if entry_shard(entry, shards) == shard]
    places = places_of(source)
    columns = _schema_of(places)
    rows = sorted((_describe(places, columns, entry) for entry in entries), key=lambda row: row["clip"])
    apply_policy(policy, [row["problem"] for row in rows if row["problem"]])
    schema = pa.schema([(name, getattr(pa, type)()) for name, type in columns.items()])
    write_table(output, pa.Table.from_pylist(rows, schema=schema))


def _schema_of(places: Sequence[Place]) -> dict[str, str]:
    union = UNION if places[0].name else {}
    return SCHEMA | union | (PIECES if any(place.format == "manifest" for place in places) else {})


def _describe(places: Sequence[Place], columns: Iterable[str], entry: Entry) -> dict:
    path, where = recording_path(places, entry.file), row_of(places, entry)
    row = dict.fromkeys(columns) | {"clip": Path(entry.file).stem, "file": entry.file}
    if "corpus" in row:
        row["corpus"] = entry.file.partition("/")[0]
    if entry.name is None:
        # No table holds text that is not UTF-8, and no reader of one expects a newline in a name.
        shown = {"clip": printable(row["clip"]), "file": printable(entry.file)}
        return row | shown | {"problem": printable(f"{path}: {entry.problem}; rename or remove it")}
    row |= {key: getattr(entry.name, key) for key in ("clip", "speaker", "sentence", "emotion", "level")}
    try:
        if entry.start is None and entry.end is None:
            content = read_content(path)
            row["sha256"] = hashlib.sha256(content).hexdigest()
            recording = decode(path, content)
            del content
        else:
            row |= {"start": entry.start, "end": entry.end}
            recording = decode_piece(path, entry.start, entry.end)
            row["sha256"] = hashlib.sha256(recording.samples).hexdigest()
    except UserError as error:
        return row | {"problem": f"{where}{error}"}
    samples = recording.samples
    peak, values = float(max(samples.max(), -samples.min())), samples.ravel().astype(np.float64)
    return row | {
        "samples": len(samples),
        "rate": recording.rate,
        "channels": samples.shape[1],
        "subtype": recording.subtype,
        "duration": len(samples) / recording.rate,
        "peak": peak,
        "rms": float(np.sqrt(np.dot(values, values) / len(values))),
        "dc_offset": float(values.mean()),
        "clipped": float((np.abs(samples) >= FULL_SCALE).mean()) if peak >= FULL_SCALE else 0.0,
    }
