"""Search: how trials are drawn, how they are compared, and that rungs are parts of one training."""

import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pyarrow as pa
import pytest
import yaml

from serflow.configuration import configure
from serflow.models.named import named_models
from serflow.models.search.ranking import rank_trials
from serflow.models.search.space import open_searches
from serflow.models.search.summary import position, search_summary
from serflow.models.search.trial import search_trial, trial_backup
from serflow.runtime.errors import UserError
from serflow.storage import ArrayWriter, read_csv, read_json, write_json, write_table

SPACE = {
    "learning_rate": {"low": 0.0001, "high": 0.01, "log": True},
    "dropout": {"low": 0.1, "high": 0.5},
    "patience": {"low": 2, "high": 9},
    "monitor": {"choices": ["loss", "uar"]},
}


def searches(project, **changes):
    section = {"model": "cnn2d", "trials": 30, "space": SPACE} | changes
    config = configure({"corpus": "mine", "search": {"it": section}}, project)
    return open_searches(config["search"], named_models(config["models"]))


def values_of(search, trial):
    """Return the settings of the space in a trial."""
    return {name: search.trials[trial].settings[name] for name in search.space}


def test_trials_are_drawn_from_the_seed_and_their_number_alone(project):
    found = searches(project)["it"]
    assert len(found.trials) == 30 and found.epochs == [None]
    assert values_of(found, 0) == {"learning_rate": 0.001, "dropout": 0.3, "patience": 5, "monitor": "loss"}
    more = searches(project, trials=40, space=SPACE | {"mixup": {"choices": [0, 0.2]}})["it"]
    for number in range(1, 30):
        values = values_of(found, number)
        assert {name: values_of(more, number)[name] for name in SPACE} == values
        assert 0.0001 <= values["learning_rate"] <= 0.01 and 0.1 <= values["dropout"] <= 0.5
        assert values["patience"] in range(2, 10) and type(values["patience"]) is int
    drawn = [values_of(found, number) for number in range(1, 30)]
    assert len({values["patience"] for values in drawn}) > 4 and {values["monitor"] for values in drawn} == {
        "loss",
        "uar",
    }
    # Half of a logarithmic range is below its geometric mean.
    assert 7 < sum(values["learning_rate"] < 0.001 for values in drawn) < 22
    other = searches(project, seed=1)["it"]
    assert [values_of(other, number) for number in range(1, 30)] != drawn


def test_a_small_space_gives_each_trial_once(project):
    space = {"monitor": {"choices": ["loss", "uar"]}, "dropout": {"choices": [0.1, 0.2]}}
    found = searches(project, space=space)["it"]
    assert len(found.trials) == 5  # the model as it is, and four more
    assert len({json.dumps(values_of(found, number)) for number in range(1, 5)}) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "cnn2"}, r"search.it.model names 'cnn2', but models has: .*; did you mean 'cnn2d'"),
        ({"model": "ensemble"}, r"search.it.model is an ensemble; search the settings of its members"),
        ({"protocol": "randm"}, r"search.it.protocol: 'randm' is not one of .*random"),
        ({"space": {"dropot": {"choices": [0.1]}}}, r"space.dropot is not a setting of the model.*dropout"),
        (
            {"space": {"standardize": {"choices": ["speaker"]}}},
            r"standardize cannot be searched; make a search for each",
        ),
        ({"space": {"dropout": {"low": 0.1, "high": 1.5}}}, r"search.it.space.dropout.high: 1.5 is greater than"),
        ({"space": {"dropout": {"low": 0.4, "high": 0.1}}}, r"space.dropout: low must not be above high"),
        ({"space": {"dropout": {"low": 0, "high": 0.1, "log": True}}}, r"with log: true it must be above 0"),
        (
            {"space": {"patience": {"low": 1.5, "high": 3}}},
            r"search.it.space.patience.low: 1.5 is not of type 'integer'",
        ),
        ({"space": {"dropout": {"choice": [0.1]}}}, r"space.dropout.choice is not a setting; did you mean .choices"),
        ({"space": {}}, r"search.it.space"),
        ({"space": {"weight_decay": {"choices": [0.1]}}}, r"weight_decay is 0.1, but the optimizer is adam"),
        ({"rungs": [5, 3]}, r"search.it.rungs is \[5, 3\], but each number must be above the one before"),
        (
            {"model": "svm_functionals", "space": {"C": {"low": 0.001, "high": 1}}, "rungs": [3]},
            r"is trained in epochs",
        ),
        ({"trials": 0}, r"search.it.trials: 0 is less than"),
    ],
)
def test_mistakes_in_a_search_are_one_line(project, changes, message):
    with pytest.raises(UserError, match=message):
        searches(project, **changes)


def test_names_of_searches(project):
    section = {"model": "cnn2d", "space": SPACE}
    with pytest.raises(UserError, match=r"search.cnn1d: a model has this name already"):
        configure({"corpus": "mine", "search": {"cnn1d": section}}, project)
    mine = configure({"corpus": "mine", "search": {"mine": section}}, project)["search"]
    assert list(mine) == ["mine"] and mine["mine"]["trials"] == 12 and mine["mine"]["space"] == SPACE
    default = configure({"corpus": "mine"}, project)["search"]["cnn2d_search"]
    fewer = configure({"corpus": "mine", "search": {"cnn2d_search": {"trials": 3}}}, project)["search"]["cnn2d_search"]
    assert fewer == default | {"trials": 3}


def result(folder, trial, fold, rung, uar, **values):
    path = folder / f"trial{trial}" / f"fold{fold}" / f"rung{rung}.json"
    about = {"trial": trial, "valid_uar": uar, "epochs": 5 * (rung + 1), "best_epoch": 1, "seconds": 2.0}
    write_json(path, about | {"settings": values | {"batch_size": 32}})
    trial_backup(path).touch()
    return path


def test_the_best_share_is_kept_and_the_state_of_others_removed(tmp_path):
    uars = [0.3, 0.5, 0.5, 0.2]
    trials = [result(tmp_path, number, 0, 0, uar) for number, uar in enumerate(uars)]
    rank_trials(trials, fold=0, rung=0, keep=0.3, output=tmp_path / "ranking.json")
    found = read_json(tmp_path / "ranking.json")
    assert [row["trial"] for row in found["ranking"]] == [1, 2, 0, 3] and found["kept"] == [1, 2]
    assert [trial_backup(path).exists() for path in trials] == [False, True, True, False]
    rank_trials(trials, fold=0, rung=1, output=tmp_path / "ranking.json")
    assert read_json(tmp_path / "ranking.json")["kept"] == []


def test_trials_are_compared_where_all_folds_have_them(tmp_path, project):
    """Trial 1 is the best at the first rung, but only trial 2 has come to the second in both folds."""
    uars = {0: [[0.2, 0.2]], 1: [[0.6, 0.5], [0.9, None]], 2: [[0.4, 0.4], [0.5, 0.6]], 3: [[0.3, 0.45], [None, 0.7]]}
    rankings = []
    for fold in (0, 1):
        for rung in (0, 1):
            reached = {number: of[rung][fold] for number, of in uars.items() if rung < len(of) and of[rung][fold]}
            trials = [
                result(tmp_path, number, fold, rung, uar, dropout=0.1 * number) for number, uar in reached.items()
            ]
            rankings.append(tmp_path / f"{fold}{rung}.json")
            rank_trials(trials, fold=fold, rung=rung, keep=0.5 if rung == 0 else None, output=rankings[-1])
    space = {"dropout": {"low": 0.0, "high": 0.5}}
    about = {"model": "cnn2d", "architecture": "cnn2d", "protocol": "speaker-independent", "seed": 4}
    about |= {"epochs": [5, None], "space": space}
    outputs = {"table": tmp_path / "t.csv", "chosen": tmp_path / "c.yaml", "summary": tmp_path / "s.json"}
    search_summary("it", about, rankings, corpus="mine", **outputs)
    table = read_csv(tmp_path / "t.csv")
    assert [row["trial"] for row in table] == ["2", "1", "3", "0"]
    assert [row["rung"] for row in table] == ["1", "0", "0", "0"]
    assert [float(row["valid_uar"]) for row in table] == pytest.approx([0.55, 0.55, 0.375, 0.2])
    assert list(table[0])[3:] == ["valid_uar", "fold0", "fold1", "seconds", "dropout"]
    summary = read_json(tmp_path / "s.json")
    assert [(row["fold"], row["trial"]) for row in summary["chosen"]] == [(0, 1), (1, 3)]  # each by its own fold alone
    assert summary["importance"] == []
    chosen = yaml.safe_load((tmp_path / "c.yaml").read_text())
    config = configure({"corpus": "mine"} | chosen, project)
    assert config["models"]["cnn2d_chosen"]["dropout"] == pytest.approx(0.2)
    assert config["chosen_on"] == {"cnn2d_chosen": "mine"}
    assert config["runs"] == [{"protocol": "speaker-independent", "models": ["cnn2d", "cnn2d_chosen"], "seeds": [4]}]


def test_the_setting_that_matters_is_the_important_one(tmp_path):
    random = np.random.default_rng(0)
    space = {"C": {"low": 0.001, "high": 1.0, "log": True}, "layers": {"choices": ["all", [1, 2], "best"]}}
    trials = [
        result(tmp_path, 0, 0, 0, 0.4, C=[0.1, 1], layers="all")
    ]  # as it is, with a value that is not in the space
    for number in range(1, 40):
        strength = 10 ** random.uniform(-3, 0)
        layers = space["layers"]["choices"][random.integers(3)]
        trials.append(result(tmp_path, number, 0, 0, 0.5 + 0.1 * np.log10(strength), C=strength, layers=layers))
    rank_trials(trials, fold=0, rung=0, output=tmp_path / "ranking.json")
    about = {"model": "m", "architecture": "m", "protocol": "random", "seed": 0, "epochs": [None], "space": space}
    outputs = {"table": tmp_path / "t.csv", "chosen": tmp_path / "c.yaml", "summary": tmp_path / "s.json"}
    search_summary("it", about, [tmp_path / "ranking.json"], corpus="mine", **outputs)
    importance = {row["setting"]: row["mean"] for row in read_json(tmp_path / "s.json")["importance"]}
    assert importance["C"] > 1 > 10 * abs(importance["layers"])
    cells = {row["layers"] for row in read_csv(tmp_path / "t.csv")}
    assert cells == {"all", "1 2", "best"}


def test_the_position_of_a_value():
    assert position(0.1, {"low": 0.01, "high": 1, "log": True}) == pytest.approx(0.5)
    assert position(3, {"low": 1, "high": 5}) == pytest.approx(0.5)
    assert position([1], {"choices": ["a", [1], "b"]}) == pytest.approx(0.5)
    assert position("a", {"choices": ["a"]}) == position(2, {"low": 2, "high": 2}) == 0


@pytest.fixture
def corpus(tmp_path):
    """A mel array of 36 clips and a split table of one fold."""
    random, clips = np.random.default_rng(0), [f"c{number:02d}" for number in range(36)]
    labels = ["ANG", "HAP", "SAD"] * 12
    with ArrayWriter(tmp_path / "s.npy", (32, 32)) as out:
        out.write(random.normal(size=(36, 32, 32)) + np.repeat([[0], [1], [2]], 12, axis=1).T.reshape(36, 1, 1))
    write_table(tmp_path / "s.parquet", pa.table({"clip": clips}))
    parts = ["train"] * 18 + ["valid"] * 9 + ["test"] * 9
    columns = {"clip": clips, "origin": clips, "label": labels, "fold": [0] * 36, "part": parts}
    write_table(tmp_path / "split.parquet", pa.table(columns))
    return tmp_path


def run_trial(corpus, folder, rung, epochs):
    model = named_models({})["cnn2d"]
    settings = model.settings | {"epochs": 6, "filters": [2, 2, 2], "kernels": [3, 3, 3], "dense": [4], "batch_size": 4}
    settings |= {"schedule": "cosine", "optimizer": "adamw", "ema": 0.9, "mixup": 0.2, "mask_frames": 4, "patience": 9}
    output = folder / f"rung{rung}.json"
    files = {"split": corpus / "split.parquet", "features": [corpus / "s.npy"], "indices": [corpus / "s.parquet"]}
    how = {"fold": 0, "seed": 3, "settings": settings, "threads": 1}
    search_trial("it", 2, "cnn2d", **files, **how, epochs=epochs, output=output)
    found = read_json(output)
    del found["seconds"]
    return found


def test_rungs_are_parts_of_one_training(corpus, tmp_path):
    # In a process of its own: TensorFlow takes its threads once per process, and another test may have used it.
    with ProcessPoolExecutor(1, get_context("spawn")) as process:

        def run(*trial):
            return process.submit(run_trial, corpus, *trial).result()

        unbroken = run(tmp_path / "unbroken", 0, None)
        assert unbroken["epochs"] == 6
        first = run(tmp_path / "halved", 0, 2)
        backup = trial_backup(tmp_path / "halved" / "rung0.json")
        assert first["epochs"] == 2 and backup.exists()
        second = run(tmp_path / "halved", 1, None)
        assert second == unbroken and not backup.exists()
        # Also without the state that the first rung left, and if a rung is computed anew from the state of a later one.
        assert run(tmp_path / "alone", 1, None) == unbroken
        assert run(tmp_path / "again", 1, 4)["epochs"] == 4
        assert run(tmp_path / "again", 0, 2) == first
