"""The target search on the finished sample run: small models over embeddings, rungs, and what makes it stale."""

import shutil

import pytest

from serflow.storage import read_csv, read_json
from workspace import QUICK, Workspace

PROTOCOL = "speaker-independent"
NETWORK = {
    "model": "mlp_embedding",
    "protocol": PROTOCOL,
    "trials": 3,
    "folds": [0],
    "rungs": [1],
    "keep": 0.3,
    "space": {"learning_rate": {"low": 0.0003, "high": 0.01, "log": True}, "units": {"choices": [[16], [64, 16]]}},
}
LINEAR = {"model": "logreg_embedding", "protocol": PROTOCOL, "trials": 3, "space": {"C": {"low": 0.0001, "high": 0.1}}}
SETTINGS = QUICK | {
    "models": QUICK["models"] | {"mlp_embedding": {"epochs": 3}},
    "search": {"network": NETWORK, "linear": LINEAR},
    "report": {"clips": 2, "mistakes": 2},
}


@pytest.fixture(scope="module")
def searched(sample, tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched") / "copy"
    shutil.copytree(sample.folder, folder, symlinks=True)
    workspace = Workspace(folder, sample.project, SETTINGS)
    workspace.run("search")
    return workspace


def test_the_default_search_of_the_sample_is_planned(sample):
    jobs = sample.jobs("search")
    assert jobs["search_trial"] == 7 and jobs["rank_trials"] == 3 and jobs["search_summary"] == 2


@pytest.mark.extended
def test_each_fold_has_the_settings_that_were_best_there(searched):
    search = searched.results() / "search"
    table = read_csv(search / "network/trials.csv")
    assert [row["rung"] for row in table] == ["1", "0", "0"] and {row["trial"] for row in table} == {"0", "1", "2"}
    assert table[0]["epochs"] == "3" and table[1]["epochs"] == "1"
    ranking = read_json(search / "network/ranking/fold0/rung1.json")["ranking"]
    assert [str(row["trial"]) for row in ranking] == [table[0]["trial"]]
    for fold in range(3):
        best = read_json(search / f"linear/ranking/fold{fold}/rung0.json")["ranking"][0]
        run = searched.results() / f"models/{PROTOCOL}/linear/seed0/fold{fold}"
        chosen = read_json(run / "training.json")["chosen"]
        assert chosen["C"] in ([best["settings"]["C"]] if best["trial"] else best["settings"]["C"])
        assert chosen["valid_uar"] == pytest.approx(best["valid_uar"])
    evaluation = read_json(searched.results() / "report/search/evaluation.json")
    assert [row["model"] for row in evaluation["models"]] == ["mlp_embedding", "network", "logreg_embedding", "linear"]
    page = (searched.results() / "report/search/index.html").read_text()
    assert '<section id="searches">' in page and "3 trials of mlp_embedding" in page
    assert '<section id="searches">' not in (searched.results() / "report/all/index.html").read_text()


@pytest.mark.extended
def test_more_trials_keep_those_that_exist(searched):
    assert not searched.jobs("search")
    more = SETTINGS["search"] | {"linear": LINEAR | {"trials": 5}}
    jobs = searched.jobs("search", search=more)
    assert jobs["search_trial"] == 2 * 3 and jobs["rank_trials"] == 3 and jobs["search_summary"] == 1
    wider = SETTINGS["search"] | {"linear": LINEAR | {"space": {"C": {"low": 0.0001, "high": 1}}}}
    assert searched.jobs("search", search=wider)["search_trial"] == 2 * 3  # trial 0 is the model as it is
    # The settings of the search and of the page stand in the report, which trains nothing for it.
    assert not {"train_model", "predict_test", "search_trial"} & set(searched.jobs("report"))


@pytest.mark.extended
def test_the_chosen_settings_are_a_configuration(searched, tmp_path):
    chosen = searched.results() / "search/linear/chosen.yaml"
    arguments = ("report", "--configfile", str(chosen))
    searched.settings = SETTINGS | {"search": {}}
    searched.run(*arguments)
    page = (searched.results() / "report/all/index.html").read_text()
    assert "logreg_embedding_chosen <small>settings chosen on these speakers</small>" in page


@pytest.mark.extended
def test_a_search_needs_folds_that_exist(sample):
    done = sample.snakemake("--dry-run", "search", search={"network": NETWORK | {"folds": [0, 9]}})
    assert done.returncode == 1
    assert "config: search.network.folds has 9, but speaker-independent has the folds 0 to 2 here" in done.stderr
    done = sample.snakemake("--dry-run", "search", search={})
    assert "the target search needs an entry in the section search" in done.stderr
