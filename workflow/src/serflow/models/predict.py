"""Probabilities that a trained model gives to the clips of its run."""

from collections.abc import Sequence
from pathlib import Path

from serflow.models.data import Features, read_split
from serflow.models.keras_run import dataset, load_model, prepare
from serflow.storage import write_table

PROBABILITY = "p_{}"
_BATCH = 64


def predict_test(
    model: Path,
    architecture: str,
    split: Path,
    features: Sequence[Path],
    *,
    indices: Sequence[Path],
    fold: int,
    threads: int,
    output: Path,
) -> None:
    """Write the probabilities of a fold's clips.

    Parameters
    ----------
    model
        Trained model, ``model.keras``.
    architecture
        Name of the model's architecture.
    split
        Split table of the protocol.
    features
        Feature shards.
    indices
        Index tables of the feature shards, in the same order, where these are ``.npy`` arrays.
    fold
        Number of the fold.
    threads
        Number of threads of TensorFlow.
    output
        ``predictions.parquet``: a row for each clip of all three parts. Columns: ``clip``; ``origin``, the recording
        that the clip is, or is a copy of; ``copy``, the kind of copy, null for a recording; ``part``; ``label``; and
        ``p_{class}``, float32, for each class.
    """
    from serflow.storage.arrow import pa

    prepare(0, threads)
    classes, parts = read_split(split, fold)
    data = Features(features, indices)
    network = load_model(model, architecture)
    tables = []
    for name, part in parts.items():
        rows = data.rows(part.clips, part.labels, classes)
        probabilities = network.predict(dataset(data, rows, len(classes), _BATCH), verbose=0)
        copies = [
            None if clip == origin else clip.removeprefix(f"{origin}.")
            for clip, origin in zip(part.clips, part.origins, strict=True)
        ]
        columns = {"clip": part.clips, "origin": part.origins, "copy": pa.array(copies, pa.string())}
        columns |= {"part": [name] * len(part.clips), "label": part.labels}
        columns |= {PROBABILITY.format(name): probabilities[:, code] for code, name in enumerate(classes)}
        tables.append(pa.table(columns))
    write_table(output, pa.concat_tables(tables))
