"""Variants of the logistic regression over embeddings, on the results of a run: validation and test UAR of each.

    python tests/bench/embeddings.py results/crema-d

reads the embeddings and the splits of ``speaker-independent`` and prints a Markdown table: mean and standard deviation
over folds. Each variant is fitted on the training speakers of each fold; "refit" is fitted on training and validation
speakers together.
"""

import sys
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from serflow.corpus.ids import speaker_of
from serflow.storage import open_array, read_json, read_table

warnings.simplefilter("ignore", ConvergenceWarning)


def read(results: Path, encoder: str = "whisper-tiny.en"):
    """Return clips, embeddings (clips, layers, statistics · width) and, per fold, the rows of each part."""
    shards = sorted((results / "embedding" / encoder).glob("*.npy"))
    clips = [clip for path in shards for clip in read_table(path.with_suffix(".parquet"))["clip"].to_pylist()]
    values = np.concatenate([open_array(path) for path in shards])
    row_of = {clip: row for row, clip in enumerate(clips)}
    folds: dict[int, dict[str, list]] = {}
    labels = np.empty(len(clips), object)
    for row in read_table(results / "splits/speaker-independent.parquet").to_pylist():
        if row["clip"] == row["origin"]:
            folds.setdefault(row["fold"], {}).setdefault(row["part"], []).append(row_of[row["clip"]])
            labels[row_of[row["clip"]]] = row["label"]
    return clips, values, labels, [folds[fold] for fold in sorted(folds)]


def uar(truth, predicted) -> float:
    """Return the mean recall over classes."""
    return float(np.mean([(predicted[truth == name] == name).mean() for name in sorted(set(truth))]))


def by_speaker(values: np.ndarray, clips: list[str]) -> np.ndarray:
    """Standardise by all clips of each speaker."""
    speakers = np.array([speaker_of(clip) for clip in clips])
    out = np.empty_like(values)
    for speaker in np.unique(speakers):
        rows = speakers == speaker
        out[rows] = (values[rows] - values[rows].mean(0)) / values[rows].std(0)
    return out


def logistic(strength: float = 0.001):
    """Return scikit-learn's logistic regression as serflow uses it."""
    return LogisticRegression(C=strength, max_iter=100)


def main(results: Path) -> None:
    """Print the table."""
    clips, values, labels, folds = read(results)
    width = values.shape[2] // 2
    blocks = read_json(Path("resources/encoders/whisper-tiny.en.json"))["blocks"]
    chosen = values[:, blocks]
    whole = chosen.reshape(len(clips), -1)
    scaled = {
        "logistic": lambda: make_pipeline(StandardScaler(), logistic()),
        "none": lambda: logistic(),
    }
    variants = [("all blocks, mean and std, training speakers, C 0.001", whole, scaled["logistic"])]
    variants += [(f"block {block} alone", values[:, block], scaled["logistic"]) for block in blocks]
    variants += [
        ("mean only", chosen[..., :width].reshape(len(clips), -1), scaled["logistic"]),
        ("std only", chosen[..., width:].reshape(len(clips), -1), scaled["logistic"]),
        ("all six layers", values.reshape(len(clips), -1), scaled["logistic"]),
        ("not standardised", whole, scaled["none"]),
        ("standardised by speaker", by_speaker(whole, clips), scaled["none"]),
    ]
    variants += [
        (f"C {strength:g}", whole, lambda strength=strength: make_pipeline(StandardScaler(), logistic(strength)))
        for strength in (0.0001, 0.0003, 0.003, 0.01)
    ]
    variants += [
        ("linear SVM, C 0.0001", whole, lambda: make_pipeline(StandardScaler(), LinearSVC(C=0.0001, dual=False))),
        (
            "MLP, 128 units, early stopping",
            whole,
            lambda: make_pipeline(
                StandardScaler(), MLPClassifier((128,), alpha=1, early_stopping=True, random_state=0)
            ),
        ),
    ]
    print("| variant | validation UAR | test UAR | test UAR, refit | s |\n|---|---:|---:|---:|---:|")
    for name, features, model in variants:
        started, found = time.perf_counter(), []
        for parts in folds:
            train, valid, test = (np.array(parts[part]) for part in ("train", "valid", "test"))
            fitted = model().fit(features[train], labels[train])
            both = np.concatenate([train, valid])
            refitted = model().fit(features[both], labels[both])
            pairs = (fitted, valid), (fitted, test), (refitted, test)
            found.append([uar(labels[rows], each.predict(features[rows])) for each, rows in pairs])
        scores = [
            f"{100 * m:.1f} ± {100 * s:.1f}" for m, s in zip(np.mean(found, 0), np.std(found, 0, ddof=1), strict=True)
        ]
        print(f"| {name} | {' | '.join(scores)} | {time.perf_counter() - started:.0f} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
