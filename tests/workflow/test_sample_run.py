"""The default run on the sample corpus: every file that is promised, and nothing recomputed without a cause."""

import csv
import json
import re

import numpy as np
import pytest

from serflow.corpus.shards import shard_names
from serflow.models.data import Features
from serflow.storage import open_array, read_table

SHARDS = shard_names(4)
RUNS = [(model, seed) for model in ("cnn1d", "cnn2d") for seed in (0, 1)]
MEASURED = {"explain_mistakes": 1, "evaluate_runs": 1, "compare_runs": 1, "draw_evaluation": 1, "draw_mistakes": 1}
KEYS = {
    "protocol",
    "model",
    "seed",
    "fold",
    "classes",
    "accuracy",
    "f1_weighted",
    "f1_macro",
    "uar",
    "confusion_matrix",
    "most_confusing_class",
    "accuracy_by_confidence",
    "train_accuracy",
    "valid_accuracy",
    "test_accuracy",
    "n_train",
    "n_valid",
    "n_test",
    "n_train_copies",
    "n_valid_copies",
    "n_test_copies",
    "valid_uar",
    "fit_temperature",
    "parameters",
    "epochs",
    "seconds",
}


def test_catalogue(sample):
    rows = read_table(sample.results() / "catalog/clips.parquet").to_pylist()
    assert len(rows) == 288 and [row["clip"] for row in rows] == sorted(row["clip"] for row in rows)
    assert {row["speaker"] for row in rows} == {str(a + b) for a in (1001, 1019, 1037) for b in range(4)}
    assert all(row["rate"] == 16_000 and row["sex"] in ("Male", "Female") for row in rows)
    assert (sample.results() / "catalog/excluded.tsv").read_text() == "file\trule\treason\tleft_out_of\n"
    assert (sample.results() / "catalog/flagged.tsv").read_text() == "file\trule\treason\n"
    audit = json.loads((sample.results() / "catalog/audit.json").read_text())
    assert audit["clips"] == 288 and set(audit["emotions"].values()) == {48}


def test_audio_and_features_are_aligned_by_name(sample):
    results = sample.results()
    length = json.loads((results / "length.json").read_text())
    seen = []
    for shard in SHARDS:
        clips = []
        for folder in ("recordings", "augmented"):
            index = read_table(results / f"{folder}/{shard}.parquet").to_pydict()
            assert open_array(results / f"{folder}/{shard}.npy").shape == (sum(index["length"]),)
            clips += index["clip"]
        fixed = open_array(results / f"fixed/{shard}.npy")
        assert fixed.dtype == np.float32 and fixed.shape == (len(clips), length["target_length"])
        mel = open_array(results / f"mel/{shard}.npy")
        frames = read_table(results / f"frames/{shard}.parquet")
        assert mel.shape[:2] == (len(fixed), 128) and mel.max() == 0 and mel.min() >= -80
        assert all(str(kind) == "float" for kind in frames.schema.types[1:])
        for table in (read_table(results / f"{folder}/{shard}.parquet") for folder in ("fixed", "mel", "frames")):
            assert table["clip"].to_pylist() == clips
        seen += clips
    assert len(seen) == len(set(seen)) == 3 * 288
    split = read_table(results / "splits/notebook.parquet").to_pydict()
    assert set(split["clip"]) == set(seen)
    assert all(label == clip.split("_")[2] for clip, label in zip(split["clip"], split["label"], strict=True))


def test_features_are_found_by_name_in_any_order(sample):
    results = sample.results()
    paths = [results / f"mel/{shard}.npy" for shard in SHARDS]
    indices = [path.with_suffix(".parquet") for path in paths]
    features, turned = Features(paths, indices), Features(paths[::-1], indices[::-1])
    clips = read_table(results / "splits/notebook.parquet")["clip"].to_pylist()[::37]
    labels = [clip.split("_")[2] for clip in clips]
    classes = sorted(set(labels))
    rows, turned_rows = features.rows(clips, labels, classes), turned.rows(clips, labels, classes)
    np.testing.assert_array_equal(features.take(rows.places), turned.take(turned_rows.places))
    assert [classes[code] for code in rows.labels] == labels


@pytest.mark.parametrize(("model", "seed"), RUNS)
def test_runs(sample, model, seed):
    folder = sample.results() / f"models/notebook/{model}/seed{seed}/fold0"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics) >= KEYS
    assert (metrics["model"], metrics["seed"], metrics["leaky"]) == (model, seed, True)
    assert metrics["classes"] == ["ANG", "DIS", "FEA", "HAP", "NEU", "SAD"]
    assert metrics["n_train"] + metrics["n_valid"] + metrics["n_test"] == 864
    predictions = read_table(folder / "predictions.parquet").to_pandas()
    probabilities = predictions[[f"p_{name}" for name in metrics["classes"]]].to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    test = predictions["part"] == "test"
    right = np.array(metrics["classes"])[probabilities.argmax(axis=1)] == predictions["label"]
    assert metrics["test_accuracy"] == metrics["accuracy"] == pytest.approx(right[test].mean())
    assert np.array(metrics["confusion_matrix"]).sum() == test.sum()
    history = list(csv.DictReader((folder / "history.csv").open()))
    assert len(history) == metrics["epochs"] == 1 and {"loss", "val_loss", "accuracy"} <= set(history[0])
    layers = (folder / "model.txt").read_text()
    assert f"Total params: {metrics['parameters']:,}" in layers
    counts = re.findall(r"([\d,]+) │$", layers, re.MULTILINE)
    assert sum(int(count.replace(",", "")) for count in counts) == metrics["parameters"]


def test_comparison(sample):
    rows = list(csv.DictReader((sample.results() / "report/all/comparison.csv").open()))
    assert [(row["model"], row["seed"]) for row in rows[:4]] == [(model, str(seed)) for model, seed in RUNS]
    # Five models over all folds and by fold, then chance and majority class of both protocols.
    assert [row["fold"] for row in rows[4:24]] == ["", "0", "1", "2"] * 5
    assert [row["source"] for row in rows[24:]] == ["reference"] * 4
    assert all(("leaky" in row["run"]) == (row["leaky"] == "True") for row in rows)


def test_report_stands_alone(sample):
    page = (sample.results() / "report/all/index.html").read_text()
    assert page.count("<audio") == page.count('alt="Waveform and mel-spectrogram') == 12 + 8
    assert page.count('<details class="run"') == 9 and page.count('<details class="fold"') == 19
    assert "Synthetic speech" in page and "Protocol notebook is leaky" in page
    assert not re.search(r"(?:src|href)=[\"'](?!data:|#)", re.sub(r"<script.*?</script>", "", page, flags=re.S))
    assert "recurses" in page and "fix_length" in page and "n_fft=1569" in page


def test_a_second_run_does_nothing(sample):
    assert not sample.jobs()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"models": {"cnn1d": {"epochs": 1}, "cnn2d": {"epochs": 2}}},
            {"train_model": 5, "predict_test": 5, "evaluate_model": 5, "draw_curves": 5, "draw_confusion": 5}
            | MEASURED,
        ),
        (
            {"mel": {"n_mels": 64}},
            {"extract_mel": 4, "draw_clips": 1, "train_model": 5, "predict_test": 5}
            | {"evaluate_model": 5, "draw_curves": 5, "draw_confusion": 5}
            | MEASURED,
        ),
        (
            {"frames": {"n_mfcc": 20}},
            {"extract_frames": 4, "extract_functionals": 4, "train_model": 8, "predict_test": 8}
            | {"evaluate_model": 8, "draw_curves": 5, "draw_confusion": 8, "measure_importance": 3}
            | MEASURED,
        ),
        ({"threads": {"features": 2, "training": 1}}, {}),
    ],
)
def test_a_setting_recomputes_what_depends_on_it(sample, settings, expected):
    assert sample.jobs(**settings) == (expected | {"record_provenance": 1, "render_report": 1})


@pytest.mark.extended
def test_retraining_one_model_leaves_the_other_alone(copy_of_sample):
    models = copy_of_sample.results() / "models/notebook"
    before = {path: path.stat().st_mtime_ns for path in models.rglob("model.keras")}
    settings = {"models": {"cnn1d": {"epochs": 1}, "cnn2d": {"epochs": 2}}}
    copy_of_sample.run(**settings)
    changed = {path.parts[-4] for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed == {"cnn2d"}
    assert not copy_of_sample.jobs(**settings)
