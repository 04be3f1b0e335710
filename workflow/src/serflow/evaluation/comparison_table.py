"""The comparison table: runs and their folds, reference values, and the published results of the notebook."""

from collections.abc import Mapping, Sequence
from statistics import mean

import numpy as np

from serflow.evaluation.predictions import EvaluatedRun
from serflow.metrics.scores import STATISTICS, scores_from_confusion
from serflow.splits import PARTS, PROTOCOLS

SERFLOW, REFERENCE, PUBLISHED = "serflow", "reference", "notebook, published"
# Recordings and copies together, and copies alone.
COUNTS = [f"n_{part}{which}" for part in PARTS for which in ("", "_copies")]
_LISTENERS = {"listener": "one listener", "majority": "majority of listeners"}


def comparison_rows(
    runs: Sequence[EvaluatedRun], measured: Sequence[Mapping], references: Mapping, published: Mapping
) -> list[dict]:
    """Return the rows of the comparison table, all with the same keys; those without ``fold`` are about all folds.

    There is a row for each run, followed by one for each fold if there are several, then references and published
    results.

    Parameters
    ----------
    runs
        The runs.
    measured, references
        ``runs`` (in the same order) and ``references`` of ``evaluation.json``.
    published
        Published results, the content of ``resources/notebook_runs.json``; empty without.
    """
    rows = [row for run, entry in zip(runs, measured, strict=True) for row in _run_rows(run, entry)]
    rows += [row for protocol, entry in references.items() for row in _reference_rows(protocol, entry)]
    return rows + (_published_rows(published) if published else [])


def _row(**values) -> dict:
    scores = [
        column
        for name in STATISTICS
        for column in ((name, "uar_low", "uar_high", "uar_speakers") if name == "uar" else (name,))
    ]
    columns = ["run", "source", "protocol", "leaky", "adapted", "model", "seed", "fold", *scores]
    columns += ["train_accuracy", "valid_accuracy", *COUNTS, "parameters", "epochs", "seconds"]
    return {column: values.get(column) for column in columns}


def _scores(measured: Mapping) -> dict:
    scores = {name: measured[name]["value"] for name in STATISTICS}
    return scores | {f"uar_{key}": measured["uar"][key] for key in ("low", "high", "speakers")}


def _run_rows(run: EvaluatedRun, measured: Mapping) -> list[dict]:
    folds, title = run.metrics, f"{run.key.model} seed {run.key.seed}"
    whole = folds[0] | {
        "fold": None,
        "train_accuracy": mean(fold["train_accuracy"] for fold in folds),
        "valid_accuracy": mean(fold["valid_accuracy"] for fold in folds),
        **{name: sum(fold[name] for fold in folds) for name in ("n_test", "n_test_copies")},
        "seconds": sum(fold["seconds"] for fold in folds),
    }
    named = [(title, whole, measured["pooled"])]
    if len(folds) > 1:
        whole |= dict.fromkeys((*COUNTS[:4], "epochs"))
        pairs = zip(folds, measured["folds"], strict=True)
        named += [(f"{title}, {scores['name']}", fold, scores) for fold, scores in pairs]
    return [
        _row(
            **values
            | _scores(scores)
            | {"source": SERFLOW, "adapted": run.adapted, "run": f"{name} ({_protocol(run.key.protocol)})"}
        )
        for name, values, scores in named
    ]


def _reference_rows(protocol: str, references: Mapping) -> list[dict]:
    even, majority = references["chance"], references["majority_class"]
    named = [("chance", {"accuracy": even, "uar": even})]
    named.append(("majority class", _scores(majority) | {"n_test": majority["n_clips"]}))
    if human := references["human"]:
        named += [(name, _scores(human[key]) | {"n_test": human["n_clips"]}) for key, name in _LISTENERS.items()]
    known = {"source": REFERENCE, "protocol": protocol, "leaky": False}
    return [_row(**known | values | {"run": f"{name} ({protocol})"}) for name, values in named]


def _published_rows(table: Mapping) -> list[dict]:
    protocol = table["protocol"]
    known = {key: table[key] for key in ("protocol", "n_train", "n_valid", "n_test")}
    known |= {"source": PUBLISHED, "leaky": PROTOCOLS[protocol].leaky is not None}
    rows = []
    for run in table["runs"]:
        # What was not printed follows from the confusion matrix.
        matrix = run["confusion_matrix"]
        scores = scores_from_confusion(np.array(matrix)) if matrix else {}
        rows.append(_row(**scores | run | known | {"run": f"{run['name']} ({_protocol(protocol, PUBLISHED)})"}))
    return rows


def _protocol(protocol: str, source: str = "") -> str:
    return ", ".join(filter(None, (source or protocol, "leaky" if PROTOCOLS[protocol].leaky else "")))
