"""All runs in one table, beside the notebook's published figures."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from serflow.corpus.splits import LEAKY
from serflow.evaluation.published import N_TEST, N_TRAIN, N_VALID, RUNS
from serflow.store import read_json, write_text

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
    "n_train",
    "n_valid",
    "n_test",
    "parameters",
    "epochs",
    "seconds",
)
PUBLISHED = "notebook, published"


def comparison_rows(metrics: Sequence[Path]) -> list[dict]:
    """Give a row for each run, then one for each of the notebook's four; keys are :data:`COLUMNS`."""
    rows = []
    for path in metrics:
        run = read_json(path)
        fold = f" fold {run['fold']}" if run["protocol"] == "speaker-independent" else ""
        name = f"{run['model']} seed {run['seed']}{fold} ({_label(run['protocol'])})"
        rows.append({"run": name, "source": "serflow"} | {key: run[key] for key in COLUMNS[2:]})
    for run in RUNS:
        values = {
            "run": f"{run.name} (notebook, leaky)",
            "source": PUBLISHED,
            "protocol": "notebook",
            "leaky": True,
            "model": "cnn1d" if run.name.startswith("1D") else "cnn2d",
            "train_accuracy": run.train_accuracy,
            "valid_accuracy": run.valid_accuracy,
            "test_accuracy": run.accuracy,
            "f1_weighted": run.f1_weighted,
            "n_train": N_TRAIN,
            "n_valid": N_VALID,
            "n_test": N_TEST,
            "parameters": run.parameters,
            "epochs": run.epochs,
        }
        rows.append(dict.fromkeys(COLUMNS) | values)
    return rows


def _label(protocol: str) -> str:
    return f"{protocol}, leaky" if protocol in LEAKY else protocol


def write_comparison(metrics: Sequence[Path], table: Path) -> list[dict]:
    """Write ``comparison.csv`` and give its rows.

    Parameters
    ----------
    metrics
        ``metrics.json`` of every run.
    table
        The file to write.
    """
    rows = comparison_rows(metrics)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(table, text.getvalue())
    return rows
