"""Labelling recordings with a bundle."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from serflow.bundle.output import table_format, write_rows
from serflow.bundle.reader import open_bundle
from serflow.inference.label import label_recordings
from serflow.inference.recordings import list_recordings, shard_of_recording
from serflow.metrics.calibration import apply_temperature
from serflow.runtime.errors import UserError


def predict_recordings(
    bundle: str,
    inputs: Sequence[str],
    /,
    *,
    output: Path | None = None,
    format: str | None = None,
    timeline: Path | None = None,
    threads: int | None = None,
    shard: int | None = None,
    shards: int | None = None,
) -> None:
    """Label recordings and write a row for each.

    Parameters
    ----------
    bundle
        A file of :func:`serflow.bundle.pack.bundle_model`.
    inputs
        Recordings: files, folders, a CSV table with the column ``file``, or ``-`` for standard input.
    output
        Table to write; standard output by default. Columns: file, label, confidence (calibrated), ``p_{class}`` (as the
        model gives them), seconds, windows, problem.
    format
        ``csv``, ``json`` or ``parquet``; by default chosen by the suffix of ``output``, CSV on standard output.
    timeline
        Table with a row for each window: file, start, end, label, ``p_{class}``; CSV, JSON or Parquet by its suffix.
    threads
        Number of threads of the features and of the model.
    shard
        Label only the recordings of this shard.
    shards
        Number of shards.

    Raises
    ------
    UserError
        If the bundle or an input as a whole cannot be used.
    SystemExit
        With code 3, after everything is written, if recordings could not be labelled; each is named on standard
        error and has a ``problem``.
    """
    if (shard is None) != (shards is None) or (shards is not None and shard >= shards):
        raise UserError("--shard and --shards belong together: --shard 0 --shards 4 labels the first of four parts")
    table_format(output, format)
    if timeline:
        table_format(timeline)
    about, classifier, _ = open_bundle(bundle, threads or 1)
    classes = about["classes"]
    recordings = list_recordings(inputs)
    if shards is not None:
        recordings = (recording for recording in recordings if shard_of_recording(recording, shards) == shard)
    count, failed, windows = 0, 0, []

    def rows() -> Iterator[tuple]:
        nonlocal count, failed
        for prediction in label_recordings(classifier, recordings):
            count += 1
            if prediction.problem:
                failed += 1
                print(f"serflow predict: {prediction.problem}", file=sys.stderr, flush=True)
                yield (prediction.file, *[None] * (len(classes) + 4), prediction.problem)
                continue
            mean = prediction.probabilities
            confidence = apply_temperature(mean[None], about["temperature"]).max()
            known = prediction.seconds, len(prediction.windows), None
            yield (prediction.file, classes[int(mean.argmax())], float(confidence), *map(float, mean), *known)
            if timeline:
                windows.extend(
                    (prediction.file, start, end, classes[int(row.argmax())], *map(float, row))
                    for start, end, row in prediction.windows
                )

    shares = {f"p_{name}": "float32" for name in classes}
    columns = {"file": "string", "label": "string", "confidence": "float64", **shares}
    write_rows(rows(), {**columns, "seconds": "float64", "windows": "int32", "problem": "string"}, output, format)
    if timeline:
        columns = {"file": "string", "start": "float64", "end": "float64", "label": "string", **shares}
        write_rows(windows, columns, timeline)
    if failed:
        print(f"serflow predict: {failed} of {count} recordings were skipped", file=sys.stderr)
        raise SystemExit(3)
