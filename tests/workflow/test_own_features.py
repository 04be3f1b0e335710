"""A table of one's own on its way through the workflow: what makes it stale, and that it has no bundle."""

import os
from collections import Counter

import pytest

from serflow.storage import read_json, read_table
from small_corpus import SETTINGS, make_recordings
from workspace import Workspace, lines

MODELS = {
    "own": {"architecture": "svm_functionals", "features": "table"},
    "linear": {"architecture": "logreg_embedding", "features": "table"},
    "both": {"architecture": "ensemble", "members": ["own", "svm_functionals"]},
}
RUNS = [{"protocol": "random", "models": ["own"], "seeds": [0]}]
MORE = [{"protocol": "random", "models": ["own", "linear", "svm_functionals"], "seeds": [0]}]
RUN = "random/{}/seed0/fold0"
READERS = ["train_model", "predict_test", "evaluate_model"]


def write(path, factor=1):
    rows = [
        f"{clip.stem},{factor * number % 7},{number}" for number, clip in enumerate(sorted(path.parent.glob("ok/*")))
    ]
    path.write_text("\n".join(["clip,x_1,x_2", *rows]) + "\n")


@pytest.fixture(scope="module")
def own(project, tmp_path_factory):
    """A run of a model on a table, up to the metrics."""
    folder = tmp_path_factory.mktemp("own")
    make_recordings(folder / "ok")
    write(folder / "mine.csv")
    settings = SETTINGS | {"models": MODELS, "runs": RUNS, "table": {"path": "mine.csv"}, "length": 8000}
    settings["split"] = {"valid": 0.2}
    workspace = Workspace(folder, project, settings)
    workspace.run("models")
    return workspace


def test_a_model_is_trained_and_evaluated(own):
    results = own.results("mine")
    tables = [read_table(results / f"table/{shard}.parquet") for shard in ("s00", "s01")]
    assert sum(map(len, tables)) == 16 and tables[0].column_names == ["clip", "x_1", "x_2"]
    metrics = read_json(results / f"models/{RUN.format('own')}/metrics.json")
    assert metrics["model"] == "own" and 0 <= metrics["uar"] <= 1
    training = read_json(results / f"models/{RUN.format('own')}/training.json")
    assert training["input_shape"] == [2, 1]


def test_another_table_reruns_what_reads_it(own):
    assert not own.jobs("models")
    path, before = own.folder / "mine.csv", (own.folder / "mine.csv").stat()
    text = path.read_text()
    expected = Counter({"extract_table": 2} | dict.fromkeys(READERS, 1))
    try:
        write(path, factor=3)
        os.utime(path, (0, 0))  # of an earlier date
        assert own.jobs("models") == expected
    finally:
        path.write_text(text)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not own.jobs("models")


def test_a_model_on_a_table_has_no_bundle(own):
    done = own.snakemake("--dry-run", f"results/mine/bundles/{RUN.format('own')}.zip")
    line = "serflow: own has no bundle: its features (table) cannot be computed from a recording"
    assert done.returncode != 0 and lines(done) == [line] and "Traceback" not in done.stderr
    ensemble = [{"protocol": "random", "models": ["both"], "seeds": [0]}]
    for target, settings in (
        ("bundles", {}),
        ("predict", {"input": "ok"}),
        (f"results/mine/bundles/{RUN.format('both')}.zip", {"runs": ensemble}),
    ):
        done = own.snakemake("--dry-run", target, **settings)
        assert done.returncode != 0
        (line,) = lines(done)
        assert "has no bundle: its features (table)" in line


def test_bundles_are_those_of_the_other_models(own):
    done = own.snakemake("--dry-run", "bundles", runs=MORE)
    assert done.returncode == 0, done.stderr
    since = "has no bundle: its features cannot be computed from a recording"
    assert lines(done) == [f"serflow: own {since}", f"serflow: linear {since}"]
    assert own.jobs("bundles", runs=MORE)["bundle_model"] == 1
    assert own.jobs("predict", runs=MORE, input="ok")["bundle_model"] == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"table": {"path": None}}, "config: table.path is null; name the table with your features"),
        ({"table": {"path": "none.csv"}}, "table.path: none.csv: no such file"),
        ({"models": MODELS | {"own": MODELS["own"] | {"copies": ["speed"]}}}, "copies are in no table"),
    ],
)
def test_a_mistake_in_the_settings(own, settings, message):
    done = own.snakemake("--dry-run", "models", **settings)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert len(lines(done)) == 1 and message in lines(done)[0]


def test_a_recording_without_a_row(own):
    text = (own.folder / "mine.csv").read_text().splitlines()
    (own.folder / "less.csv").write_text("\n".join(text[:-1]) + "\n")
    done = own.snakemake("--cores", "1", "features", table={"path": "less.csv"})
    missing = text[-1].partition(",")[0]
    assert done.returncode != 0
    assert f"less.csv has no row of {missing}; add them, named as in the corpus" in done.stdout + done.stderr
