"""A corpus, a model and a feature of one's own, as the README shows them: one file and one setting each."""

import itertools
import json
import shlex
import shutil
from collections import Counter

import librosa
import numpy as np
import pytest
from test_stale import EVALUATION, PAGE, RUN

import readme
from serflow.storage import FileArray, read_json, read_table
from workspace import lines

CORPUS = "workflow/src/serflow/corpus/formats/theatre.py"
MODEL = "workflow/src/serflow/models/architectures/perceptron.py"
FEATURE = "workflow/src/serflow/features/frame_features/rolloff.py"
SHARDS = 4


def drop(checkout, path):
    """Put a file of the README where it says."""
    (checkout.folder / path).write_text(readme.files()[path], encoding="utf-8")


def command_with(word):
    """Give the command of the README that has a word in it, and its settings."""
    (command,) = [command for command in readme.commands() if word in command]
    settings = [word.partition("=") for word in shlex.split(command.partition("--config ")[2])]
    return command, {key: json.loads(value) if value[0] in "[{" else value for key, _, value in settings}


def times(jobs, count):
    return Counter({rule: count * number for rule, number in jobs.items()})


def refused(checkout, message, **settings):
    done = checkout.snakemake("--dry-run", **settings)
    (line,) = lines(done)
    assert done.returncode != 0 and message in line and "Traceback" not in done.stderr


def test_each_is_one_short_file():
    assert list(readme.files()) == [CORPUS, MODEL, FEATURE]
    assert len(readme.files()[FEATURE].splitlines()) <= 20
    assert all(len(text.splitlines()) <= 30 for text in readme.files().values())


def test_a_model(checkout):
    others = list(checkout.results().glob("models/*/*/*/*/*.*"))
    before = {path: path.stat().st_mtime_ns for path in others}
    count = len(list(checkout.results().glob("models/speaker-independent/cnn1d/seed0/*")))
    assert before and count > 1 and not checkout.jobs()
    drop(checkout, MODEL)
    assert checkout.jobs() == PAGE  # which shows all settings, the new model's too
    command, settings = command_with("perceptron")
    assert checkout.jobs(**settings) == times(RUN, count) + EVALUATION
    checkout.shell(command)
    assert before == {path: path.stat().st_mtime_ns for path in others}
    results = checkout.results()
    found = [read_json(path) for path in results.glob("models/speaker-independent/perceptron/seed0/*/metrics.json")]
    assert len(found) == count and all(0 <= one["uar"] <= 1 for one in found)
    training = read_json(results / "models/speaker-independent/perceptron/seed0/fold0/training.json")
    dense = [layer["parameters"] for layer in training["layers"] if layer["type"] == "Dense"]
    assert dense == [(training["input_shape"][0] + 1) * 32, (32 + 1) * len(training["classes"])]
    assert "perceptron" in (results / "report/index.html").read_text()
    # Only the new model's runs follow from its section, and only what the file allows stands in it.
    jobs = checkout.jobs(**settings | {"models": {"perceptron": {"units": 8}}})
    assert jobs == times(RUN, count) + EVALUATION
    refused(checkout, "models.perceptron.unit is no setting; did you mean 'units'?", models={"perceptron": {"unit": 8}})
    refused(checkout, "models.perceptron.units is 0, but must be", models={"perceptron": {"units": 0}})
    runs = [{"protocol": "random", "models": ["perceptrom"], "seeds": [0]}]
    refused(checkout, "runs.0.models names 'perceptrom', but models has: cnn1d, cnn2d, perceptron", runs=runs)
    refused(checkout, "did you mean 'perceptron'?", runs=runs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FEATURES = 'mel'\n", "perceptron.py: has no function build(input_shape, classes, settings)"),
        ("FEATURES = 'mels'\ndef build(*_): ...\n", "perceptron.py: FEATURES must say what the model reads, one of"),
        ("def build(*_): ...\n", "perceptron.py: FEATURES must say what the model reads, one of frames, mel"),
        ("FEATURES = 'mel'\nSETTINGS = make()\ndef build(*_): ...\n", "FEATURES and SETTINGS must be written out"),
        ("FEATURES = 'mel'\nSETTINGS = {'units': 3}\ndef build(*_): ...\n", "SETTINGS must give each setting its rule"),
        ("FEATURES =\n", "perceptron.py, line 1: not valid Python (invalid syntax)"),
    ],
)
def test_a_file_that_is_no_model(files, text, message):
    (files.folder / MODEL).write_text(text)
    refused(files, message)


def test_a_feature(checkout):
    """Down to bundles, which take the list of features along."""
    drop(checkout, FEATURE)
    assert not checkout.jobs("all", "features")
    _, settings = command_with("rolloff")
    jobs = checkout.jobs(**settings)
    assert (jobs["extract_frames"], jobs["extract_functionals"]) == (SHARDS, SHARDS)
    assert not jobs.keys() & {"augment_audio", "fix_length", "extract_mel", "split_clips", "catalog_clips"}
    reading = [path for path in checkout.results().glob("models/*/*/*/*") if path.parts[-3] != "cnn2d"]
    assert jobs["train_model"] == len(reading) > 2

    runs = [{"protocol": "notebook", "models": ["cnn1d", "svm_functionals"], "seeds": [0]}]
    checkout.run("bundles", **settings, runs=runs)
    frames = read_table(checkout.results() / "frames/s00.parquet")
    names = [name for name in frames.column_names if name.startswith("rolloff_")]
    count = len([name for name in frames.column_names if name.startswith("rms_")])
    assert names == [f"rolloff_{index:03d}" for index in range(count)] == frames.column_names[-count:]
    clips = FileArray(checkout.results() / "fixed/s00.npy")
    size = read_json(checkout.results() / "length.json")["frame_size"]
    ours = np.column_stack([frames[name].to_numpy() for name in names])
    options = {"sr": 16_000, "n_fft": size, "hop_length": size // 2}
    theirs = np.concatenate([librosa.feature.spectral_rolloff(y=clip, **options) for clip in clips[:]])
    # Where the sum comes within rounding of 85 % it is the neighbouring bin.
    assert np.abs(ours - theirs).max() <= 16_000 / size * 1.001 and (ours == theirs.astype(np.float32)).mean() > 0.99

    audio = checkout.folder / "resources/corpora/sample/AudioWAV"
    for model in ("cnn1d", "svm_functionals"):
        run = checkout.results() / f"models/notebook/{model}/seed0/fold0"
        rows = [row for row in read_table(run / "predictions.parquet").to_pylist() if row["part"] == "test"]
        expected = {row["clip"]: row for row in rows if (audio / f"{row['clip']}.wav").exists()}
        chosen = sorted(expected)[:20]
        files = " ".join(f"{audio}/{clip}.wav" for clip in chosen)
        bundle = f"results/sample/bundles/notebook/{model}/seed0/fold0.zip"
        checkout.shell(f"python -m serflow predict {bundle} {files} --output {model}.parquet")
        for row, clip in zip(read_table(checkout.folder / f"{model}.parquet").to_pylist(), chosen, strict=True):
            shares = {key: value for key, value in expected[clip].items() if key.startswith("p_")}
            np.testing.assert_allclose([row[key] for key in shares], list(shares.values()), atol=1e-4)


def test_features_that_are_none(checkout):
    def chosen(*names):
        return {"frames": {"features": list(names)}}

    known = """must be one of "centroid", "mfcc", "rms", "zcr"; did you mean 'mfcc'?"""
    refused(checkout, f'config: frames.features.1 is "mfc", but {known}', **chosen("rms", "mfc"))
    refused(checkout, "frames.features is [], but must be a list of frame features, at least one", **chosen())
    refused(checkout, "but must be a list of frame features, at least one and each once", **chosen("rms", "rms"))
    refused(checkout, "frames.features lacks 'rms', which the functionals that svm_functionals reads", **chosen("mfcc"))
    # Models that read nothing of a clip's energy need none.
    runs = [{"protocol": "notebook", "models": ["cnn1d"], "seeds": [0]}]
    assert checkout.jobs("features", **chosen("mfcc"), runs=runs) == Counter(extract_frames=SHARDS)


def test_a_corpus(checkout):
    """To the report, and nothing of another corpus is made anew."""
    drop(checkout, CORPUS)
    assert not checkout.jobs()
    clips = iter(sorted((checkout.folder / "resources/corpora/sample/AudioWAV").glob("*.wav")))
    for speaker, emotion, number in itertools.product(("anna", "ben"), ("angry", "happy", "sad"), range(4)):
        path = checkout.folder / f"data/theatre/{speaker}/{emotion}-{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(next(clips), path)
    command, settings = command_with("theatre")
    assert "train_model" in checkout.shell(f"{command} --dry-run")
    settings["audio"] = str(checkout.folder / "data/theatre")
    runs = [{"protocol": "speaker-independent", "models": ["svm_functionals"], "seeds": [0]}]
    short = {"runs": runs, "length": 20_000, "shards": 1, "report": {"clips": 2, "mistakes": 1}}
    checkout.run(**settings, **short)
    rows = read_table(checkout.results("theatre") / "catalog/clips.parquet").to_pylist()
    spoken = itertools.product((("anna", "Female"), ("ben", "Male")), ("ANG", "HAP", "SAD"))
    expected = {(speaker, sex, emotion): 4 for (speaker, sex), emotion in spoken}
    assert Counter((row["speaker"], row["sex"], row["emotion"]) for row in rows) == expected
    assert not checkout.jobs(**settings, **short)
    refused(checkout, "must be one of crema-d, emo-db, manifest", **settings | {"format": "theater"})
    refused(checkout, "did you mean 'theatre'?", **settings | {"format": "theater"})
    (checkout.folder / "data/theatre/anna/bored-1.wav").touch()
    done = checkout.snakemake("--cores", "2", "catalog", **settings, **short)
    assert "'anna/bored-1' is not a name of the theatre: expected SPEAKER/EMOTION-NUMBER" in lines(done)[0]
