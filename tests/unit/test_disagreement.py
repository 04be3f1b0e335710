"""Listeners' disagreement and the answer "unsure", against independent calculations on made-up runs."""

import json

import jsonschema
import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon
from sklearn import metrics as sk

from made_up_runs import CLASSES, SPEAKERS, evaluate, write_catalog, write_run
from serflow.metrics.agreement import entropy
from serflow.metrics.calibration import apply_temperature
from serflow.metrics.selective import accuracy_by_confidence, threshold_for
from serflow.storage import read_json, read_table, write_table

# Votes on clips of each sentence: all agree, most do, and they are at odds, with the intended emotion first.
VOTES = {"DFA": [9, 1, 0, 0, 0, 0], "IEO": [6, 3, 1, 0, 0, 0], "TAI": [3, 4, 2, 1, 0, 0]}


def write_votes(folder):
    """Replace the votes of the made-up catalogue; the first two speakers have none."""
    table = read_table(folder / "clips.parquet").to_pandas()
    for row in table.itertuples():
        if row.speaker in SPEAKERS[2:]:
            own = CLASSES.index(row.emotion)
            votes = np.roll(VOTES[row.sentence], own).tolist()
            table.loc[row.Index, [f"votes_{name}" for name in CLASSES]] = votes
    import pyarrow as pa

    write_table(folder / "clips.parquet", pa.Table.from_pandas(table, preserve_index=False))


def unsure_of_hard_clips(clips, truth, logits):
    """Be surer and better the more listeners agree."""
    skill = {"DFA": 6, "IEO": 3, "TAI": 1}
    return logits + np.array([skill[clip.split("_")[1]] for clip in clips])[:, None] * np.eye(6)[truth]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, project):
    folder = tmp_path_factory.mktemp("runs")
    write_catalog(folder)
    write_votes(folder)
    known = {"folder": folder, "protocol": "speaker-independent"}
    paths = [write_run(model="human", fold=fold, skill=0, change=unsure_of_hard_clips, **known) for fold in range(3)]
    paths += [write_run(model="chancy", fold=fold, skill=0, **known) for fold in range(3)]
    evaluate(folder, paths, project)
    found = read_json(folder / "evaluation.json")
    jsonschema.validate(found, json.loads((project / "workflow/schemas/evaluation.schema.json").read_text()))
    return folder, found


def clips_with_votes(folder, model="human"):
    """Read the catalogue, the probabilities and the calibrated ones of the test clips with votes, with pandas."""
    import pandas as pd

    tables = []
    for path in sorted(folder.glob(f"speaker-independent/{model}/*/predictions.parquet")):
        table = pd.read_parquet(path).query("part == 'test'")
        temperature = read_json(path.parent / "metrics.json")["temperature"]
        logits = np.log(table[[f"p_{name}" for name in CLASSES]].to_numpy(float)) / temperature
        calibrated = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        tables.append(table.assign(**{f"c_{name}": calibrated[:, code] for code, name in enumerate(CLASSES)}))
    catalog = pd.read_parquet(folder / "clips.parquet")
    return pd.concat(tables).merge(catalog, on="clip").dropna(subset=["votes_ANG"])


def columns(table, prefix):
    return table[[f"{prefix}_{name}" for name in CLASSES]].to_numpy(float)


def test_uar_by_the_agreement_of_listeners(evaluated):
    folder, found = evaluated
    human, chancy = found["disagreement"]
    table = clips_with_votes(folder)
    assert human["n_clips"] == len(table) == 180 and human["reason"] is None
    for row, sentence in zip(human["agreement"], ("DFA", "IEO", "TAI"), strict=True):
        some = table[table["sentence"] == sentence]
        answers = np.array(CLASSES)[columns(some, "p").argmax(axis=1)]
        assert (row["n_clips"], row["n_speakers"]) == (len(some), 10) == (60, 10)
        assert row["uar"]["value"] == pytest.approx(sk.balanced_accuracy_score(some["label"], answers))
        assert row["uar"]["low"] <= row["uar"]["value"] <= row["uar"]["high"]
        votes = np.array(VOTES[sentence]) / 10
        assert row["entropy"]["listeners"] == pytest.approx(stats.entropy(votes, base=2))
        assert row["entropy"]["model"] == pytest.approx(stats.entropy(columns(some, "c"), base=2, axis=1).mean())
    easy, _, hard = (row["uar"]["value"] for row in human["agreement"])
    assert easy > 0.9 > hard
    expected = stats.spearmanr(
        stats.entropy(columns(table, "c"), base=2, axis=1),
        stats.entropy(columns(table, "votes"), base=2, axis=1).round(9),
    )
    assert human["entropy_correlation"] == pytest.approx(expected.statistic, abs=1e-4) and expected.statistic > 0.4
    assert abs(chancy["entropy_correlation"]) < 0.2


def test_a_model_against_the_votes_beside_that_against_the_intended_label(evaluated):
    folder, found = evaluated
    table = clips_with_votes(folder)
    p, votes = columns(table, "p"), columns(table, "votes") / 10
    intended = (table["label"].to_numpy()[:, None] == np.array(CLASSES)).astype(float)
    majority = votes == votes.max(axis=1, keepdims=True)  # there are no ties
    for name, target in (("intended", intended), ("majority", majority.astype(float)), ("votes", votes)):
        measured = found["disagreement"][0]["against"][name]
        assert measured["accuracy"] == pytest.approx(np.mean([t[q.argmax()] for q, t in zip(p, target, strict=True)]))
        assert measured["brier"] == pytest.approx(np.square(p - target).sum(axis=1).mean())
        distances = [jensenshannon(q, t, base=2) for q, t in zip(p, target, strict=True)]
        assert measured["jensen_shannon"] == pytest.approx(np.nanmean(distances))
        correlations = [np.corrcoef(p[:, k], target[:, k])[0, 1] for k in range(6)]
        assert measured["correlation"] == pytest.approx(np.mean(correlations))


def test_without_votes_the_reason_is_said(tmp_path, project):
    write_catalog(tmp_path)
    table = read_table(tmp_path / "clips.parquet")
    kept = [name for name in table.column_names if not name.startswith("votes_")]
    import pyarrow as pa

    none = {f"votes_{name}": pa.nulls(len(table), pa.int64()) for name in CLASSES}
    write_table(tmp_path / "clips.parquet", pa.table({**{name: table[name] for name in kept}, **none}))
    evaluate(tmp_path, [write_run(tmp_path, "custom", "good", fold, 2.0) for fold in range(2)], project)
    (found,) = read_json(tmp_path / "evaluation.json")["disagreement"]
    assert found["reason"] == "no test clip has listeners' votes" and found["agreement"] == [] == [*found["against"]]


def test_entropy_in_bits():
    assert entropy([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4]).tolist() == [0, 1, 2]


def test_the_threshold_is_the_lowest_that_reaches_the_accuracy_on_validation_clips():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.2, 1, 90)
    correct = rng.random(90) < confidence
    table = accuracy_by_confidence(confidence, correct)  # so few clips that every confidence has a row
    assert len(table) == 71 and min(round(90 * row["coverage"]) for row in table) == 20
    for row in table:
        answered = confidence >= row["threshold"]
        assert (row["coverage"], row["accuracy"]) == (answered.mean(), pytest.approx(correct[answered].mean()))
    reached = [c for c in confidence if (confidence >= c).sum() >= 20 and correct[confidence >= c].mean() >= 0.75]
    assert threshold_for(table, 0.75)["threshold"] == min(reached)
    assert threshold_for(table, 1.0) is None and threshold_for([], 0.1) is None
    assert accuracy_by_confidence(confidence[:19], correct[:19]) == accuracy_by_confidence([], []) == []
    many = accuracy_by_confidence(np.linspace(0, 1, 5000), np.ones(5000, bool))
    assert 90 <= len(many) <= 100 and many[-1] == {"threshold": 0, "accuracy": 1, "coverage": 1}


def test_unsure_on_test_clips_with_thresholds_of_validation_clips(evaluated):
    folder, found = evaluated
    human, chancy = (run["wanted"] for run in found["unsure"])
    assert [row["accuracy"] for row in human] == [0.7, 0.9]
    for row in human:
        parts = {"valid": ([], []), "test": ([], [])}
        for fold, threshold in enumerate(row["thresholds"]):
            where = folder / f"speaker-independent/human/fold{fold}"
            table = read_table(where / "predictions.parquet").to_pandas()
            calibrated = apply_temperature(columns(table, "p"), read_json(where / "metrics.json")["temperature"])
            for part, (answered, correct) in parts.items():
                rows = (table["part"] == part).to_numpy()
                answered.extend(calibrated[rows].max(axis=1) >= threshold)
                correct.extend(np.array(CLASSES)[calibrated[rows].argmax(axis=1)] == table["label"][rows])
        for part, name in (("valid", "validation"), ("test", "test")):
            answered, correct = map(np.array, parts[part])
            assert row[name]["coverage"] == pytest.approx(answered.mean())
            assert row[name]["accuracy"] == pytest.approx(correct[answered].mean())
        assert row["validation"]["accuracy"] >= row["accuracy"] and row["reason"] is None
    assert human[1]["test"]["coverage"] < human[0]["test"]["coverage"]
    for row in chancy:
        assert row["thresholds"] == [None] * 3 and row["test"] == {"accuracy": None, "coverage": 0}
        assert "no confidence with 20 or more validation clips above it" in row["reason"]
