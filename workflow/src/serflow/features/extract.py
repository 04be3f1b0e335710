"""Extracting the features of a shard, for every kind in the same way."""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from serflow import storage
from serflow.audio.stft import CLIPS_AT_ONCE
from serflow.features import KINDS
from serflow.runtime.errors import UserError
from serflow.runtime.progress import progress

ROWS_AT_ONCE = 256 * CLIPS_AT_ONCE  # of a table: about 7 MB of frame features


def extract_features(
    kind: str,
    samples: Path,
    *,
    index: Path | None = None,
    length: Path | None = None,
    copies: str | None = None,
    encoder: Path | None = None,
    description: Path | None = None,
    settings: Mapping,
    threads: int = 1,
    output: Path,
    output_index: Path | None = None,
) -> None:
    """Compute the features of a shard.

    Parameters
    ----------
    kind
        Name of the feature kind.
    samples
        The shard's clips of the common length, its recordings or copies, the index of its recordings for kinds that
        read names, or the table of the kind that this one reads.
    index
        Names of the clips, in the order of ``samples``; not needed for a table or an index, which has them.
    length
        ``target.json``, for kinds that read clips of the common length.
    copies
        Kind of the copies to take, if ``samples`` are copies.
    encoder, description
        ONNX file and description of the encoder, for kinds that need one.
    settings
        The settings of the kind, as returned by :func:`serflow.features.kind_settings`.
    threads
        Number of threads; the result does not depend on it.
    output, output_index
        An array with an index of its clips, or a Parquet table with the column ``clip`` and the named features. Clips
        with lengths of their own are end to end; their index has ``offset`` and ``length`` in frames.

    Raises
    ------
    UserError
        If the clips do not have the common length, or a feature is NaN or infinite.
    """
    plugin, needed, lengths = KINDS[kind], {}, []
    if plugin.encoder:
        needed["encoder"] = plugin.load().open_encoder(encoder, description)
    if length is not None:
        known = storage.read_json(length)
        settings = {**settings, "target_length": known["target_length"], "frame_size": known["frame_size"]}
    if plugin.reads == "audio":
        clips = storage.read_table(index, ["clip", "offset", "length", *(["kind"] if copies else [])])
        wanted = np.asarray(clips["length"]) > 0  # the others are not usable
        clips = clips.filter(wanted & np.isin(clips["kind"], copies) if copies else wanted)
        computed = _with_progress(
            plugin.load().compute(_audio(samples, clips), settings, threads, **needed),
            len(clips),
            f"{kind} of {samples}",
            one_by_one=plugin.own_length,
        )
        clips = clips.select(["clip"])
    elif plugin.reads == "names":
        clips = storage.read_table(samples, ["clip", "length"])
        clips = clips.filter(np.asarray(clips["length"]) > 0).select(["clip"])
        computed = plugin.load().compute(clips["clip"].to_pylist(), settings, threads)
    elif plugin.reads == "fixed":
        rows, clips = storage.FileArray(samples), storage.read_table(index)
        if rows.shape[1:] != (known["target_length"],) or len(rows) != len(clips):
            raise UserError(f"{samples}: not {len(clips)} clips of {known['target_length']} samples; delete it")
        computed = plugin.load().compute(rows, settings, threads)
    else:
        clips = storage.read_table(samples, ["clip"])
        computed = itertools.chain.from_iterable(
            plugin.load().compute(np.column_stack([group[name] for name in group.column_names[1:]]), settings, threads)
            for group in storage.read_row_groups(samples)
        )
    computed = _finite(computed, clips["clip"], kind, one_by_one=plugin.own_length)
    if plugin.writes == "parquet":
        storage.write_tables(output, _named(clips["clip"], computed, plugin.load().column_names(settings)))
        return
    first = next(computed, None)
    if first is None:  # a shard without clips
        silence = np.zeros((1, rows.shape[1] if plugin.reads == "fixed" else settings["sampling_rate"]), np.float32)
        first = next(plugin.load().compute(silence, settings, **needed))[:0]
    with storage.ArrayWriter(output, first.shape[1:]) as out:
        for batch in itertools.chain([first], computed):
            out.write(batch)
            lengths.append(len(batch))
    if plugin.own_length:
        counts = np.array(lengths[: len(clips)], np.int64)
        clips = clips.append_column("offset", [np.cumsum(counts) - counts]).append_column("length", [counts])
    storage.write_table(output_index, clips)


def _audio(samples: Path, clips) -> Iterator[np.ndarray]:
    """Yield clips of an array of clips end to end, one at a time."""
    array = storage.FileArray(samples)
    for offset, length in zip(clips["offset"].to_pylist(), clips["length"].to_pylist(), strict=True):
        yield array[offset : offset + length]


def _finite(batches: Iterator[np.ndarray], clips, kind: str, *, one_by_one: bool) -> Iterator[np.ndarray]:
    """Yield batches of rows as float32; raise if one holds NaN or infinity, of which no model can be trained."""
    done = 0
    for batch in batches:
        values = np.asarray(batch, np.float32)
        if not np.isfinite(values).all():
            row = next(row for row, features in enumerate(values) if not np.isfinite(features).all())
            clip = clips[done if one_by_one else done + row]
            raise UserError(
                f"{kind}: the features of {clip} hold NaN or infinity; mend what computes them, or leave out the "
                "recording"
            )
        done += 1 if one_by_one else len(values)
        yield values


def _with_progress(batches: Iterator[np.ndarray], total: int, what: str, *, one_by_one: bool) -> Iterator[np.ndarray]:
    with progress(what, total=total, unit="clip") as advance:
        for batch in batches:
            yield batch
            advance(1 if one_by_one else len(batch))


def _named(clips, computed: Iterator[np.ndarray], names: list[str]) -> Iterator:
    """Collect batches of rows into tables of about :data:`ROWS_AT_ONCE` rows."""
    from serflow.storage.arrow import pa

    done, held = 0, [np.empty((0, len(names)), np.float32)]

    def table(rows: list[np.ndarray]):
        values = np.concatenate(rows)
        columns = dict(zip(names, np.ascontiguousarray(values.T), strict=True))
        return pa.table({"clip": clips.slice(done, len(values))} | columns)

    for batch in computed:
        held.append(batch)
        if sum(map(len, held)) >= ROWS_AT_ONCE:
            made = table(held)
            done, held = done + len(made), held[:1]
            yield made
    if held[1:] or not done:
        yield table(held)
