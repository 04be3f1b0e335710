"""Probabilities that a trained model gives to the clips of its run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from serflow.corpus.ids import copy_kind
from serflow.models.batches import dataset
from serflow.models.data import read_split
from serflow.models.keras_run import load_model, prepare
from serflow.models.standardize import open_features
from serflow.storage import read_table, write_table

PROBABILITY = "p_{}"


def predict_test(
    model: Path,
    architecture: str,
    split: Path,
    features: Sequence[Path],
    *,
    indices: Sequence[Path],
    before_refit: Path,
    settings: Mapping,
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
    before_refit
        What the model gave before it was fitted again on validation clips, if it was.
    settings
        All settings of the model.
    fold
        Number of the fold.
    threads
        Number of threads of TensorFlow.
    output
        ``predictions.parquet``: a row for each clip of all three parts. Columns: ``clip``; ``origin``, the recording
        that the clip is, or is a copy of; ``copy``, the kind of copy, null for a recording; ``part``; ``label``; and
        ``p_{class}``, float32, for each class. Validation clips have the probabilities from before a refit.
    """
    import pyarrow.compute as pc

    from serflow.storage.arrow import pa

    prepare(0, threads)
    classes, parts = read_split(split, fold, settings["copies"])
    data, network = open_features(architecture, features, indices, settings), load_model(model, architecture)
    earlier = read_table(before_refit)
    if len(earlier):
        del parts["valid"]
    found = probability_table(network, data, parts, classes)
    write_table(output, pa.concat_tables([found, earlier.filter(pc.equal(earlier["part"], "valid"))]))


def probability_table(network, data, parts: Mapping[str, Mapping[str, list]], classes: Sequence[str]):
    """Return the table of :func:`predict_test` for the rows of :func:`serflow.models.data.read_split`."""
    from serflow.storage.arrow import pa

    kinds = dict.fromkeys(("clip", "origin", "copy", "part", "label"), pa.string())
    shares = {PROBABILITY.format(name): pa.float32() for name in classes}
    tables = [pa.schema([*kinds.items(), *shares.items()]).empty_table()]
    for part, columns in parts.items():
        clips, origins, labels = columns["clip"], columns["origin"], columns["label"]
        probabilities = network.predict(dataset(data, data.rows(clips, labels, classes), len(classes), 64), verbose=0)
        copies = [copy_kind(clip, origin) for clip, origin in zip(clips, origins, strict=True)]
        columns = {"clip": clips, "origin": origins, "copy": pa.array(copies, pa.string())}
        columns |= {"part": [part] * len(clips), "label": labels}
        columns |= {PROBABILITY.format(name): probabilities[:, code] for code, name in enumerate(classes)}
        tables.append(pa.table(columns))
    return pa.concat_tables(tables)
