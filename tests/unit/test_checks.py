"""Checks and groups of made-up runs with known answers: perfect, by chance, by sex, and one answer to every clip."""

import json

import jsonschema
import numpy as np
import pytest
from sklearn import metrics as sk

from made_up_runs import CLASSES, SPEAKERS, clips_of, evaluate, write_catalog, write_run
from serflow.evaluation.checks import ROBUSTNESS_UNKNOWN, check_runs
from serflow.storage import read_json

FEMALE = set(SPEAKERS[1::2])  # every second speaker of the made-up catalogue


def by_sex(clips, truth, logits):
    """Answer nearly every clip of a woman correctly, and those of men at random."""
    female = np.array([clip.split("_")[0] in FEMALE for clip in clips])
    return logits + 6 * female[:, None] * np.eye(6)[truth]


def collapsed(clips, truth, logits):
    return logits / 10 + 3 * np.eye(6)[[4]]


def never_sad(clips, truth, logits):
    return logits - 90 * np.eye(6)[[5]]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, project):
    folder = tmp_path_factory.mktemp("runs")
    write_catalog(folder)
    known = {"folder": folder, "protocol": "speaker-independent"}
    models = {"perfect": (40, None), "chancy": (0, None), "sexist": (0, by_sex), "stuck": (0, collapsed)}
    models |= {"never sad": (3, never_sad)}
    paths = [
        write_run(model=model, fold=fold, skill=skill, change=change, **known)
        for model, (skill, change) in models.items()
        for fold in range(3)
    ]
    copies = [(f"copy {clip}", clip, "test", clip.split("_")[2]) for clip in clips_of("1001")]
    paths += [write_run(folder, "notebook", "perfect", 0, 40, copies), write_run(folder, "random", "perfect", 0, 40)]
    evaluate(folder, paths, project)
    found = read_json(folder / "evaluation.json")
    jsonschema.validate(found, json.loads((project / "workflow/schemas/evaluation.schema.json").read_text()))
    return folder, found


def checks_of(found, model, protocol="speaker-independent"):
    (entry,) = (run for run in found["checks"] if (run["model"], run["protocol"]) == (model, protocol))
    return {check["check"]: check for check in entry["checks"]}


def statuses(found, *run):
    return {name: check["status"] for name, check in checks_of(found, *run).items()}


def groups_of(found, model):
    return next(run for run in found["groups"] if run["model"] == model)


def test_a_perfect_model_passes_everything(evaluated):
    found = statuses(evaluated[1], "perfect")
    assert found.pop("robust") == "unknown" and set(found.values()) == {"pass"} and len(found) == 6
    checks = checks_of(evaluated[1], "perfect")
    assert checks["robust"]["text"] == ROBUSTNESS_UNKNOWN == "not tested: run snakemake robustness report --cores 8"
    assert checks["groups"]["value"] == 0 and checks["calibrated"]["value"] < 0.01


def test_a_random_model_fails_what_it_must(evaluated):
    found = statuses(evaluated[1], "chancy")
    assert found["chance"] == "fail" and found["baseline"] == "unknown"  # it is the baseline
    assert {found[name] for name in ("classes", "leak", "calibrated", "groups")} == {"pass"}
    # Half of the clips by chance: better than chance, and than the baseline.
    assert {statuses(evaluated[1], "sexist")[name] for name in ("chance", "baseline")} == {"pass"}


def test_a_collapsed_model_fails_loudly(evaluated):
    checks = checks_of(evaluated[1], "stuck")
    assert checks["classes"]["status"] == "fail" and checks["classes"]["text"] == "every clip is predicted as neutral"
    assert checks["chance"]["status"] == checks["baseline"]["status"] == "fail"
    assert checks["calibrated"]["status"] == checks["groups"]["status"] == "unknown"
    assert [run["collapsed"] for run in evaluated[1]["checks"]] == [False, False, False, True, False, False, False]
    never = checks_of(evaluated[1], "never sad")["classes"]
    assert (never["status"], never["text"], never["value"]) == ("fail", "sad never predicted", 0)


def test_leaks_fail(evaluated):
    leaky, known = (checks_of(evaluated[1], "perfect", protocol)["leak"] for protocol in ("notebook", "random"))
    assert leaky["status"] == "fail" and "notebook is leaky" in leaky["text"]
    # The made-up split of random has speakers apart: what counts is what the clips say.
    assert known["status"] == "pass"


def test_known_speakers_are_a_leak_and_without_an_interval_chance_is_unknown(evaluated):
    _, found = evaluated
    run = found["runs"][1] | {"unknown_speakers": False}
    settings = {"answered": 0.2, "baseline": "another", "ece": 0.0}
    (checked,) = check_runs([run], found["references"], [], found["groups"], None, settings)
    checks = {check["check"]: check for check in checked["checks"]}
    assert checks["leak"]["status"] == "fail" and "also in training or validation" in checks["leak"]["text"]
    assert checks["baseline"]["text"] == "the baseline another was not run on these clips"
    assert checks["calibrated"]["status"] == "fail"
    grouping = {"differences": [], "groups": []}
    few, mixed = ({**grouping, "reason": reason} for reason in ("too few", "mixed"))
    unjudged = [entry | {"by": {"sex": few, "level": mixed, "age": few}} for entry in found["groups"]]
    (checked,) = check_runs([run], found["references"], [], unjudged, None, settings)
    assert checked["checks"][6] == {"check": "groups", "status": "unknown", "value": None, "threshold": None} | {
        "text": "sex, age: too few; level: mixed"
    }
    without = dict.fromkeys(("low", "high"), None) | {"value": 1.0, "reason": "one speaker: nothing to resample"}
    run["pooled"] = run["pooled"] | {"uar": run["pooled"]["uar"] | without}
    (checked,) = check_runs([run], found["references"], [], found["groups"], None, settings)
    assert "one speaker" in checked["checks"][1]["text"] and checked["checks"][1]["status"] == "unknown"


def test_robustness_is_read_where_it_is(evaluated):
    _, found = evaluated
    run = found["runs"][0]
    key = {name: run[name] for name in ("protocol", "model", "seed")}
    for passed, status in (([True, None], "pass"), ([True, False], "fail"), ([None], "unknown")):
        conditions = [{"condition": f"c{number}", "passed": each} for number, each in enumerate(passed)]
        tested = {"runs": [key | {"reason": None, "conditions": conditions}]}
        settings = {"answered": 0.2, "baseline": "chancy", "ece": 0.1}
        (checked,) = check_runs([run], found["references"], [], found["groups"], tested, settings)
        assert checked["checks"][5]["status"] == status
    assert found["robustness"] is None


def test_a_model_that_answers_by_sex_fails_the_group_test(evaluated):
    folder, found = evaluated
    check = checks_of(found, "sexist")["groups"]
    assert check["status"] == "fail" and "between Female and Male" in check["text"]
    sexes = groups_of(found, "sexist")["by"]["sex"]
    uar = next(row for row in sexes["differences"] if row["figure"] == "uar")
    assert (uar["a"], uar["b"], uar["more_than_chance"]) == ("Female", "Male", True) and uar["low"] > 0.5
    truth, answers, speakers = read_test(folder, "sexist")
    female = np.isin(speakers, list(FEMALE))
    parts = [(truth[rows], answers[rows]) for rows in (female, ~female)]
    assert uar["value"] == pytest.approx(np.subtract(*(sk.balanced_accuracy_score(*part) for part in parts)))
    for figure, score in (("recall", sk.recall_score), ("precision", sk.precision_score)):
        expected = [score(*part, labels=CLASSES, average=None) for part in parts]
        rows = [row for row in sexes["differences"] if row["figure"] == figure]
        assert [row["class"] for row in rows] == CLASSES
        np.testing.assert_allclose([row["value"] for row in rows], np.subtract(*expected))
        for group, shares in zip(sexes["groups"], expected, strict=True):
            np.testing.assert_allclose(list(group[figure].values()), shares)
    # A model that is as good for both differs too, and by no more than chance.
    fair = groups_of(found, "chancy")["by"]["sex"]["differences"]
    assert any(row["value"] for row in fair) and not any(row["more_than_chance"] for row in fair)


def test_what_is_not_judged_says_why(evaluated):
    by = groups_of(evaluated[1], "sexist")["by"]
    assert "several of these groups" in by["sentence"]["reason"]
    few = "fewer than two groups have 5 speakers"
    assert {by[name]["reason"] for name in ("age", "race", "group_room")} == {few} and by["sex"]["reason"] is None
    assert [group["judged"] for group in by["group_room"]["groups"]] == [False, True]
    assert not any(by[name]["differences"] for name in by if name != "sex") and "ethnicity" not in by
    never = groups_of(evaluated[1], "never sad")["by"]["sex"]
    undefined = next(row for row in never["differences"] if (row["figure"], row["class"]) == ("precision", "SAD"))
    assert undefined["value"] is None and not undefined["more_than_chance"] and "not defined" in undefined["reason"]
    assert never["groups"][0]["precision"]["SAD"] is None and never["groups"][0]["recall"]["SAD"] == 0


def test_shares_of_classes_by_speaker(evaluated):
    folder, found = evaluated
    compared = groups_of(found, "stuck")
    assert [row["speaker"] for row in compared["speakers"]] == SPEAKERS
    for row in compared["speakers"]:
        assert row["n_clips"] == 18 and row["predicted"] == [0, 0, 0, 0, 1, 0]
        np.testing.assert_allclose(row["true"], 1 / 6)
    neutral = compared["class_shares"][4]
    assert neutral["predicted"] == 1 and neutral["mean_difference"] == pytest.approx(5 / 6)
    _, answers, speakers = read_test(folder, "chancy")
    angry = [(answers[speakers == speaker] == "ANG").mean() for speaker in SPEAKERS]
    row = groups_of(found, "chancy")["class_shares"][0]
    assert row["mean_difference"] == pytest.approx(np.abs(np.array(angry) - 1 / 6).mean())
    assert row["greatest"]["predicted"] in (pytest.approx(max(angry)), pytest.approx(min(angry)))


def read_test(folder, model):
    """Read the labels, answers and speakers of the test clips of all folds with pandas."""
    import pandas as pd

    tables = [pd.read_parquet(path) for path in sorted(folder.glob(f"speaker-independent/{model}/*/*.parquet"))]
    table = pd.concat(tables)
    table = table[table["part"] == "test"]
    answers = np.array(CLASSES)[table[[f"p_{name}" for name in CLASSES]].to_numpy().argmax(1)]
    return table["label"].to_numpy(), answers, table["clip"].str.split("_").str[0].to_numpy()
