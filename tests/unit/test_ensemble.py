"""Ensembles: weights, and the mean of the members' calibrated probabilities."""

import numpy as np
import pytest
from scipy.optimize import minimize

from serflow.configuration import configure
from serflow.metrics.calibration import apply_temperature, negative_log_likelihood
from serflow.models.ensemble import combine_members, fit_weights
from serflow.models.named import named_models
from serflow.runs import Run, Runs
from serflow.runtime.errors import UserError
from serflow.storage import read_json, read_table, write_json, write_table
from serflow.storage.arrow import pa
from steps import PROJECT

CLASSES = ["ANG", "HAP", "SAD"]
TEMPERATURE = 2.5  # of each member, by its metrics


def write_member(folder, name, seed, skill, standardize="training", copies=()):
    """Write predictions of a model: the truth has ``skill`` more log-odds than chance."""
    generator = np.random.default_rng(seed)
    parts = ["train"] * 60 + ["valid"] * 60 + ["test"] * 60
    clips = [f"10{number % 6:02d}_{number}" for number in range(180)]
    labels = [CLASSES[number // 6 % 3] for number in range(180)]
    clips, parts, labels = [*clips, *copies], parts + ["train"] * len(copies), labels + ["ANG"] * len(copies)
    logits = generator.normal(size=(len(clips), 3)) + skill * np.eye(3)[np.searchsorted(CLASSES, labels)]
    odds = np.exp(3 * logits)  # too confident
    shares = (odds / odds.sum(1, keepdims=True)).astype(np.float32)
    columns = {"clip": clips, "origin": [clip.partition(".")[0] for clip in clips], "part": parts, "label": labels}
    columns["copy"] = pa.array([clip.partition(".")[2] or None for clip in clips], pa.string())
    columns |= {f"p_{label}": shares[:, code] for code, label in enumerate(CLASSES)}
    predictions, metrics = folder / f"{name}.parquet", folder / f"{name}.json"
    write_table(predictions, pa.table(columns))
    about = {"classes": CLASSES, "parameters": 10, "standardize": standardize, "refit": False}
    write_json(metrics, about | {"temperature": TEMPERATURE})
    return predictions, metrics


def combine(folder, *files):
    predictions, metrics = zip(*files, strict=True)
    outputs = {name: folder / name for name in ("output", "history", "training")}
    names = [path.stem for path in predictions]
    combine_members(names, model="both", predictions=predictions, metrics=metrics, **outputs)
    return read_table(outputs["output"]).to_pandas().set_index("clip"), read_json(outputs["training"])


def test_weights_have_the_greatest_likelihood():
    likelihoods = np.random.default_rng(0).beta([[2], [3], [1]], 2, size=(3, 200))
    weights = fit_weights(likelihoods)
    assert weights.min() >= 0 and weights.sum() == pytest.approx(1)
    found = minimize(
        lambda w: -np.log(np.abs(w) / np.abs(w).sum() @ likelihoods).mean(), np.full(3, 1 / 3), method="Nelder-Mead"
    )
    best = np.abs(found.x) / np.abs(found.x).sum()
    np.testing.assert_allclose(weights, best, atol=5e-3)


def test_a_useless_member_gets_no_weight_and_a_probability_of_zero_is_survived():
    assert fit_weights(np.array([[0.9, 0.8, 0.9], [0.1, 0.0, 0.1]])) == pytest.approx([1, 0], abs=1e-6)


def test_probabilities_are_the_weighted_mean_of_calibrated_ones(tmp_path):
    files = write_member(tmp_path, "a", 1, 1.0), write_member(tmp_path, "b", 2, 0.5, standardize="speaker")
    table, training = combine(tmp_path, *files)
    assert training["standardize"] == "speaker" and training["parameters"] == 20
    weights = training["chosen"]["weights"]
    assert weights[0] > weights[1] > 0
    members = [read_table(path).to_pandas().set_index("clip").loc[table.index] for path, _ in files]
    shares = [f"p_{name}" for name in CLASSES]
    expected = sum(
        weight * apply_temperature(member[shares].to_numpy(), TEMPERATURE)
        for weight, member in zip(weights, members, strict=True)
    )
    np.testing.assert_allclose(table[shares], expected, atol=1e-6)

    def likelihood(member, temperature=1):
        valid = member[member["part"] == "valid"]
        truth = np.searchsorted(CLASSES, valid["label"].to_numpy(str))
        return -negative_log_likelihood(apply_temperature(valid[shares].to_numpy(), temperature), truth)

    assert likelihood(table) > max(likelihood(member, TEMPERATURE) for member in members)


def test_the_clips_are_those_that_all_members_have(tmp_path):
    files = write_member(tmp_path, "a", 1, 1.0, copies=["1001_1.speed@0.9"]), write_member(tmp_path, "b", 2, 0.5)
    table, _ = combine(tmp_path, *files)
    assert len(table) == 180 and table["copy"].isna().all()


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({"both": {"architecture": "ensemble", "members": ["cnn3d"]}}, "models.both.members names 'cnn3d'"),
        ({"both": {"architecture": "ensemble"}}, "'members' is a required property"),
        ({"both": {"architecture": "ensemble", "members": ["ensemble"]}}, "ensemble is an ensemble, and cannot be"),
        ({"both": {"architecture": "ensemble", "members": []}}, "must be a list of names of models"),
        ({"both": {"architecture": "ensemble", "members": ["cnn1d"], "copies": []}}, "copies is not a setting"),
    ],
)
def test_ensembles_that_cannot_be(models, message):
    runs = [{"protocol": "speaker-independent", "models": ["both"], "seeds": [0]}]
    with pytest.raises(UserError, match=message):
        configure({"models": models, "runs": runs}, PROJECT)


def test_runs_that_others_need():
    runs = [{"protocol": "speaker-independent", "models": ["both", "logreg_embedding_speaker"], "seeds": [0]}]
    both = {"architecture": "ensemble", "members": ["cnn1d", "svm_functionals"], "seeds": [1, 2]}
    config = configure({"models": {"both": both}, "runs": runs}, PROJECT)
    found = Runs(config, named_models(config["models"]), [""], lambda protocol: 2)
    assert len(found.configured) == 4 and len(found.trained) == 2 * 4 + 2
    run = Run("speaker-independent", "both", 0, 1)
    assert [member[1:] for member in found.members(run)] == [
        ("cnn1d", 1, 1),
        ("cnn1d", 2, 1),
        ("svm_functionals", 1, 1),
        ("svm_functionals", 2, 1),
    ]
    adapted, plain = (run._replace(model=name) for name in ("logreg_embedding_speaker", "logreg_embedding"))
    assert found.members(adapted) == [adapted] and found.plain(adapted) == plain and found.plain(plain) is None
    assert found.known(plain) and not found.known(run._replace(model="cnn2d"))
