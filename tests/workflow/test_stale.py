"""Only what is stale: each change, and the exact jobs that it makes rerun."""

import json
from collections import Counter

import pytest
import yaml

from workspace import RUNS, SMALL

SHARDS = 4
# What depends on what. The page and the provenance show every setting, so any change makes both again.
PAGE = Counter(record_provenance=1, render_report=1)
MEASURED = Counter(evaluate_runs=1, compare_runs=1, draw_evaluation=1, draw_mistakes=1) | PAGE
EVALUATION = Counter(explain_mistakes=1) | MEASURED
DRAWN = Counter(draw_clips=1, draw_mistakes=1)
RUN = Counter(train_model=1, predict_test=1, evaluate_model=1, draw_curves=1, draw_confusion=1)
ONE_MODEL = RUN | EVALUATION
MODELS = (RUN + RUN) | EVALUATION
MEL = Counter(extract_mel=SHARDS) | DRAWN | ONE_MODEL
FRAMES = Counter(extract_frames=SHARDS) | ONE_MODEL
FIXED = Counter(fix_length=SHARDS, extract_frames=SHARDS, extract_mel=SHARDS) | MODELS
AUDIO = Counter(augment_audio=SHARDS, measure_length=1) | FIXED
SPLIT = Counter(split_clips=1) | MODELS
CATALOGUE = Counter(catalog_clips=1, draw_clips=1) | EVALUATION
PLAN = SPLIT | AUDIO
ALL = Counter(read_recordings=SHARDS) | CATALOGUE | PLAN


def resharded(shards):
    return Counter({rule: shards if count == SHARDS else count for rule, count in ALL.items()})


# Every key of config.yaml, with a new value and what that recomputes in a corpus from a folder.
SETTINGS = [
    ("corpus", "other", ALL),
    ("format", "crema-d", PAGE),  # what a corpus of this name has without it
    ("audio", "elsewhere", ALL),
    ("metadata", "tables", CATALOGUE),
    ("fetch.mirrors", ["kaggle"], PAGE),
    ("fetch.pointers", "pointers.zip", PAGE),
    ("shards", 3, resharded(3)),
    ("segments", "speech", Counter(plan_segments=1) | ALL),
    ("labels.map", {"SAD": "NEU"}, CATALOGUE | SPLIT),
    ("labels.keep", ["ANG", "HAP"], CATALOGUE | SPLIT),
    ("labels.corpora", {}, Counter()),  # as it is: others need several corpora
    ("catalog.policy", "exclude", CATALOGUE),
    # The protocol here is notebook, which keeps what the audit flags; others are split again.
    *((f"catalog.audit.{key}", value, CATALOGUE) for key, value in [
        ("exclude", ["silence"]),
        ("silence_dbfs", -50),
        ("clipped_share", 0.03),
        ("dc_offset", 0.02),
        ("rate", 8000),
        ("channels", 2),
        ("min_seconds", 0.4),
        ("max_seconds", 11),
    ]),
    ("sample.seed", 1, PAGE),
    ("sampling_rate", 8000, ALL),
    ("remove_dc", True, ALL),
    ("loudness.measure", "rms", ALL),
    ("loudness.target", -20, PAGE),
    ("augment.seed", 1, PLAN),
    ("augment.time_stretch.clips", 5, PLAN),
    ("augment.time_stretch.low", 0.9, PLAN),
    ("augment.time_stretch.high", 1.1, PLAN),
    ("augment.pitch_shift.clips", 5, PLAN),
    ("augment.pitch_shift.low", -2, PLAN),
    ("augment.pitch_shift.high", 2, PLAN),
    ("augment.speed.clips", 100, PLAN),
    ("augment.speed.rates", [0.8], PAGE),
    ("length", 20000, Counter(measure_length=1) | FIXED),
    ("frames.features", ["rms", "mfcc"], FRAMES),
    ("frames.n_mfcc", 20, FRAMES),
    ("frames.size", 25, FRAMES),
    ("frames.hop", 10, FRAMES),
    ("mel.n_mels", 64, MEL),
    ("mel.n_fft", 1024, MEL),
    ("mel.hop_length", 256, MEL),
    ("logmel.n_mels", 32, PAGE),
    ("logmel.window_ms", 20, PAGE),
    ("logmel.hop_ms", 10, PAGE),
    ("split.test", 0.2, SPLIT),
    ("split.valid", 0.3, SPLIT),
    ("split.random_state", 1, SPLIT),
    ("split.folds", "leave-one-speaker-out", PAGE),  # of a protocol that no run here has
    ("split.table", "mine.csv", PAGE),
    ("table.path", "mine.csv", PAGE),
    ("runs", [RUNS[0] | {"seeds": [0, 1]}], MODELS),
    *((f"models.{model}.{key}", value, ONE_MODEL) for model, key, value in [
        ("cnn1d", "epochs", 2),
        ("cnn1d", "patience", 2),
        ("cnn1d", "min_delta", 0.1),
        ("cnn1d", "batch_size", 16),
        ("cnn1d", "learning_rate", 0.01),
        ("cnn1d", "blocks", [{"filters": [8], "kernel": 3, "pool": 5}]),
        ("cnn1d", "dense", 32),
        ("cnn2d", "epochs", 2),
        ("cnn2d", "patience", 2),
        ("cnn2d", "min_delta", 0.1),
        ("cnn2d", "batch_size", 16),
        ("cnn2d", "learning_rate", 0.01),
        ("cnn2d", "filters", [8, 8, 8]),
        ("cnn2d", "kernels", [5, 3, 3]),
        ("cnn2d", "dropout", 0.5),
        ("cnn2d", "dense", [64]),
    ]),
    # The protocol notebook never standardises the inputs of networks.
    ("models.cnn1d.standardize", "none", PAGE),
    ("models.cnn2d.standardize", "none", PAGE),
    ("models.cnn1d.copies", ["pitch_shift"], ONE_MODEL),
    ("models.cnn2d.copies", [], ONE_MODEL),
    # Models that no run here uses.
    ("models.logreg_embedding.encoder", "whisper-tiny.en", Counter()),  # as it is: others need an entry in encoders
    ("embedding.pooling", ["mean"], PAGE),
    ("encoders", {"mine": {"onnx": "mine.onnx"}}, PAGE),
    ("models.svm_functionals.standardize", "corpus", PAGE),
    ("models.svm_functionals.features", "egemaps", PAGE),
    ("models.logreg_embedding.features", "functionals", PAGE),
    ("models.mlp_embedding.features", "functionals", PAGE),
    ("models.svm_functionals.copies", [], PAGE),
    *((f"models.logreg_embedding.{key}", value, PAGE) for key, value in [
        ("standardize", "none"),
        ("copies", ["pitch_shift"]),
        ("layers", "best"),
        ("C", [1.0]),
        ("max_iter", 10),
        ("class_weight", "balanced"),
        ("refit", False),
    ]),
    *((f"models.logreg_embedding_{group}.{key}", value, PAGE) for group in ("corpus", "speaker") for key, value in [
        ("architecture", "svm_functionals"),
        ("standardize", "none"),
    ]),
    ("models.ensemble.members", ["cnn1d", "cnn2d"], PAGE),
    ("models.ensemble.seeds", [0, 1], PAGE),
    ("models.svm_functionals.C", 1.0, PAGE),
    ("models.svm_functionals.max_iter", 100, PAGE),
    ("models.svm_functionals.class_weight", "balanced", PAGE),
    ("search", {"mine": {"model": "svm_functionals", "space": {"C": {"choices": [0.1, 1]}}}}, PAGE),
    ("chosen_on", {"cnn1d": "mine"}, PAGE),
    ("evaluation.resamples", 500, MEASURED),
    ("evaluation.seed", 1, MEASURED),
    ("evaluation.bins", 10, MEASURED),
    ("evaluation.accuracies", [0.6], MEASURED),
    ("evaluation.checks.answered", 0.1, MEASURED),
    ("evaluation.checks.baseline", "cnn1d", MEASURED),
    ("evaluation.checks.ece", 0.05, MEASURED),
    ("robustness", {"seed": 1, "white_noise": {"snr": [5]}}, PAGE),  # no results of that target are there
    ("input", "elsewhere", PAGE),
    ("bundle", "mine.zip", PAGE),
    ("bundles.encoder", False, PAGE),
    ("bundles.contact", "me@example.org", PAGE),
    ("bundles.licence", "mit", PAGE),
    ("device", "cpu", PAGE),
    ("threads.features", 2, PAGE),
    ("threads.prediction", 2, PAGE),
    ("threads.training", 1, PAGE),
    ("report.clips", 3, Counter(draw_clips=1) | PAGE),
    ("report.seed", 1, Counter(draw_clips=1) | PAGE),
    ("report.mistakes", 3, EVALUATION),
]  # fmt: skip
# Settings of training, which a model reads all together: what is recomputed if all of them change.
TRAINING = {"monitor": "uar", "optimizer": "adamw", "weight_decay": 0.2, "schedule": "cosine", "warmup": 1}
TRAINING |= {"clip_norm": 2, "label_smoothing": 0.2, "ema": 0.9, "mixup": 0.3, "class_weight": "balanced"}
AUGMENTATION = {"mask_frames": 1, "mask_bands": 1, "shift_frames": 1, "shift_bands": 1, "gain": 1, "stretch": 0.2}
TOGETHER = [
    ("cnn1d", TRAINING | {"refit": True, "targets": "mixed"}, ONE_MODEL),
    ("cnn2d", AUGMENTATION, ONE_MODEL),
    (
        "resnet_asp",
        TRAINING
        | AUGMENTATION
        | {"standardize": "none", "copies": ["pitch_shift"], "filters": [8], "dropout": 0.1, "epochs": 2}
        | {"patience": 1, "min_delta": 0.1, "batch_size": 8, "learning_rate": 0.1, "refit": False}
        | {"targets": "votes"},
        PAGE,
    ),
    (
        "mlp_embedding",
        {key: TRAINING[key] for key in ("monitor", "optimizer", "weight_decay", "schedule", "label_smoothing", "mixup")}
        | {"encoder": "whisper-tiny.en", "standardize": "none", "copies": ["pitch_shift"], "units": [8], "dropout": 0.1}
        | {"epochs": 2, "patience": 1, "refit": False},
        PAGE,
    ),
]


def leaves(section, above=""):
    for key, value in section.items():
        if (
            isinstance(value, dict) and value and key not in ("encoders", "search", "robustness")
        ):  # whose names are the user's, or plug-ins
            yield from leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}"


def nested(key, value, settings):
    """Put a dotted key's value into a copy of settings."""
    settings = json.loads(json.dumps(settings))
    *path, last = key.split(".")
    section = settings
    for name in path:
        section = section.setdefault(name, {})
    section[last] = value
    return settings


def test_the_table_has_every_setting(project):
    known = set(leaves(yaml.safe_load((project / "config.yaml").read_text())))
    listed = [key for key, _, _ in SETTINGS]
    listed += [f"models.{model}.{key}" for model, settings, _ in TOGETHER for key in settings]
    assert sorted(listed) == sorted(known)


@pytest.mark.parametrize(("model", "settings", "expected"), TOGETHER, ids=[model for model, _, _ in TOGETHER])
def test_settings_of_training_recompute_their_model(mine, model, settings, expected):
    assert mine.jobs(**nested(f"models.{model}", settings, SMALL)) == expected


@pytest.mark.parametrize(("key", "value", "expected"), SETTINGS, ids=[key for key, _, _ in SETTINGS])
def test_a_setting_recomputes_what_depends_on_it(mine, key, value, expected):
    assert mine.jobs(**nested(key, value, SMALL)) == expected


@pytest.mark.parametrize("arguments", [("--cores", "8"), ("--scheduler", "ilp"), ("--workflow-profile", "profile")])
def test_cores_and_profiles_recompute_nothing(changed, arguments):
    (changed.folder / "profile").mkdir()
    (changed.folder / "profile/config.yaml").write_text("cores: 3\ndefault-resources:\n  mem_mb: 1000\n")
    assert not changed.jobs(*arguments)
