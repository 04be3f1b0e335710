"""The figures of robustness on made-up answers with known results, and what the checks say of them."""

import json

import jsonschema
import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import balanced_accuracy_score

from made_up_runs import CLASSES, SPEAKERS, clips_of, evaluate, write_catalog, write_page, write_run
from serflow.evaluation.measures import Resampling
from serflow.evaluation.robustness import CONDITIONS, UNCHANGED, default_settings, variants_of
from serflow.evaluation.robustness_figures import Answers, passed, robustness_of
from serflow.evaluation.robustness_figures import test_robustness as measure_robustness
from serflow.storage import read_json, write_json, write_table

CONDITIONS_TESTED = [name for name in CONDITIONS if name != "recorded_noise"]
SETTINGS = {name: default_settings()[name] for name in CONDITIONS_TESTED}
VARIANTS = [(name, variant) for name in SETTINGS for variant in variants_of(name, SETTINGS[name])]
RESAMPLING = {"resamples": 400, "seed": 0}
PROTOCOL = "speaker-independent"
KEY = {"protocol": PROTOCOL, "model": "a", "seed": 0}


def write_answers(path, variants, clips, logits_of, reason=None):
    """Write a table of answers; ``logits_of`` turns a variant, clips and truth into logits."""
    rows = []
    for variant in variants:
        if reason:
            rows.append({"variant": variant, "reason": reason})
            continue
        truth = np.array([CLASSES.index(clip.split("_")[2]) for clip in clips])
        logits = logits_of(variant, clips, truth)
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        for clip, code, row in zip(clips, truth, shares, strict=True):
            rows.append({"variant": variant, "clip": clip, "label": CLASSES[code]})
            rows[-1] |= {f"p_{name}": value for name, value in zip(CLASSES, row, strict=True)}
    kinds = dict.fromkeys(("variant", "clip", "label"), pa.string())
    kinds |= dict.fromkeys([f"p_{name}" for name in CLASSES], pa.float32()) | {"reason": pa.string()}
    write_table(path, pa.Table.from_pylist(rows, pa.schema(list(kinds.items()))))
    return path


def test_run(folder, logits_of, folds=3, reasons=None, members=1, weights=None, temperatures=(1.0,), settings=SETTINGS):
    """Write answers of all conditions and return ``robustness.json``; ``logits_of`` may differ between members."""
    files, functions = [], logits_of if isinstance(logits_of, list) else [logits_of] * members
    for name in (UNCHANGED, *settings):
        variants = [variant.name for variant in variants_of(name, settings.get(name, {}))]
        for fold in range(folds):
            clips = [clip for speaker in SPEAKERS[fold * 4 : fold * 4 + 4] for clip in clips_of(speaker)]
            reason = (reasons or {}).get((name, fold))
            files += [
                write_answers(folder / f"{name}{fold}{member}.parquet", variants, clips, function, reason)
                for member, function in enumerate(functions)
            ]
    for fold in range(folds):
        chosen = {"weights": weights} if weights else None
        write_json(folder / f"training{fold}.json", {"classes": CLASSES, "chosen": chosen})
        for member, temperature in zip(range(members), temperatures, strict=False):
            write_json(folder / f"metrics{fold}{member}.json", {"temperature": temperature})
    measure_robustness(
        files,
        **KEY,
        members=members,
        conditions=settings,
        training=[folder / f"training{fold}.json" for fold in range(folds)],
        metrics=[folder / f"metrics{fold}{member}.json" for fold in range(folds) for member in range(members)],
        resampling=RESAMPLING,
        output=folder / "robustness.json",
    )
    return read_json(folder / "robustness.json")


test_run.__test__ = False


def right(variant, clips, truth):
    return 9.0 * np.eye(6)[truth]


def random(variant, clips, truth):
    """Other answers to each variant, by chance."""
    return np.random.default_rng([len(clips), *variant.encode()]).normal(size=(len(clips), 6))


def worse(variant, clips, truth):
    """Two thirds of the answers are right as the clips are; in noise only those of odd speakers are."""
    answer = np.where(np.arange(len(clips)) % 3, truth, (truth + 1) % 6)
    if variant.startswith(("white", "gain")):
        odd = np.array([int(clip[3]) % 2 for clip in clips], bool)
        answer = np.where(odd, answer, (truth + 2) % 6)
    return 9.0 * np.eye(6)[answer]


def rows_of(found):
    return {row["condition"]: row for row in found["conditions"]}


def test_a_perfect_model_passes_everything(tmp_path):
    found = test_run(tmp_path, right)
    assert (found["n_clips"], found["n_speakers"]) == (216, 12) and found["unchanged"]["uar"]["value"] == 1
    assert [row["condition"] for row in found["conditions"]] == [variant.name for _, variant in VARIANTS]
    for row in found["conditions"]:
        assert row["unchanged"] == 1 and row["change"]["value"] == 0 and not row["change"]["evidence"]
        judged = any(value is not None for value in row["thresholds"].values())
        assert row["passed"] is (True if judged else None)
    judged = {row["condition"] for row in found["conditions"] if row["passed"] is not None}
    assert judged == {
        *("gain_-2", "gain_2", "cut", "pad", "high_pass_100", "low_pass_7000", "faint_noise_40", "light_clipping_0.2"),
        *("white_noise_20", "pink_noise_20", "babble_20", "telephone", "tilt_-3", "tilt_3", "room_0.3", "room_0.8"),
    }


def test_a_random_model_fails_what_asks_for_the_same_answers(tmp_path):
    found = rows_of(test_run(tmp_path, random))
    asked = [row for row in found.values() if row["thresholds"]["unchanged"] is not None]
    assert len(asked) == 14 and not any(row["passed"] for row in asked)
    assert all(0.05 < row["unchanged"] < 0.3 for row in asked)


def test_figures_by_an_independent_calculation(tmp_path):
    found = test_run(tmp_path, worse)
    clips = [clip for speaker in SPEAKERS for clip in clips_of(speaker)]
    truth = np.array([CLASSES.index(clip.split("_")[2]) for clip in clips])
    per_fold = [slice(72 * fold, 72 * fold + 72) for fold in range(3)]

    def answered(variant):
        return np.concatenate([worse(variant, clips[rows], truth[rows]).argmax(axis=1) for rows in per_fold])

    before = answered(UNCHANGED)
    assert found["unchanged"]["uar"]["value"] == pytest.approx(balanced_accuracy_score(truth, before))
    speakers = np.array([clip[:4] for clip in clips])
    for _, variant in VARIANTS:
        after, row = answered(variant.name), rows_of(found)[variant.name]
        change = balanced_accuracy_score(truth, after) - balanced_accuracy_score(truth, before)
        assert row["uar"]["value"] == pytest.approx(balanced_accuracy_score(truth, after))
        assert row["change"]["value"] == pytest.approx(change)
        assert row["unchanged"] == pytest.approx((after == before).mean())
        # The interval is that of differences of whole speakers, who are drawn with replacement: here by scikit-learn.
        rng, differences = np.random.default_rng(1), []
        for _ in range(300 if variant.name == "white_noise_20" else 0):
            drawn = np.concatenate([np.flatnonzero(speakers == who) for who in rng.choice(SPEAKERS, len(SPEAKERS))])
            scores = [balanced_accuracy_score(truth[drawn], each[drawn]) for each in (after, before)]
            differences.append(scores[0] - scores[1])
        if differences:
            assert change < -0.2 and row["change"]["evidence"]
            # Corrected for few speakers (see the bootstrap's tests), so a little wider.
            low, high = np.quantile(differences, [0.025, 0.975])
            assert row["change"]["low"] == pytest.approx(low, abs=0.07)
            assert row["change"]["high"] == pytest.approx(high, abs=0.07)
    assert not rows_of(found)["white_noise_20"]["passed"] and rows_of(found)["pink_noise_20"]["passed"]
    assert rows_of(found)["white_noise_10"]["passed"] is None  # no threshold below 20 dB


def test_strata_of_corpora():
    """Of two corpora of different sizes, the UAR is the mean of theirs."""
    clips = np.array(
        [f"{corpus}:{who}_{code}" for corpus, n in (("a", 2), ("b", 6)) for who in range(n) for code in "01"]
    )
    truth = np.array([int(clip[-1]) for clip in clips])
    of_a = np.array([clip.startswith("a:") for clip in clips])
    after = Answers(clips, truth, np.where(of_a, 0, truth))
    settings = {"telephone": SETTINGS["telephone"]}
    given = {UNCHANGED: Answers(clips, truth, truth), "telephone": after}
    found = robustness_of(given, ["x", "y"], "cross-corpus", settings, Resampling(**RESAMPLING))
    (row,) = found["conditions"]
    assert row["uar"]["value"] == pytest.approx((0.5 + 1) / 2) and row["change"]["value"] == pytest.approx(-0.25)
    assert row["unchanged"] == pytest.approx(14 / 16)
    found = robustness_of(given, ["x", "y"], PROTOCOL, settings, Resampling(**RESAMPLING))
    assert found["conditions"][0]["change"]["value"] == pytest.approx(-1 / 8)


def test_an_ensemble_is_the_weighted_mean_of_calibrated_members(tmp_path):
    temperatures, weights = (2.0, 0.5), [0.7, 0.3]

    def other(variant, clips, truth):
        return random(variant + "other", clips, truth) * 2

    found = rows_of(test_run(tmp_path, [random, other], 3, None, 2, weights, temperatures))
    after, before = [], []
    for variant, into in (("telephone", after), (UNCHANGED, before)):
        for fold in range(3):
            clips = [clip for speaker in SPEAKERS[fold * 4 : fold * 4 + 4] for clip in clips_of(speaker)]
            mixed = 0
            for function, temperature, weight in zip((random, other), temperatures, weights, strict=True):
                scaled = np.exp(function(variant, clips, None) / temperature)
                mixed = mixed + weight * scaled / scaled.sum(axis=1, keepdims=True)
            into.append(mixed.argmax(axis=1))
    assert found["telephone"]["unchanged"] == pytest.approx((np.concatenate(after) == np.concatenate(before)).mean())


def test_what_cannot_be_tested_says_why(tmp_path, project):
    reasons = {("babble", 1): "there is no other test speaker to talk"}
    found = test_run(tmp_path, right, reasons=reasons)
    row = rows_of(found)["babble_20"]
    assert (row["uar"], row["change"], row["unchanged"], row["passed"]) == (None, None, None, None)
    assert row["reason"] == "fold 1: there is no other test speaker to talk"
    rest = {name for name, other in rows_of(found).items() if other["reason"] is None}
    assert rest == {variant.name for name, variant in VARIANTS if name != "babble"}
    one = robustness_of(
        {name: Answers(*map(np.array, (["1_a", "1_b"], [0, 1], [0, 1]))) for name in (UNCHANGED, "telephone")},
        ["x", "y"],
        PROTOCOL,
        {"telephone": SETTINGS["telephone"]},
        Resampling(**RESAMPLING),
    )["conditions"][0]
    assert one["change"]["reason"] == "one speaker: nothing to resample" and one["passed"]


@pytest.mark.parametrize(
    ("unchanged", "change", "wanted", "expected"),
    [
        (0.95, -0.05, {"unchanged": 0.95, "change": None}, True),
        (0.9499, 0.0, {"unchanged": 0.95, "change": None}, False),
        (0.1, 0.75 - 0.8, {"unchanged": None, "change": -0.05}, True),
        (0.9, -0.0501, {"unchanged": 0.9, "change": -0.05}, False),
        (0.89, 0.01, {"unchanged": 0.9, "change": -0.05}, False),
        (0.1, -0.9, {"unchanged": None, "change": None}, None),
    ],
)
def test_thresholds(unchanged, change, wanted, expected):
    assert passed({"unchanged": unchanged, "change": {"value": change}}, wanted) is expected


@pytest.fixture(scope="module")
def reported(tmp_path_factory, project):
    """A page and evaluation.json with two runs, of which one was tested and one cannot be."""
    folder = tmp_path_factory.mktemp("reported")
    write_catalog(folder)
    paths = [
        write_run(folder, PROTOCOL, model, fold, skill) for model, skill in (("a", 3), ("b", 2)) for fold in range(3)
    ]
    (folder / "a").mkdir()
    tested = test_run(folder / "a", worse, reasons={("babble", 1): "nobody talks"})
    untested = KEY | {"model": "b", "reason": "b reads table, which no changed recording can be turned into"}
    untested |= {"n_clips": 0, "n_speakers": 0, "unchanged": None, "conditions": []}
    write_json(folder / "b.json", untested)
    evaluate(folder, paths, project, robustness=[folder / "a/robustness.json", folder / "b.json"])
    return tested, read_json(folder / "evaluation.json"), write_page(folder, paths, folder / "index.html")


def test_the_evaluation_and_its_checks_have_it(reported, project):
    tested, found, _ = reported
    jsonschema.validate(found, json.loads((project / "workflow/schemas/evaluation.schema.json").read_text()))
    assert found["robustness"]["runs"][0] == tested
    a, b = (next(check for check in run["checks"] if check["check"] == "robust") for run in found["checks"])
    judged = [row for row in tested["conditions"] if row["passed"] is not None]
    failed = [row["condition"] for row in judged if not row["passed"]]
    assert failed == ["gain_-2", "gain_2", "white_noise_20"] and len(judged) == 15
    assert a["status"] == "fail" and a["text"] == f"12 of 15 conditions; not {', '.join(failed)}"
    assert a["value"] == pytest.approx(12 / 15)
    assert b["status"] == "unknown" and b["text"].startswith("b reads table")


def test_the_page_shows_it(reported):
    tested, _, page = reported
    section = page.partition('<section id="robustness">')[2].partition("</section>")[0]
    assert '<a href="#robustness">Robustness</a>' in page and "Not tested: b reads table" in section
    assert (
        section.count('<tr><th scope="row">') == len(tested["conditions"])
        and section.count("fold 1: nobody talks") == 3
    )
    row = section.partition('<th scope="row">white noise, 20 dB</th>')[2].partition("</tr>")[0]
    figures = rows_of(tested)["white_noise_20"]
    assert '<td class="fail">fails</td>' in row and f"<td>{100 * figures['unchanged']:.1f}</td>" in row
    assert f"{100 * figures['change']['value']:+.1f} [" in row and "<td>-5.0</td>" in row
    chart = json.loads(section.partition('<script type="application/json">')[2].partition("</script>")[0])
    values = [each for layer in chart["layer"] for each in layer["data"]["values"] if each.get("name")]
    assert {each["kind"] for each in values} == {"passes", "fails", "no threshold"}
    assert {each["name"] for each in values} == {row["title"] for row in tested["conditions"] if not row["reason"]}
