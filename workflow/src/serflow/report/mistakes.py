"""Wrong predictions of the best run with high confidence, over its folds and speakers, and what listeners heard."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from serflow.audio.read_recordings import Recordings
from serflow.corpus.crema_d_names import EMOTIONS, SENTENCES, VOTES
from serflow.evaluation.predictions import EvaluatedRun, RunKey, best_run, key_of, load_runs
from serflow.report.clip_figure import show_clip
from serflow.report.clips import KEYS
from serflow.storage import read_json, read_table, write_json


def draw_mistakes(
    evaluation: Path,
    *,
    metrics: Sequence[Path],
    predictions: Sequence[Path],
    catalog: Path,
    samples: Sequence[Path],
    indices: Sequence[Path],
    count: int,
    sampling_rate: int,
    mel: Mapping,
    index: Path,
    folder: Path,
) -> None:
    """Draw clips that the best run got wrong with high confidence, over its folds and speakers, with their recordings.

    Parameters
    ----------
    evaluation
        ``evaluation.json``, from which the best run follows.
    metrics
        ``metrics.json`` of every fold of every run in it.
    predictions
        ``predictions.parquet`` of the same folds, in the same order.
    catalog
        ``clips.parquet``, with the listeners' votes.
    samples, indices
        Arrays and indices of the recordings of all shards.
    count
        Maximum number of clips; fewer if fewer predictions are wrong.
    sampling_rate
        Of the recordings, in Hz.
    mel
        The section ``mel`` of the configuration.
    index
        JSON file to write: the run and its number of folds, the number of recordings and copies that it was tested
        on, the number of recordings with a wrong prediction, and the clips.
    folder
        Folder of ``mistake{nn}.png`` and ``mistake{nn}.wav``.
    """
    best = best_run(read_json(evaluation)["runs"])
    files = [pair for pair in zip(metrics, predictions, strict=True) if key_of(read_json(pair[0])) == key_of(best)]
    (run,) = load_runs(*zip(*files, strict=True))
    rows = {row["clip"]: row for row in read_table(catalog).to_pylist()}
    wrong = wrong_predictions(run)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("mistake*.*"):
        old.unlink()
    recorded, shown = Recordings(samples, indices), []
    for number, mistake in enumerate(choose_mistakes(wrong, rows, count).to_dict("records")):
        row = rows[mistake["clip"]]
        figure, audio = (f"mistake{number:02d}.{kind}" for kind in ("png", "wav"))
        show_clip(recorded[row["clip"]], mel, sampling_rate, figure=folder / figure, audio=folder / audio)
        shown.append(
            {key: row[key] for key in KEYS}
            | {key: mistake[key] for key in ("fold", "predicted", "confidence", "probabilities")}
            | {"text": SENTENCES.get(row["sentence"]), "heard": heard(row), "figure": figure, "audio": audio}
        )
    recordings = int((run.pooled.clips == run.pooled.origins).sum())
    known = {name: best[name] for name in (*RunKey._fields, "leaky")} | {"uar": best["pooled"]["uar"]}
    counts = {"n_clips": recordings, "n_copies": len(run.pooled.clips) - recordings, "wrong": len(wrong)}
    counts |= {"n_folds": len(run.folds)}
    write_json(index, {"run": known, **counts, "clips": shown})


def wrong_predictions(run: EvaluatedRun):
    """Return the wrong predictions on recordings (not on augmented copies), the highest confidence first.

    The ``pandas.DataFrame`` has the columns clip, fold (its name), truth, predicted, and, both after temperature
    scaling, confidence and probabilities (a dict by class).
    """
    import pandas as pd

    tables, classes = [], np.array(run.classes)
    for name, fold in zip(run.fold_names, run.folds, strict=True):
        wrong = fold.where(~fold.correct & (fold.clips == fold.origins))
        table = pd.DataFrame({"clip": wrong.clips, "fold": name, "confidence": wrong.calibrated.max(axis=1)})
        table["truth"], table["predicted"] = classes[wrong.truth], classes[wrong.predicted]
        table["probabilities"] = [dict(zip(run.classes, row, strict=True)) for row in wrong.calibrated.tolist()]
        tables.append(table)
    return pd.concat(tables).sort_values(["confidence", "clip"], ascending=[False, True], ignore_index=True)


def choose_mistakes(mistakes, catalog: Mapping[str, Mapping], count: int):
    """Return mistakes of each fold, speaker and confusion in turn, of those left the one with the highest confidence.

    Parameters
    ----------
    mistakes
        ``pandas.DataFrame`` with the columns clip, fold, truth and predicted, the highest confidence first.
    catalog
        Clip → its row, with ``speaker``.
    count
        Maximum number.
    """
    speakers = [catalog[clip]["speaker"] for clip in mistakes["clip"]]
    confusions = zip(mistakes["truth"], mistakes["predicted"], strict=True)
    of_mistake = list(zip(mistakes["fold"], speakers, confusions, strict=True))
    shown, left = [], list(range(len(mistakes)))
    times: Counter = Counter()
    while left and len(shown) < count:
        place = min(left, key=lambda row: [times[kind] for kind in enumerate(of_mistake[row])])
        times.update(enumerate(of_mistake[place]))
        shown.append(place)
        left.remove(place)
    return mistakes.loc[shown]


def heard(row: Mapping) -> dict | None:
    """Return the listeners' number of votes on a clip and the share of each emotion; None without votes."""
    votes = {emotion: row[column] for emotion, column in zip(sorted(EMOTIONS), VOTES, strict=True)}
    if None in votes.values() or not any(votes.values()):
        return None
    total = sum(votes.values())
    return {"votes": total, "shares": {emotion: count / total for emotion, count in votes.items()}}
