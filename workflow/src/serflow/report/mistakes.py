"""The most instructive mistakes of the best run: what it was sure of and wrong, and what listeners heard."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from serflow.audio.segments import read_row
from serflow.corpus.crema_d_names import EMOTIONS, SENTENCES
from serflow.corpus.locations import Location
from serflow.evaluation.predictions import Predictions, RunKey, load_runs
from serflow.report.best import best_run
from serflow.report.clip_figure import show_clip
from serflow.report.clips import KEYS
from serflow.storage import read_json, read_table, write_json


class Mistake(NamedTuple):
    """A wrong answer: the clip, its label and the one predicted, and the calibrated probability of each label."""

    clip: str
    truth: str
    predicted: str
    probabilities: dict[str, float]

    @property
    def confidence(self) -> float:
        """The calibrated probability of the answer."""
        return self.probabilities[self.predicted]


def draw_mistakes(
    evaluation: Path,
    *,
    runs: Sequence[Path],
    catalog: Path,
    source: Location,
    count: int,
    sampling_rate: int,
    mel: Mapping,
    index: Path,
    folder: Path,
) -> None:
    """Draw the most instructive mistakes and put the recordings beside them.

    Parameters
    ----------
    evaluation
        ``evaluation.json``, which says which run is the best.
    runs
        ``metrics.json`` of every fold of every run in it; the predictions lie beside it.
    catalog
        ``clips.parquet``, with the listeners' votes.
    source
        The corpus' recordings: see :func:`serflow.corpus.locations.places_of`.
    count
        How many; fewer where fewer answers are wrong.
    sampling_rate
        Of the recordings written, in Hz.
    mel
        The section ``mel`` of the configuration.
    index
        JSON: the run, how many recordings (not augmented copies) it was tested on and how many answers are wrong, and
        what was drawn.
    folder
        Of ``mistake{nn}.png`` and ``mistake{nn}.wav``.
    """
    best = best_run(read_json(evaluation)["runs"])
    key = RunKey(*(best[name] for name in RunKey._fields))
    (run,) = load_runs([path for path in runs if RunKey(*(read_json(path)[name] for name in RunKey._fields)) == key])
    rows = {row["clip"]: row for row in read_table(catalog).to_pylist()}
    found = wrong_answers(run.pooled, run.classes)
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("mistake*.*"):  # of another count
        left.unlink()
    drawn = []
    for number, mistake in enumerate(choose_mistakes(found, rows, count)):
        row = rows[mistake.clip]
        figure, audio = (f"mistake{number:02d}.{kind}" for kind in ("png", "wav"))
        samples = read_row(source, row, sampling_rate)
        show_clip(samples, mel, sampling_rate, figure=folder / figure, audio=folder / audio)
        drawn.append(
            {key: row[key] for key in KEYS}
            | {"text": SENTENCES.get(row["sentence"]), "predicted": mistake.predicted, "confidence": mistake.confidence}
            | {"probabilities": mistake.probabilities, "heard": heard(row)}
            | {"figure": f"{folder.name}/{figure}", "audio": f"{folder.name}/{audio}"}
        )
    recordings = sum("." not in clip for clip in run.pooled.clips)
    known = {name: best[name] for name in (*RunKey._fields, "leaky")} | {"uar": best["pooled"]["uar"]}
    write_json(index, {"run": known, "n_clips": recordings, "wrong": len(found), "drawn": drawn})


def wrong_answers(answers: Predictions, classes: Sequence[str]) -> list[Mistake]:
    """Give the wrong answers on recordings (not on augmented copies), the surest first."""
    confidence = answers.scaled.max(axis=1)
    order = sorted(np.flatnonzero(~answers.right), key=lambda row: (-confidence[row], answers.clips[row]))
    return [
        Mistake(
            clip=str(answers.clips[row]),
            truth=classes[answers.truth[row]],
            predicted=classes[answers.predicted[row]],
            probabilities=dict(zip(classes, answers.scaled[row].tolist(), strict=True)),
        )
        for row in order
        if "." not in answers.clips[row]
    ]


def choose_mistakes(found: Sequence[Mistake], catalog: Mapping[str, Mapping], count: int) -> list[Mistake]:
    """Choose the surest mistake of each confusion in turn, and at most one of a speaker saying the same sentence.

    Parameters
    ----------
    found
        The surest first.
    catalog
        Clip → its row, with ``speaker`` and ``sentence``.
    count
        How many at most.
    """
    chosen: list[Mistake] = []
    spoken = set()
    waiting = list(found)
    while waiting and len(chosen) < count:
        confused, later = set(), []
        for mistake in waiting:
            row = catalog[mistake.clip]
            said = (row["speaker"], row["sentence"] or mistake.clip)  # where nobody knows what is said
            if said in spoken:
                continue
            if len(chosen) == count or (mistake.truth, mistake.predicted) in confused:
                later.append(mistake)
                continue
            confused.add((mistake.truth, mistake.predicted))
            spoken.add(said)
            chosen.append(mistake)
        waiting = later
    return chosen


def heard(row: Mapping) -> dict | None:
    """Give what listeners chose for a clip: the number of votes, and the share of each emotion; None without votes."""
    votes = {emotion: row[f"votes_{emotion}"] for emotion in sorted(EMOTIONS)}
    if None in votes.values() or not any(votes.values()):
        return None
    total = sum(votes.values())
    return {"votes": total, "shares": {emotion: count / total for emotion, count in votes.items()}}
