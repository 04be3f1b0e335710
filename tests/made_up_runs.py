"""Runs of made-up predictions, their evaluation and their page."""

import json

import numpy as np
import pyarrow as pa

from serflow.evaluation.mistakes import explain_mistakes
from serflow.evaluation.run_metrics import evaluate_model
from serflow.evaluation.runs import evaluate_runs
from serflow.report.page import render_report
from serflow.storage import write_json, write_table

CLASSES = ["ANG", "DIS", "FEA", "HAP", "NEU", "SAD"]
SETTINGS = {"resamples": 300, "seed": 0, "bins": 15, "accuracies": [0.7, 0.9]}
SETTINGS |= {"checks": {"answered": 0.2, "baseline": "chancy", "ece": 0.1}}
SPEAKERS = [str(speaker) for speaker in range(1001, 1013)]


def clips_of(speaker):
    return [f"{speaker}_{sentence}_{emotion}_XX" for sentence in ("DFA", "IEO", "TAI") for emotion in CLASSES]


def write_run(folder, protocol, model, fold, skill, extra=(), speakers=SPEAKERS, change=None):
    """Write predictions and training of a run: four of twelve speakers are tested on, four validated on.

    ``change`` turns the clips, their truth and logits into other logits.
    """
    rng = np.random.default_rng([len(model), fold, len(protocol)])
    tested = speakers[fold * 4 : fold * 4 + 4]
    following = speakers[(fold * 4 + 4) % 12 :][:4]
    rows = []
    for speaker in speakers:
        part = "test" if speaker in tested else "valid" if speaker in following else "train"
        rows += [(clip, clip, part, clip.split("_")[2]) for clip in clips_of(speaker)]
    rows += extra
    rng.shuffle(rows := [list(row) for row in rows])
    truth = np.array([CLASSES.index(row[3]) for row in rows])
    logits = rng.normal(size=(len(rows), 6)) + skill * np.eye(6)[truth]
    if change:
        logits = change([row[0] for row in rows], truth, logits)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    columns = {key: [row[place] for row in rows] for place, key in enumerate(("clip", "origin", "part", "label"))}
    columns |= {f"p_{name}": p[:, code].astype(np.float32) for code, name in enumerate(CLASSES)}
    where = folder / protocol / model / f"fold{fold}"
    write_table(where / "predictions.parquet", pa.table(columns))
    trained = {"model": model, "classes": CLASSES, "parameters": 9, "epochs": 2, "best_epoch": 1, "seconds": 1.5}
    trained |= {"standardize": "training", "refit": False, "chosen": None}
    trained["layers"] = [{"name": "dense", "type": "Dense", "output_shape": [6], "parameters": 9}]
    write_json(where / "training.json", trained)
    options = {"protocol": protocol, "seed": 0, "fold": fold, "output": where / "metrics.json"}
    evaluate_model(where / "predictions.parquet", where / "training.json", **options)
    return where / "metrics.json"


def evaluate(folder, metrics, project, importances=(), robustness=()):
    """Write evaluation.json of some runs, with the published results."""
    predictions = [path.parent / "predictions.parquet" for path in metrics]
    choose_mistakes_of(metrics, predictions, folder / "clips.parquet", folder / "explained_mistakes.json")
    evaluate_runs(
        metrics,
        predictions,
        enrolments=[],
        importances=importances,
        mistakes=folder / "explained_mistakes.json",
        robustness=robustness,
        clips=folder / "clips.parquet",
        published=json.loads((project / "resources/notebook_runs.json").read_text()),
        settings=SETTINGS,
        output=folder / "evaluation.json",
    )


def choose_mistakes_of(metrics, predictions, catalog, output, count=3, **explained):
    """Choose the mistakes of the headline run; without models of folds that can be explained they are not explained."""
    nothing = dict.fromkeys(("explained", "models", "trainings", "samples", "indices", "encoders", "descriptions"), ())
    options = {"catalog": catalog, "length": None, "preprocessing": {}, "count": count, "threads": 1, "output": output}
    explain_mistakes(metrics, predictions, **(nothing | options | explained))


def write_catalog(folder, speakers=SPEAKERS):
    """Write the catalogue of their clips: all but two speakers have votes."""
    rows = [
        {"clip": clip, "speaker": speaker, "sentence": clip.split("_")[1], "emotion": clip.split("_")[2], "level": "XX"}
        | {"sex": "Male" if number % 2 else "Female", "age": 20 + number * 3, "race": "x"}
        | {"ethnicity": None, "group_room": "big" if number < 4 else "small"}
        | {f"votes_{name}": int(name == clip.split("_")[2]) + 1 if number > 2 else None for name in CLASSES}
        for number, speaker in enumerate(speakers, 1)
        for clip in clips_of(speaker)
    ]
    write_table(folder / "clips.parquet", pa.Table.from_pylist(rows))


def write_page(folder, paths, page, epochs=1, flagged=()):
    """Render the page of made-up runs: without clips and mistakes."""
    for name, content in {
        "audit": {"clips": 9, "speakers": 3, "hours": 0.1, "excluded": 0, "left_out": 0, "rates": {"16000": 9}}
        | {"identical_audio": [], "emotions": {"ANG": 9}, "rules": {}, "labels": []}
        | {"used": {"clips": 9, "speakers": 3, "hours": 0.1, "emotions": {"ANG": 9}}},
        "length": {"target_length": 9, "origin": "o", "rule": "r", "frames": 1, "frame_size": 9, "hop_length": 4},
        "clips": {"clips": []},
        "mistakes": {"run": {"protocol": "notebook", "model": "good", "seed": 0, "leaky": True}, "clips": []}
        | {"wrong": 0, "n_clips": 9, "n_copies": 0, "n_folds": 1, "reason": None},
        "provenance": {
            "python": "3",
            "packages": {},
            "splits": {},
            "encoders": [],
            "seconds": {"read_recordings": 2.0, "train_model": 31.5},
            "stages": {"audio": ["read_recordings"], "models": ["train_model"]},
            "corpus": {"sha256": ""},
        }
        | {"serflow": {"version": "0", "commit": None}, "hardware": {"system": "s", "cores": 1, "processor": "p"}},
    }.items():
        if name == "mistakes":
            content["run"]["uar"] = {"value": 0.5, "low": None, "high": None}
        write_json(folder / f"{name}.json", content)
    (folder / "excluded.tsv").write_text("file\trule\treason\tleft_out_of\n")
    (folder / "flagged.tsv").write_text("\n".join(["file\trule\treason", *map("\t".join, flagged)]) + "\n")
    for path in paths:
        (path.parent / "history.csv").write_text(
            "epoch,loss,accuracy,val_loss,val_accuracy,seconds\n"
            + "".join(f"{epoch},1.5,0.2,1.4,0.3,2\n" for epoch in range(1, epochs + 1))
        )
    render_report(
        corpus="mine",
        excluded=folder / "excluded.tsv",
        flagged=folder / "flagged.tsv",
        config={
            "mel": {"n_mels": 4, "n_fft": 8, "hop_length": 2},
            "frames": {"size": None, "hop": None},
            "sampling_rate": 16000,
            "format": None,
            "chosen_on": {},
        },
        figures=[],
        recordings=[],
        searches=[],
        mistakes_folder=folder,
        metrics=paths,
        training=[path.parent / "training.json" for path in paths],
        history=[path.parent / "history.csv" for path in paths],
        output=page,
        **{
            name: folder / f"{name}.json"
            for name in ("audit", "length", "clips", "mistakes", "evaluation", "provenance")
        },
    )
    return page.read_text()
