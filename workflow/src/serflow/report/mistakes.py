"""Wrong predictions of the headline run as pictures and recordings, and what listeners heard."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from serflow.audio.read_recordings import Recordings
from serflow.corpus.crema_d_names import EMOTIONS, SENTENCES, VOTES
from serflow.evaluation.predictions import RunKey, key_of
from serflow.inference.occlusion import Occlusion
from serflow.report.clip_figure import show_clip
from serflow.report.clips import KEYS
from serflow.storage import read_json, read_table, write_json


def draw_mistakes(
    evaluation: Path,
    *,
    catalog: Path,
    samples: Sequence[Path],
    indices: Sequence[Path],
    sampling_rate: int,
    mel: Mapping,
    index: Path,
    folder: Path,
) -> None:
    """Draw the clips that the headline run got wrong, with their recordings and which parts of them decide.

    Parameters
    ----------
    evaluation
        ``evaluation.json``, with the mistakes.
    catalog
        ``clips.parquet``, with the listeners' votes.
    samples, indices
        Arrays and indices of the recordings of all shards.
    sampling_rate
        Of the recordings, in Hz.
    mel
        The section ``mel`` of the configuration.
    index
        JSON file to write: the mistakes of ``evaluation.json`` with what is known of the clips.
    folder
        Folder of ``mistake{nn}.png`` and ``mistake{nn}.wav``.
    """
    evaluated = read_json(evaluation)
    mistakes = evaluated["explanation"]["occlusion"]
    run = next(run for run in evaluated["runs"] if key_of(run) == key_of(mistakes))
    rows = {row["clip"]: row for row in read_table(catalog).to_pylist()}
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("mistake*.*"):
        old.unlink()
    recorded, shown = Recordings(samples, indices), []
    for number, mistake in enumerate(mistakes["clips"]):
        row = rows[mistake["clip"]]
        files = {"figure": f"mistake{number:02d}.png", "audio": f"mistake{number:02d}.wav"}
        occlusion = mistake["occlusion"] and Occlusion(**mistake["occlusion"])
        places = {name: folder / file for name, file in files.items()}
        show_clip(recorded[row["clip"]], mel, sampling_rate, **places, occlusion=occlusion)
        shown.append(
            {key: row[key] for key in KEYS}
            | {key: mistake[key] for key in ("fold", "predicted", "confidence", "probabilities")}
            | {"text": SENTENCES.get(row["sentence"]), "heard": heard(row), **files}
        )
    known = {name: run[name] for name in (*RunKey._fields, "leaky")} | {"uar": run["pooled"]["uar"]}
    about = {name: mistakes[name] for name in ("n_clips", "n_copies", "wrong", "n_folds", "reason")}
    write_json(index, {"run": known, **about, "clips": shown})


def heard(row: Mapping) -> dict | None:
    """Return the listeners' number of votes on a clip and the share of each emotion; None without votes."""
    votes = {emotion: row[column] for emotion, column in zip(sorted(EMOTIONS), VOTES, strict=True)}
    if None in votes.values() or not any(votes.values()):
        return None
    total = sum(votes.values())
    return {"votes": total, "shares": {emotion: count / total for emotion, count in votes.items()}}
