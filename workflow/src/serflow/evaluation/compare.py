"""All runs in one table, beside the references and the notebook's published figures."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from serflow.evaluation.published import N_TEST, N_TRAIN, N_VALID, RUNS, PublishedRun
from serflow.splits.split_clips import LEAKY
from serflow.storage import read_json, write_text

COLUMNS = (
    "run",
    "source",
    "protocol",
    "leaky",
    "model",
    "seed",
    "fold",
    "train_accuracy",
    "valid_accuracy",
    "test_accuracy",
    "f1_weighted",
    "uar",
    "uar_low",
    "uar_high",
    "n_train",
    "n_valid",
    "n_test",
    "parameters",
    "epochs",
    "seconds",
)
MODEL, REFERENCE, PUBLISHED = "serflow", "reference", "notebook, published"


def comparison_rows(metrics: Sequence[Path], evaluation: Mapping) -> list[dict]:
    """Give a row for each run and fold, then the references, then the notebook's four; keys are :data:`COLUMNS`.

    A run of several folds has a row for all of them together, with ``all`` as its fold.
    """
    rows = []
    by_run: dict[tuple, list[dict]] = {}
    for path in metrics:
        found = read_json(path)
        by_run.setdefault((found["protocol"], found["model"], found["seed"]), []).append(found)
    for run in evaluation["runs"]:
        folds = by_run[run["protocol"], run["model"], run["seed"]]
        rows.append(_pooled_row(run, folds))
        if len(folds) > 1:
            rows += [_fold_row(run, found) for found in sorted(folds, key=lambda found: found["fold"])]
    for protocol, found in evaluation["references"].items():
        rows += _reference_rows(protocol, found)
    return rows + [_published_row(run, row["uar"]) for run, row in zip(RUNS, evaluation["published"], strict=True)]


def _row(**values) -> dict:
    return dict.fromkeys(COLUMNS) | values


def _scores(measured: Mapping) -> dict:
    return {
        "test_accuracy": measured["accuracy"]["value"],
        "f1_weighted": measured["f1_weighted"]["value"],
        "uar": measured["uar"]["value"],
        "uar_low": measured["uar"]["low"],
        "uar_high": measured["uar"]["high"],
    }


def _pooled_row(run: Mapping, folds: Sequence[Mapping]) -> dict:
    """Describe a run over all of its folds: test clips pooled, the other figures as means or sums."""
    several = len(folds) > 1
    clips = {f"n_{part}": sum(found[f"n_{part}"] for found in folds) for part in ("train", "valid", "test")}
    return _row(
        run=f"{run['model']} seed {run['seed']} ({_label(run['protocol'])})",
        source=MODEL,
        **{key: run[key] for key in ("protocol", "leaky", "model", "seed")},
        fold="all" if several else folds[0]["fold"],
        train_accuracy=sum(found["train_accuracy"] for found in folds) / len(folds),
        valid_accuracy=sum(found["valid_accuracy"] for found in folds) / len(folds),
        **_scores(run["pooled"]),
        **(clips if not several else {"n_test": clips["n_test"]}),
        parameters=folds[0]["parameters"],
        epochs=None if several else folds[0]["epochs"],
        seconds=sum(found["seconds"] for found in folds),
    )


def _fold_row(run: Mapping, found: Mapping) -> dict:
    measured = next(fold for fold in run["folds"] if fold["fold"] == found["fold"])
    name = f"{run['model']} seed {run['seed']} fold {found['fold']} ({_label(run['protocol'])})"
    known = {key: found[key] for key in COLUMNS[2:] if key in found}
    return _row(run=name, source=MODEL) | known | _scores(measured)


def _reference_rows(protocol: str, found: Mapping) -> list[dict]:
    known = {"source": REFERENCE, "protocol": protocol, "leaky": False}
    even = found["chance"]
    rows = [
        _row(run=f"chance ({protocol})", **known, test_accuracy=even, uar=even),
        _row(
            run=f"majority class ({protocol})",
            **known,
            **_scores(found["majority_class"]),
            n_test=found["majority_class"]["n_clips"],
        ),
    ]
    if found["human"]:
        for name, what in (("listener", "one human listener"), ("majority", "majority of human listeners")):
            measured = _scores(found["human"][name])
            rows.append(_row(run=f"{what} ({protocol})", **known, **measured, n_test=found["human"]["n_clips"]))
    return rows


def _published_row(run: PublishedRun, uar: float | None) -> dict:
    return _row(
        run=f"{run.name} (notebook, leaky)",
        source=PUBLISHED,
        protocol="notebook",
        leaky=True,
        model="cnn1d" if run.name.startswith("1D") else "cnn2d",
        train_accuracy=run.train_accuracy,
        valid_accuracy=run.valid_accuracy,
        test_accuracy=run.accuracy,
        f1_weighted=run.f1_weighted,
        uar=uar,
        n_train=N_TRAIN,
        n_valid=N_VALID,
        n_test=N_TEST,
        parameters=run.parameters,
        epochs=run.epochs,
    )


def _label(protocol: str) -> str:
    return f"{protocol}, leaky" if protocol in LEAKY else protocol


def write_comparison(metrics: Sequence[Path], evaluation: Path, table: Path) -> list[dict]:
    """Write ``comparison.csv`` and give its rows.

    Parameters
    ----------
    metrics
        ``metrics.json`` of every fold of every run.
    evaluation
        ``evaluation.json`` of the same runs.
    table
        The file to write.
    """
    rows = comparison_rows(metrics, read_json(evaluation))
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(table, text.getvalue())
    return rows
