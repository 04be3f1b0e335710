"""Asking a trained model for the probabilities of its run's clips."""

from collections.abc import Sequence
from pathlib import Path

from serflow.models.data import Features, read_split
from serflow.models.keras_run import dataset, load_model, prepare
from serflow.storage import read_table, write_table

PROBABILITY = "p_{}"


def predict_test(model: Path, split: Path, features: Sequence[Path], *, fold: int, threads: int, output: Path) -> None:
    """Write the probabilities of a fold's clips.

    Parameters
    ----------
    model
        ``model.keras``.
    split, features, fold
        As in training.
    threads
        Threads of TensorFlow.
    output
        ``predictions.parquet``: clip, origin (the recording that a row is, or is a copy of), copy (kind of copy, null
        for a recording), part, label and a float32 column ``p_{class}`` for each class, for the clips of all parts.
    """
    from serflow.storage.arrow import pa

    prepare(0, threads)
    classes, parts = read_split(split, fold)
    data = Features(features)
    network = load_model(model)
    table = read_table(split, ["clip", "origin"])
    origin = dict(zip(table["clip"].to_pylist(), table["origin"].to_pylist(), strict=True))
    tables = []
    for part, (clips, labels) in parts.items():
        rows = data.rows(clips, labels, classes)
        probabilities = network.predict(dataset(data, rows, len(classes), 64), verbose=0)
        columns = {"clip": clips, "origin": [origin[clip] for clip in clips]}
        kinds = [clip.removeprefix(f"{origin[clip]}.") if clip != origin[clip] else None for clip in clips]
        columns |= {"copy": pa.array(kinds, pa.string()), "part": [part] * len(clips), "label": labels}
        columns |= {PROBABILITY.format(name): probabilities[:, code] for code, name in enumerate(classes)}
        tables.append(pa.table(columns))
    write_table(output, pa.concat_tables(tables))
