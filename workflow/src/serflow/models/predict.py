"""Probabilities that a trained model gives to the clips of its run."""

from collections.abc import Sequence
from pathlib import Path

from serflow.models.data import Features, read_split
from serflow.models.keras_run import dataset, load_model, prepare
from serflow.storage import write_table

PROBABILITY = "p_{}"


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
    data, network, tables = Features(features, indices), load_model(model, architecture), []
    for part, columns in parts.items():
        clips, origins, labels = columns["clip"], columns["origin"], columns["label"]
        probabilities = network.predict(dataset(data, data.rows(clips, labels, classes), len(classes), 64), verbose=0)
        copies = [
            None if clip == origin else clip.removeprefix(f"{origin}.")
            for clip, origin in zip(clips, origins, strict=True)
        ]
        columns = {"clip": clips, "origin": origins, "copy": pa.array(copies, pa.string())}
        columns |= {"part": [part] * len(clips), "label": labels}
        columns |= {PROBABILITY.format(name): probabilities[:, code] for code, name in enumerate(classes)}
        tables.append(pa.table(columns))
    write_table(output, pa.concat_tables(tables))
