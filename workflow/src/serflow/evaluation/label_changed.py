"""Labelling changed clips with the model of a run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from serflow.evaluation.change_clips import ABOUT, CLIPS
from serflow.inference.classifier import Classifier
from serflow.inference.trained import TrainedNetwork
from serflow.models.architectures import ARCHITECTURES
from serflow.models.keras_run import prepare
from serflow.models.moments import moments_of
from serflow.models.named import GROUPS, features_of
from serflow.models.predict import PROBABILITY
from serflow.storage import open_array, read_json, read_table, write_table


def label_changed(
    model: Path,
    architecture: str,
    features: Path,
    *,
    training: Path,
    settings: Mapping,
    threads: int,
    output: Path,
) -> None:
    """Write the probabilities of a run for the changed clips of a fold.

    A model that standardises by speaker or corpus is adapted by all changed clips of the speaker or corpus in the fold,
    as it is by all unchanged ones in its predictions. Every clip gets an answer, also one in which no speech is left.

    Parameters
    ----------
    model
        Trained model, ``model.keras``.
    architecture
        Name of the model's architecture.
    features
        The folder that :func:`serflow.evaluation.change_clips.change_clips` wrote.
    training
        ``training.json`` of the run.
    settings
        All settings of the model.
    threads
        Number of threads of TensorFlow.
    output
        Table with the columns ``variant``, ``clip``, ``label``, ``p_{class}`` and ``reason``: why the variant cannot be
        made; then there is one row, without a clip.
    """
    from serflow.storage.arrow import pa

    about, classes = read_json(features / ABOUT), read_json(training)["classes"]
    names = [PROBABILITY.format(name) for name in classes]
    schema = pa.schema(
        [("variant", pa.string()), ("clip", pa.string()), ("label", pa.string())]
        + [(name, pa.float32()) for name in names]
        + [("reason", pa.string())]
    )
    if about["reason"]:
        rows = [{"variant": variant, "reason": about["reason"]} for variant in about["variants"]]
        write_table(output, pa.Table.from_pylist(rows, schema))
        return
    prepare(0, threads)
    kind = features_of(ARCHITECTURES[architecture], settings)
    classifier = Classifier(TrainedNetwork(model, architecture), kind, {}, threads)
    clips, group_of = read_table(features / CLIPS), GROUPS.get(settings["standardize"])
    groups = groups_of(clips, group_of) if group_of else None
    tables = []
    for variant in about["variants"]:
        batches = [features / variant / f"{number}.npy" for number in range(max(clips["batch"].to_pylist()) + 1)]
        shares = np.concatenate(list(answers(classifier, batches, groups, about["columns"])))
        columns = {"variant": [variant] * len(clips), "clip": clips["clip"], "label": clips["label"]}
        columns |= {name: shares[:, code] for code, name in enumerate(names)}
        tables.append(pa.table(columns | {"reason": pa.nulls(len(clips), pa.string())}, schema))
    write_table(output, pa.concat_tables(tables))


def groups_of(clips, group_of: Callable[[str], str]) -> list[str]:
    """Return the group of each batch, by the table of clips."""
    groups = {
        number: group_of(clip)
        for clip, number in zip(*clips.select(["clip", "batch"]).to_pydict().values(), strict=True)
    }
    return [groups[number] for number in sorted(groups)]


def answers(
    classifier: Classifier, batches: Sequence[Path], groups: Sequence[str] | None, columns: Sequence[str] | None
) -> Iterator[np.ndarray]:
    """Yield the probabilities of the clips of each batch, float32 of shape (clips, classes).

    Parameters
    ----------
    classifier
        The model.
    batches
        Files with the features of each batch.
    groups
        The group of each batch, by all batches of which the model is adapted to it; None for other models.
    columns
        Names of the columns of the features, if they have any.
    """
    moments = {}
    for group in dict.fromkeys(groups or ()):
        of_group = (open_array(path) for path, other in zip(batches, groups, strict=True) if other == group)
        moments[group] = moments_of(of_group, columns)
    for number, path in enumerate(batches):
        adapted = classifier._replace(moments=moments[groups[number]]) if groups else classifier
        yield adapted.answer(np.array(open_array(path)))
