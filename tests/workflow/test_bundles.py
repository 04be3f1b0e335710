"""A trained run as one file, and what it says of recordings: the same as the run itself did."""

import ast
import os
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import soundfile as sf

from card_code import blocks, run_alone
from serflow import Bundle
from serflow.bundle.reader import open_bundle
from serflow.inference.label import label_recordings
from serflow.inference.recordings import RecordingToLabel
from serflow.storage import read_json, read_table
from workspace import ADAPTED, ENSEMBLE
from workspace import BUNDLED as MODELS
from workspace import BUNDLED_RUN as RUN

# Models that the sample run has not, with settings for a short training.
OTHERS = {"resnet_asp": {"epochs": 1, "warmup": 0, "filters": [8, 8]}, "mlp_embedding": {"epochs": 1}}
# A Python in which whoever imports TensorFlow or Keras fails.
WITHOUT = """
import sys
sys.modules |= dict.fromkeys(("tensorflow", "keras", "sklearn", "librosa", "snakemake"))
from serflow.cli import main
main()
"""


def predict(*arguments, **options):
    command = [sys.executable, "-c", WITHOUT, "predict", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, **options)


def bundle_of(workspace, model):
    return workspace.results() / f"bundles/{RUN.format(model)}.zip"


@pytest.fixture
def audio(bundled):
    return bundled.folder / "resources/corpora/sample/AudioWAV"


def expect_the_probabilities_of_the_run(results, run, audio, output):
    """Label the clips that a run was tested on with its bundle; give how many they are."""
    expected = read_table(results / f"models/{run}/predictions.parquet").to_pylist()
    expected = {f"{row['clip']}.wav": row for row in expected if row["part"] == "test"}
    files = sorted(path for path in audio.iterdir() if path.name in expected)
    done = predict(results / f"bundles/{run}.zip", *files, "--output", output)
    assert done.returncode == 0, done.stderr
    found = read_table(output).to_pylist()
    assert [row["file"] for row in found] == [str(path) for path in files]
    for row, path in zip(found, files, strict=True):
        theirs = {key: value for key, value in expected[path.name].items() if key.startswith("p_")}
        np.testing.assert_allclose([row[key] for key in theirs], list(theirs.values()), atol=1e-4)
        assert row["label"] == max(theirs, key=theirs.get).removeprefix("p_") and row["windows"] == 1
    return len(files)


@pytest.mark.parametrize("model", [*MODELS, ENSEMBLE])
def test_the_same_probabilities_as_the_run(bundled, audio, tmp_path, model):
    assert expect_the_probabilities_of_the_run(bundled.results(), RUN.format(model), audio, tmp_path / "x.parquet") > 10


def test_a_bundle_is_adapted_to_speakers(bundled, audio, tmp_path):
    bundle, plain = bundle_of(bundled, ADAPTED), bundle_of(bundled, "logreg_embedding")
    for speaker in ("1001", "1002"):
        folder = tmp_path / speaker
        folder.mkdir()
        for clip in sorted(audio.glob(f"{speaker}_*"))[:6]:
            shutil.copy(clip, folder)
    files = sorted(tmp_path.glob("*/*.wav"))
    listed = "".join(f"{path.relative_to(tmp_path)},{path.parent.name}\n" for path in files)
    (tmp_path / "list.csv").write_text(f"file,who\n{listed}")

    def labels(*options, bundle=bundle):
        done = predict(bundle, *options, "--output", "x.parquet", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        rows = read_table(tmp_path / "x.parquet").to_pylist()
        found = {tmp_path / row["file"]: [row[key] for key in row if key.startswith("p_")] for row in rows}
        return found, done.stderr.decode()

    unknown, told = labels("1001", "1002")
    assert "it is used as for an unknown speaker" in told
    assert unknown == labels("1001", "1002", bundle=plain)[0]  # the model that the bundle also holds
    by_column, told = labels("list.csv", "--speaker", "who")
    assert "unknown speaker" not in told and set(by_column) == set(files) and by_column != unknown
    assert labels("1001", "1002", "--speaker-from-folder")[0] == by_column
    assert labels("1001", "--one-speaker")[0] == {path: by_column[path] for path in files[:6]}
    assert labels("1001/" + files[0].name, "--enrol", "1001")[0] == {files[0]: by_column[files[0]]}
    shutil.copytree(tmp_path / "1001", tmp_path / "voice")
    sf.write(tmp_path / "voice/noise.wav", np.random.default_rng(0).uniform(-0.3, 0.3, 32_000), 16_000)
    assert labels("1001/" + files[0].name, "--enrol", "voice")[0] == {files[0]: by_column[files[0]]}
    for options, message in (
        ((bundle, "1001", "--one-speaker", "--enrol", "1002"), b"cannot be combined"),
        ((bundle, "list.csv", "--speaker", "nobody"), b"has no column 'nobody'"),
        ((bundle, "1001", "--enrol", "list.txt"), b"none of the recordings to enrol can be read and holds speech"),
        ((plain, "1001", "--one-speaker"), b"cannot be adapted to speakers"),
    ):
        done = predict(*options, cwd=tmp_path)
        assert done.returncode == 1 and message in done.stderr and done.stderr.count(b"\n") == 1


def test_windows_that_a_model_was_adapted_by_are_not_embedded_again(bundled, audio):
    _, classifier, _ = open_bundle(bundle_of(bundled, ADAPTED))
    recordings = [RecordingToLabel(str(path)) for path in sorted(audio.glob("1001_*"))[:6]]
    adapted, count = classifier.adapted(recordings)
    assert count == 6

    def labelled(used):
        return [prediction.probabilities for prediction in label_recordings(used, recordings)]

    np.testing.assert_array_equal(labelled(adapted._replace(encoder=None)), labelled(adapted._replace(known={})))


def test_a_bundle_without_its_encoder_finds_it_or_names_it(bundled, audio, tmp_path):
    whole, bundle = bundle_of(bundled, "logreg_embedding"), tmp_path / "small.zip"
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(bundle, "w") as smaller:
        encoder = archive.read("encoder.onnx")
        for name in archive.namelist():
            if name != "encoder.onnx":
                smaller.writestr(name, archive.read(name))
    assert bundle.stat().st_size < whole.stat().st_size / 10
    clip = min(audio.glob("*.wav"))
    expected = predict(whole, clip).stdout
    for options, message in (
        ((), b"needs the encoder whisper-tiny.en, sha256 "),
        (("--encoder", clip), b"is another file"),
        (("--encoder", tmp_path / "none.onnx"), b"name its ONNX file with --encoder"),
    ):
        done = predict(bundle, clip, *options, cwd=tmp_path)
        assert done.returncode == 1 and message in done.stderr and done.stderr.count(b"\n") == 1
    (tmp_path / "e.onnx").write_bytes(encoder)
    assert predict(bundle, clip, "--encoder", tmp_path / "e.onnx").stdout == expected
    (tmp_path / "resources/encoders").mkdir(parents=True)
    (tmp_path / "e.onnx").rename(tmp_path / "resources/encoders/whisper-tiny.en.onnx")
    assert predict(bundle, clip, cwd=tmp_path).stdout == expected


@pytest.mark.extended
def test_the_same_with_other_settings_and_clips_of_more_than_two_lengths(sample, audio, tmp_path):
    settings = {
        "corpus": "mine",
        "audio": str(audio),
        "sampling_rate": 8000,
        "length": 6000,
        "frames": {"n_mfcc": 9},
        "mel": {"n_mels": 40, "n_fft": 512, "hop_length": 200},
        "augment": {"seed": 3, "time_stretch": {"clips": 0.3}, "pitch_shift": {"clips": 0}},
        "runs": [{"protocol": "random", "models": [*MODELS, *OTHERS, ENSEMBLE], "seeds": [0]}],
        "models": sample.settings["models"] | OTHERS,
    }
    workspace = type(sample)(tmp_path, sample.project, sample.settings | settings)
    workspace.run("bundles")
    results = workspace.results("mine")
    durations = read_table(results / "catalog/clips.parquet")["duration"].to_numpy()
    assert max(durations) * 8000 > 2 * 6000
    for model in (*MODELS, *OTHERS, ENSEMBLE):
        run = f"random/{model}/seed0/fold0"
        assert expect_the_probabilities_of_the_run(results, run, audio, tmp_path / "x.parquet") > 10


def test_a_bundle_says_what_it_is(bundled):
    bundle = open_bundle(bundle_of(bundled, "cnn2d"))
    with zipfile.ZipFile(bundle_of(bundled, "cnn2d")) as archive:
        assert sorted(archive.namelist()) == ["README.md", "bundle.json", "model.keras", "model.onnx"]
    measured = read_json(bundled.results() / f"models/{RUN.format('cnn2d')}/metrics.json")
    assert bundle.about["classes"] == measured["classes"] and bundle.about["metrics"]["uar"] == measured["uar"]
    assert bundle.about["preprocessing"]["n_fft"] == 1569
    assert bundle.about["protocol"] == "speaker-independent" and bundle.about["onnx_difference"] < 1e-4
    assert bundle.about["temperature"] == measured["temperature"] and bundle.about["architecture"] == "cnn2d"
    for words in ("# cnn2d on sample", "## Not for", "| sex | ", f"| UAR | {100 * measured['uar']:.1f} %"):
        assert words in bundle.card


@pytest.mark.parametrize("model", ["logreg_embedding", ADAPTED])
def test_an_embedding_model_opens_in_onnxruntime_by_the_lines_of_its_card(bundled, audio, tmp_path, model):
    with zipfile.ZipFile(bundle_of(bundled, model)) as archive:
        archive.extractall(tmp_path)
    shutil.copy(min(audio.glob("1001_*")), tmp_path / "talk.wav")
    _, alone = blocks((tmp_path / "README.md").read_text())
    expected = Bundle(bundle_of(bundled, model)).predict(tmp_path / "talk.wav")
    assert ast.literal_eval(run_alone(alone, tmp_path)) == pytest.approx(dict(expected.probabilities), abs=1e-4)


@pytest.mark.parametrize(
    ("model", "features"), [("cnn2d", "mel"), ("cnn1d", "frames"), ("svm_functionals", "functionals")]
)
def test_other_models_open_with_the_features_of_the_run(bundled, tmp_path, model, features):
    with zipfile.ZipFile(bundle_of(bundled, model)) as archive:
        archive.extractall(tmp_path)
    for path in (bundled.results() / features).glob("s00.*"):
        shutil.copy(path, tmp_path)
    _, alone = blocks((tmp_path / "README.md").read_text())
    labels = ast.literal_eval(run_alone(alone, tmp_path))
    found = dict(zip(read_table(tmp_path / "s00.parquet", ["clip"])["clip"].to_pylist(), labels, strict=True))
    rows = read_table(bundled.results() / f"models/{RUN.format(model)}/predictions.parquet").to_pylist()
    expected = {
        row["clip"]: max((value, name) for name, value in row.items() if name.startswith("p_"))[1].removeprefix("p_")
        for row in rows
        if row["part"] == "test" and row["clip"] in found
    }
    assert len(expected) > 10 and {clip: found[clip] for clip in expected} == expected


def test_a_bundle_needs_no_other_run(empty):
    for target, settings in ((f"results/sample/bundles/{RUN.format('cnn2d')}.zip", {}), ("predict", {"input": "."})):
        (empty.folder / "x.wav").touch()
        jobs = empty.jobs(target, **settings)
        assert jobs["train_model"] == jobs["predict_test"] == jobs["bundle_model"] == 1
        assert not jobs.keys() & {"evaluate_runs", "compare_runs", "render_report"}


def test_an_hour_and_a_bad_file(bundled, audio, tmp_path):
    clip, rate = sf.read(sorted(audio.iterdir())[0], dtype="int16")
    with sf.SoundFile(tmp_path / "hour.flac", "w", rate, 1) as file:
        for _ in range(3600 * rate // len(clip)):
            file.write(clip)
    (tmp_path / "bad.wav").write_bytes(b"RIFF, but no more")
    # Not ru_maxrss, which a process has from the one that started it.
    peak = "print([line.split()[1] for line in open('/proc/self/status') if 'VmHWM' in line][0], file=sys.stderr)"
    code = WITHOUT.replace("main()", f"try: main()\nfinally: {peak}")
    command = [sys.executable, "-c", code, "predict", str(bundle_of(bundled, "svm_functionals")), str(tmp_path)]
    command += ["--output", str(tmp_path / "x.csv"), "--timeline", str(tmp_path / "t.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said, memory = done.stderr.splitlines()[:-1], int(done.stderr.splitlines()[-1])
    assert done.returncode == 3 and "bad.wav: not a readable audio file" in said[0]
    assert any("1 of 2 recordings labelled" in line for line in said) and said[-1].endswith(
        "1 of 2 recordings were skipped"
    )
    assert memory < 400_000  # kB
    timeline = read_table(tmp_path / "t.parquet")
    ends = timeline["end"].to_numpy()
    assert len(timeline) > 2000 and (np.diff(ends) > 0).all() and ends[-1] == pytest.approx(3600, abs=5)
    lines = (tmp_path / "x.csv").read_text().splitlines()
    assert len(lines) == 3 and "not a readable audio file" in lines[1] and str(len(timeline)) in lines[2].split(",")


def test_nothing_is_written_that_was_not_asked_for(bundled, audio, tmp_path):
    # onnxruntime keeps a log of its use in the home, and a session's name among temporary files, unless told not to.
    home = {**os.environ, "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    done = predict(bundle_of(bundled, "cnn2d"), sorted(audio.iterdir())[0], env=home, cwd=tmp_path)
    assert done.returncode == 0 and not list(tmp_path.rglob("*"))


def test_standard_input(bundled, audio):
    file = sorted(audio.iterdir())[0]
    bundle = bundle_of(bundled, "svm_functionals")
    by_name, by_list, by_content = (
        predict(bundle, file),
        predict(bundle, "-", input=f"{file}\n".encode()),
        predict(bundle, "-", input=file.read_bytes()),
    )
    assert by_name.returncode == 0 and by_name.stdout == by_list.stdout
    assert by_content.stdout.replace(b"standard input", str(file).encode()) == by_name.stdout


def test_through_the_engine(bundled, audio, tmp_path):
    folder = tmp_path / "to label"
    (folder / "below").mkdir(parents=True)
    for clip in sorted(audio.iterdir())[:6]:
        shutil.copy(clip, folder / "below")
    (folder / "bad.wav").write_bytes(b"no audio")
    bundle = bundle_of(bundled, "svm_functionals")
    settings = {"input": str(folder), "bundle": str(bundle)}
    bundled.run("predict", **settings)
    assert not bundled.jobs("predict", **settings)
    done = predict(bundle, folder, "--output", tmp_path / "x.csv")
    assert done.returncode == 3
    ours = (bundled.results() / "predicted/recordings.csv").read_text().splitlines()
    assert sorted(ours) == sorted((tmp_path / "x.csv").read_text().splitlines()) and len(ours) == 8
    shutil.copy(sorted(audio.iterdir())[6], folder)
    jobs = bundled.jobs("predict", **settings)
    assert jobs == {"predict_recordings": 1, "collect_predictions": 1}


def test_no_input(bundled):
    done = bundled.snakemake("--dry-run", "predict")
    assert done.returncode != 0 and "config: input is null, but predict needs" in done.stderr
