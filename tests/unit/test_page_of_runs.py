"""The page of made-up runs: a metric added in one place, unknown speakers, and no empty sections."""

import csv
import json
import re
from html import escape

import jsonschema
import numpy as np
import pytest

from made_up_runs import evaluate, write_catalog, write_page, write_run
from serflow.metrics import scores
from serflow.report.evaluation_charts import compare_runs
from serflow.storage import read_json


def test_a_metric_added_in_one_place_is_everywhere(tmp_path, project, monkeypatch):
    def worst_recall(cm):
        return scores.recall(cm).min(-1)

    monkeypatch.setitem(scores.STATISTICS, "worst_recall", scores.Metric(worst_recall, "worst recall"))
    write_catalog(tmp_path)
    paths = [write_run(tmp_path, "speaker-independent", model, fold, 2.0) for model in "ab" for fold in range(3)]
    evaluate(tmp_path, paths, project)
    found = json.loads((tmp_path / "evaluation.json").read_text())
    jsonschema.validate(found, json.loads((project / "workflow/schemas/evaluation.schema.json").read_text()))
    run = found["runs"][0]
    values = [read_json(path)["worst_recall"] for path in paths[:3]]
    assert values == [min(read_json(path)["recall"]) for path in paths[:3]]
    assert [fold["worst_recall"]["value"] for fold in run["folds"]] == values
    pooled = run["pooled"]["worst_recall"]
    assert pooled["value"] == min(row["recall"] for row in run["pooled"]["per_class"]) >= pooled["low"]
    assert "worst_recall" in found["models"][0]["mean"] and "worst_recall" in found["pairs"][0]["difference"]
    assert found["references"]["speaker-independent"]["majority_class"]["worst_recall"]["value"] == 0
    compare_runs(tmp_path / "evaluation.json", table=tmp_path / "comparison.csv", figure=tmp_path / "comparison.png")
    with (tmp_path / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["worst_recall"]) == pooled["value"]
    page = write_page(tmp_path, paths, tmp_path / "index.html")
    assert page.count('<th scope="col">worst recall</th>') == 3  # all runs, their folds, and pairs of models
    assert page.count(f"{100 * pooled['value']:.1f} % worst recall") >= 1


@pytest.mark.parametrize("known", [False, True])
def test_who_is_unknown_is_found_from_the_clips_and_not_from_the_protocol(tmp_path, project, known):
    """A table of one's own is the headline if its speakers are apart, and is not if one clip of a tester validates."""
    write_catalog(tmp_path)
    extra = [("1001_another", "1001_another", "valid", "ANG")] if known else []
    paths = [write_run(tmp_path, "custom", "a", fold, 2.0, extra) for fold in range(3)]
    evaluate(tmp_path, paths, project)
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert found["runs"][0]["unknown_speakers"] is found["models"][0]["unknown_speakers"] is not known
    page = write_page(tmp_path, paths, tmp_path / "index.html")
    assert ("Protocol custom, 3 folds" in page) is not known
    assert ("No run here tests on speakers that its model was not trained on" in page) is known


def test_the_page_of_one_run_has_no_empty_sections(tmp_path, project):
    write_catalog(tmp_path)
    one = [write_run(tmp_path, "custom", "svm_functionals", 0, 2.0)]
    evaluate(tmp_path, one, project)
    flagged = [("all 9 clips", "rate", "48000 Hz, not 16000"), ("a.wav", "silence", "quiet")]
    page = write_page(tmp_path, one, tmp_path / "index.html", flagged=flagged)
    assert "1 run of 1 model:" in page and "Protocol custom, 1 fold:" in page and not re.search(r"\b1 \w+s of", page)
    for section in ("pairs", "leakage", "clips"):
        assert f'id="{section}"' not in page and f'href="#{section}"' not in page
    # One epoch is no curve.
    assert "by epoch" not in page and "epoch 1" not in page.lower() and "1 epoch" not in page
    assert "2 findings, flagged and used" in page and "all 9 clips" in page and "left out</summary>" not in page
    two = [*one, write_run(tmp_path, "random", "cnn1d", 0, 2.0), write_run(tmp_path, "custom", "cnn1d", 0, 1.0)]
    evaluate(tmp_path, two, project)
    page = write_page(tmp_path, two, tmp_path / "index.html", epochs=2)
    assert "3 runs of 2 models:" in page and "Loss by epoch" in page and "findings" not in page
    for section in ("pairs", "leakage"):
        assert f'id="{section}"' in page and f'href="#{section}"' in page
    contents = page.partition("<nav")[2].partition("</nav>")[0]
    listed, sections = re.findall(r'href="#(\w+)"', contents), re.findall(r'<section id="(\w+)"', page)
    assert listed == sections


def test_checks_groups_disagreement_and_unsure_are_on_the_page(tmp_path, project):
    write_catalog(tmp_path)
    known = {"folder": tmp_path, "protocol": "speaker-independent"}
    changes = {"by sex": better_for_women, "stuck": always_angry}
    paths = [
        write_run(model=model, fold=fold, skill=1, change=change, **known)
        for model, change in changes.items()
        for fold in range(3)
    ]
    evaluate(tmp_path, paths, project)
    page = write_page(tmp_path, paths, tmp_path / "index.html")
    found = json.loads((tmp_path / "evaluation.json").read_text())
    linked, ids = set(re.findall(r'href="#([\w-]+)"', page)), set(re.findall(r'<section id="([\w-]+)"', page))
    assert linked == ids and {"checks", "groups", "disagreement", "unsure"} <= ids
    checks = page.partition('<section id="checks">')[2].partition("</section>")[0]
    assert checks.count('role="alert"') == 1 and "stuck seed 0, protocol speaker-independent, has collapsed" in checks
    shown = re.findall(r'<li class="(\w+)"><strong>(\w+)</strong>', checks)
    (best,) = (run["checks"] for run in found["checks"] if run["model"] == "by sex")
    assert [status for status, _ in shown] == [word for _, word in shown] == [check["status"] for check in best]
    assert all(escape(check["text"]) in checks for check in best)
    assert "not tested: run snakemake robustness" in checks and 'href="#robustness"' not in page
    groups = page.partition('<section id="groups">')[2].partition("</section>")[0]
    assert '<td class="fail">yes</td>' in groups and "clips of one speaker are in several" in groups
    assert page.count("<small>not judged</small>") > 2 and "Share of each emotion by speaker" in page
    assert "80 % or more" in page.partition('<section id="disagreement">')[2].partition("</section>")[0]
    unsure = page.partition('<section id="unsure">')[2].partition("</section>")[0]
    assert unsure.count("no confidence with 20 or more validation clips above it reaches this accuracy") == 2


def better_for_women(clips, truth, logits):
    """Women are the speakers with an even number."""
    women = np.array([int(clip.split("_")[0]) % 2 == 0 for clip in clips])
    return logits + 5 * np.eye(6)[truth] * women[:, None]


def always_angry(clips, truth, logits):
    return logits + 90 * np.eye(6)[[0]]
