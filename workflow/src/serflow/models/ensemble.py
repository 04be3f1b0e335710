"""Ensembles: the weighted mean of the probabilities of several runs of one protocol and fold."""

import functools
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from serflow.metrics.calibration import apply_temperature
from serflow.models.named import GROUPS, TRAINING
from serflow.models.predict import PROBABILITY
from serflow.storage import read_json, read_table, write_json, write_table, write_text

_ITERATIONS = 1000


def combine_members(
    members: Sequence[str],
    *,
    model: str,
    predictions: Sequence[Path],
    metrics: Sequence[Path],
    output: Path,
    history: Path,
    training: Path,
) -> None:
    """Average the probabilities of the members of an ensemble, with weights fitted on the validation clips.

    Parameters
    ----------
    members
        Names of the members, as the report shows them.
    model
        Name of the ensemble.
    predictions
        ``predictions.parquet`` of each member.
    metrics
        ``metrics.json`` of each member, with the temperature of its probabilities.
    output
        ``predictions.parquet`` of the ensemble, with the clips that all members have.
    history
        ``history.csv``, with one row.
    training
        ``training.json``; ``chosen`` has the weight of each member.
    """
    import pandas as pd

    from serflow.storage.arrow import pa

    started, known = time.perf_counter(), [read_json(path) for path in metrics]
    classes = known[0]["classes"]
    tables = [read_table(path).to_pandas().set_index("clip") for path in predictions]
    clips = functools.reduce(lambda common, table: common.intersection(table.index), tables[1:], tables[0].index)
    about = tables[0].loc[clips, ["origin", "copy", "part", "label"]]
    truth = np.searchsorted(classes, about["label"].to_numpy(str))
    found = [table.loc[clips, [PROBABILITY.format(name) for name in classes]].to_numpy() for table in tables]
    valid = (about["part"] == "valid").to_numpy()
    calibrated = np.stack(
        [apply_temperature(shares, member["temperature"]) for shares, member in zip(found, known, strict=True)]
    )
    weights = fit_weights(calibrated[:, valid][:, np.arange(valid.sum()), truth[valid]])
    averaged = np.tensordot(weights, calibrated, 1)

    columns = {name: pa.array(about[name].where(about[name].notna(), None), pa.string()) for name in about}
    shares = {PROBABILITY.format(name): averaged[:, code].astype(np.float32) for code, name in enumerate(classes)}
    write_table(output, pa.table({"clip": pa.array(clips, pa.string()), **columns, **shares}))
    of_truth = np.maximum(averaged[np.arange(len(truth)), truth], np.finfo(np.float32).tiny)
    row = {"epoch": 1}
    for prefix, part in (("", "train"), ("val_", "valid")):
        rows = (about["part"] == part).to_numpy()
        row[f"{prefix}loss"] = float(-np.log(of_truth[rows]).mean())
        row[f"{prefix}accuracy"] = float((averaged[rows].argmax(axis=1) == truth[rows]).mean())
    row["seconds"] = time.perf_counter() - started
    write_text(history, pd.DataFrame([row]).to_csv(index=False))
    adapted = [kind for kind in GROUPS if any(member["standardize"] == kind for member in known)]
    described = {
        "model": model,
        "architecture": "ensemble",
        "classes": classes,
        "parameters": sum(member["parameters"] for member in known),
        "epochs": 1,
        "best_epoch": 1,
        "seconds": row["seconds"],
        "standardize": adapted[-1] if adapted else TRAINING,
        "refit": any(member["refit"] for member in known),
        "chosen": {"weights": weights.tolist()},
        "layers": [
            {
                "name": name,
                "type": f"member of weight {weight:.2f}",
                "output_shape": [len(classes)],
                "parameters": member["parameters"],
            }
            for name, weight, member in zip(members, weights, known, strict=True)
        ],
    }
    write_json(training, described)


def fit_weights(likelihoods: np.ndarray) -> np.ndarray:
    """Return the weights of a mixture with the greatest likelihood, by expectation maximisation.

    Parameters
    ----------
    likelihoods
        What each member gives to the true class of each clip, shape (members, clips).

    Returns
    -------
    ndarray
        float64 of shape (members,), not negative and of sum 1.

    Notes
    -----
    The likelihood is concave in the weights, so its maximum is the only one (Dempster, Laird and Rubin, "Maximum
    likelihood from incomplete data via the EM algorithm", Journal of the Royal Statistical Society B 39, 1977).
    """
    likelihoods = np.maximum(likelihoods, np.finfo(np.float32).tiny)
    weights = np.full(len(likelihoods), 1 / len(likelihoods))
    for _ in range(_ITERATIONS):
        shares = weights[:, None] * likelihoods
        weights = (shares / shares.sum(axis=0)).mean(axis=1)
    return weights
