"""A plug-in of each kind is one file, and a metric is added in one place: from the settings to report and bundle."""

import itertools
import json
import shlex
import shutil
import zipfile
from collections import Counter

import librosa
import numpy as np

import readme
from serflow.storage import FileArray, read_json, read_table

PACKAGE = "workflow/src/serflow"
KIND = '''"""The mean magnitude of equal stretches of a clip."""

import numpy as np

READS = "fixed"
WRITES = "npy"
SETTINGS = {"stretches": {"type": "integer", "minimum": 1, "default": 8}}


def compute(rows, settings, threads=1):
    count = settings["stretches"]
    for clip in rows[:]:
        yield np.abs(clip[: len(clip) // count * count]).reshape(1, count, -1).mean(axis=2)
'''
MODEL = '''"""Two branches over stretches: a model that is not sequential."""

FEATURES = "stretches"
SETTINGS = {"units": {"type": "integer", "minimum": 1, "default": 4}}


def build(input_shape, classes, settings):
    import keras
    from keras import layers

    inputs = keras.Input(input_shape)
    flat = layers.Flatten()(inputs)
    branches = [layers.Dense(settings["units"], activation=name)(flat) for name in ("relu", "tanh")]
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(layers.concatenate(branches)))
'''
PROTOCOL = '''"""Ben is tested on; Anna's first takes validate and her others train."""

from serflow.splits.folds import rows_of_fold

TITLE = "Ben against Anna"
ORDER = 5
SETTINGS = ()


def split(labels, copies, settings):
    parts = {}
    for clip in sorted(labels):
        parts[clip] = "test" if clip.startswith("ben") else "valid" if clip.endswith("-0") else "train"
    return rows_of_fold("anna-ben", 0, parts, labels, copies)
'''
METRIC = '''

def best_recall(cm) -> np.ndarray:
    """Highest recall of a class, (..., K, K) → (...)."""
    return recall(cm).max(-1)


STATISTICS["best_recall"] = Metric(best_recall, "best recall")
'''


def settings_of(word):
    """Return the settings of the documented command that contains a word."""
    (command,) = [line for page in readme.DOCS for line in readme.commands(page) if word in line and "{" in line]
    settings = [word.partition("=") for word in shlex.split(command.partition("--config ")[2])]
    return {key: json.loads(value) for key, _, value in settings}


def test_one_plugin_of_each_kind(sample, files):
    shown = readme.files()
    assert [path.rpartition("/")[2] for path in shown] == ["theatre.py", "perceptron.py", "rolloff.py", "mains_hum.py"]
    added = {
        **shown,
        f"{PACKAGE}/features/stretches.py": KIND,
        f"{PACKAGE}/models/architectures/two_branches.py": MODEL,
        f"{PACKAGE}/splits/anna_ben.py": PROTOCOL,
    }
    for path, text in added.items():
        assert not (files.folder / path).exists()
        (files.folder / path).write_text(text, encoding="utf-8")
    scores = files.folder / PACKAGE / "metrics/scores.py"
    scores.write_text(scores.read_text() + METRIC)
    clips = iter(sorted((sample.folder / "resources/corpora/sample/AudioWAV").glob("*.wav")))
    for speaker, emotion, number in itertools.product(("anna", "ben"), ("angry", "happy", "sad"), range(4)):
        path = files.folder / f"data/theatre/{speaker}/{emotion}-{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(next(clips), path)
    settings = {
        "corpus": "theatre",
        "audio": str(files.folder / "data/theatre"),
        "frames": settings_of("rolloff")["frames"],
        "stretches": {"stretches": 6},
        "models": {
            "perceptron": settings_of("perceptron")["models"]["perceptron"] | {"epochs": 2},
            "small": {"architecture": "two_branches", "units": 2, "epochs": 2},
        },
        "runs": [{"protocol": "anna-ben", "models": ["perceptron", "small"], "seeds": [0]}],
        "robustness": settings_of("mains_hum")["robustness"]
        | {"runs": [{"protocol": "anna-ben", "models": ["perceptron"], "seeds": [0]}]},
        "length": 20_000,
        "shards": 1,
        "report": {"clips": 2, "mistakes": 1},
    }
    files.run("all", "bundles", "robustness", **settings)
    assert not files.jobs("all", "bundles", "robustness", **settings)
    results = files.results("theatre")

    rows = read_table(results / "catalog/clips.parquet").to_pylist()
    spoken = itertools.product((("anna", "Female"), ("ben", "Male")), ("ANG", "HAP", "SAD"))
    expected = {(speaker, sex, emotion): 4 for (speaker, sex), emotion in spoken}
    assert Counter((row["speaker"], row["sex"], row["emotion"]) for row in rows) == expected
    assert FileArray(results / "stretches/s00.npy").shape[1:] == (6,)
    check_rolloff(results)

    page = (results / "report/all/index.html").read_text()
    comparison = (results / "report/all/comparison.csv").read_text()
    for model in ("perceptron", "small"):
        run = f"anna-ben/{model}/seed0/fold0"
        metrics = read_json(results / f"models/{run}/metrics.json")
        assert metrics["best_recall"] == max(metrics["recall"])
        assert f"{model} seed 0 (anna-ben)" in comparison and model in page
        with zipfile.ZipFile(results / f"bundles/{run}.zip") as bundle:
            assert "best recall" in bundle.read("README.md").decode()
        check_bundle(files, results, run)
    check_hum(results, page)
    assert "best_recall" in comparison and "best recall" in page and "Ben against Anna" in page


def check_rolloff(results):
    frames, clips = read_table(results / "frames/s00.parquet"), FileArray(results / "fixed/s00.npy")
    names = [name for name in frames.column_names if name.startswith("rolloff_")]
    assert names and names == frames.column_names[-len(names) :]
    ours = np.column_stack([frames[name].to_numpy() for name in names])
    size = read_json(results / "length.json")["frame_size"]
    options = {"sr": 16_000, "n_fft": size, "hop_length": size // 2}
    theirs = np.concatenate([librosa.feature.spectral_rolloff(y=clip, **options) for clip in clips[:]])
    # If the sum is within rounding of 85 %, it may be the neighbouring bin.
    assert np.abs(ours - theirs).max() <= 16_000 / size * 1.001 and (ours == theirs.astype(np.float32)).mean() > 0.99


def check_hum(results, page):
    """The condition is in the report that was made in the same call, at its two levels."""
    (run,) = read_json(results / "report/all/evaluation.json")["robustness"]["runs"]
    assert run == read_json(results / "robustness/anna-ben/perceptron/seed0/robustness.json")
    assert [row["condition"] for row in run["conditions"]] == ["mains_hum_10", "mains_hum_0"]
    assert [row["passed"] is None for row in run["conditions"]] == [False, True]
    assert "mains hum, 10 dB" in page and not list(results.glob("robustness/features/*/*/*/*/*"))


def check_bundle(files, results, run):
    """The bundle returns the probabilities of the run."""
    kept = {row["clip"]: row for row in read_table(results / f"models/{run}/predictions.parquet").to_pylist()}
    names = {clip: f"data/theatre/{clip.replace('_', '/', 1)}.wav" for clip in kept if "." not in clip}
    names = dict(itertools.islice(names.items(), 6))
    bundle = results.relative_to(files.folder) / f"bundles/{run}.zip"
    files.shell(f"serflow predict {bundle} {' '.join(names.values())} --output labels.parquet")
    for row, clip in zip(read_table(files.folder / "labels.parquet").to_pylist(), names, strict=True):
        shares = {key: value for key, value in kept[clip].items() if key.startswith("p_")}
        np.testing.assert_allclose([row[key] for key in shares], list(shares.values()), atol=1e-4)
