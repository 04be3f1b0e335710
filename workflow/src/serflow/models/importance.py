"""What a model listens to: how much worse it is if the values of one feature are shuffled among clips."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from serflow.metrics.scores import confusion_matrix
from serflow.models.keras_run import load_model, prepare
from serflow.models.standardize import open_features
from serflow.storage import read_json, read_table, write_json

DRAWS = 5


def measure_importance(
    model: Path,
    architecture: str,
    features: Sequence[Path],
    *,
    predictions: Path,
    metrics: Path,
    settings: Mapping,
    threads: int,
    output: Path,
) -> None:
    """Test a model with the values of each feature shuffled among the test clips.

    Parameters
    ----------
    model
        Trained model, ``model.keras``.
    architecture
        Name of the model's architecture, which reads a vector of named features.
    features
        Feature shards, Parquet tables of named columns.
    predictions
        ``predictions.parquet`` of the run, with its clips. Copies are left out.
    metrics
        ``metrics.json`` of the run.
    settings
        All settings of the model.
    threads
        Number of threads of TensorFlow.
    output
        ``importance.json``: protocol, model, seed, fold, the ``confusion`` matrix of the test clips, and in
        ``features`` for each ``name`` the matrix with its values shuffled, the sum of five draws.

    References
    ----------
    Breiman, "Random Forests", Machine Learning 45, 2001, section 10.
    """
    prepare(0, threads)
    run = read_json(metrics)
    data, network = open_features(architecture, features, [], settings), load_model(model, architecture)
    rows = read_table(predictions, ["clip", "origin", "part", "label"]).to_pylist()
    rows = [row for row in rows if row["part"] == "test" and row["clip"] == row["origin"]]
    names = [name for name in read_table(features[0]).column_names if name != "clip"]
    truth = np.searchsorted(run["classes"], [row["label"] for row in rows])
    values = data.take(data.places([row["clip"] for row in rows]))
    confusion, *shuffled = shuffled_confusions(network, values, truth, len(run["classes"]))
    write_json(
        output,
        {key: run[key] for key in ("protocol", "model", "seed", "fold")}
        | {
            "confusion": confusion.tolist(),
            "features": [
                {"name": name, "confusion": counts.tolist()} for name, counts in zip(names, shuffled, strict=True)
            ],
        },
    )


def shuffled_confusions(network, values: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """Return confusion matrices, int64 of shape (1 + features, K, K): of the values as they are, then by feature.

    ``values`` have the shape (n, features, 1) and ``truth`` has class codes, shape (n,). Those of a feature are sums
    over draws of its order among clips, which are the same for all features.
    """
    from keras.ops import convert_to_numpy

    def confusion(changed: np.ndarray) -> np.ndarray:
        return confusion_matrix(truth, convert_to_numpy(network(changed)).argmax(axis=1), classes)

    orders = [np.random.default_rng(draw).permutation(len(values)) for draw in range(DRAWS)]
    matrices = [confusion(values)]
    for feature in range(values.shape[1]):
        changed, total = values.copy(), 0
        for order in orders:
            changed[:, feature] = values[order, feature]
            total = total + confusion(changed)
        matrices.append(total)
    return np.array(matrices)
