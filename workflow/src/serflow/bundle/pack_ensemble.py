"""Packing an ensemble: the bundles of its members in one file, with their weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from serflow.bundle import CARD
from serflow.bundle.pack import count_clips, described, model_card_of, write_bundle
from serflow.evaluation.predictions import load_runs
from serflow.storage import read_json


def bundle_ensemble(
    members: Sequence[Path],
    *,
    training: Path,
    predictions: Path,
    metrics: Path,
    clips: Path,
    corpus: str,
    resampling: Mapping,
    contact: str | None = None,
    licence: str | None = None,
    output: Path,
) -> None:
    """Write the bundle of an ensemble.

    Parameters
    ----------
    members
        Bundles of the members.
    training
        ``training.json`` of the ensemble, with the weights of the members in the same order.
    predictions
        ``predictions.parquet`` of the ensemble.
    metrics
        ``metrics.json`` of the ensemble.
    clips
        ``clips.parquet``: the groups that speakers belong to.
    corpus
        Name of the corpus.
    resampling
        ``resamples`` and ``seed`` of the intervals in the model card.
    contact, licence
        Whom to ask about the model, and the licence that it is under, for the model card.
    output
        A zip archive: ``bundle.json``, ``README.md`` and the members, ``member0.zip``, ``member1.zip`` …
    """
    trained, (run,) = read_json(training), load_runs([metrics], [predictions])
    chosen = zip(trained["layers"], trained["chosen"]["weights"], strict=True)
    about = described(run, training, corpus, contact, licence) | {"clips": count_clips(predictions)}
    about["members"] = [{"name": layer["name"], "weight": weight} for layer, weight in chosen]
    card = model_card_of(about, run, clips, resampling)
    files = {f"member{number}.zip": Path(path).read_bytes() for number, path in enumerate(members)}
    write_bundle(output, about, {CARD: card, **files})
