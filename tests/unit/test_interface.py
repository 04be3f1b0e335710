"""``from serflow import Bundle``: a bundle in Python says what ``serflow predict`` says."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile as sf

import readme
import serflow
from serflow import Bundle
from serflow.bundle.predict import predict_recordings
from serflow.runtime.errors import UserError
from serflow.storage import read_table
from tiny_bundle import CLASSES, write_bundle
from voice import voice


@pytest.fixture
def folder(tmp_path):
    """A bundle, and recordings: a short and a long one of speech, one without speech, and a file without sound."""
    write_bundle(tmp_path / "bundle.zip")
    (tmp_path / "clips").mkdir()
    for name, samples in (("long", voice(3)), ("short", voice(0.4)), ("silence", np.zeros(16_000, np.float32))):
        sf.write(tmp_path / f"clips/{name}.wav", samples, 16_000, subtype="FLOAT")
    (tmp_path / "clips/text.wav").write_text("no sound")
    return tmp_path


def test_a_recording(folder):
    bundle = Bundle(folder / "bundle.zip")
    said = bundle.predict(folder / "clips/long.wav")
    assert bundle.classes == CLASSES == list(said.probabilities) and said.label in CLASSES
    assert sum(said.probabilities.values()) == pytest.approx(1, abs=1e-6)
    assert said.label == max(said.probabilities, key=said.probabilities.get)
    assert said.seconds == 3 and said.windows > 1 and 1 / 3 < said.confidence < said.probabilities[said.label]
    assert bundle.card.startswith("# tiny on sample") and bundle.about["model"] == "tiny"


def test_without_speech_there_is_no_label(folder):
    said = Bundle(folder / "bundle.zip").predict(str(folder / "clips/silence.wav"))
    assert (said.label, said.confidence, said.probabilities, said.windows) == (None, None, {}, 0)
    assert "no speech was found" in said.warning


@pytest.mark.parametrize("channels", [0, 1, 2])
def test_samples_are_read_like_the_file_of_them(folder, channels):
    bundle, samples = Bundle(folder / "bundle.zip"), voice(3)
    shaped = np.column_stack([samples] * channels) if channels else samples
    for given in (shaped, shaped.astype(np.float64)):
        assert bundle.predict(given, rate=16_000) == bundle.predict(folder / "clips/long.wav")


def test_the_table_is_that_of_the_command(folder):
    inputs = [str(folder / "clips"), str(folder / "clips/short.wav")]
    with pytest.raises(SystemExit):  # for the file without sound
        predict_recordings(str(folder / "bundle.zip"), inputs, output=folder / "x.parquet")
    expected = read_table(folder / "x.parquet")
    found = Bundle(folder / "bundle.zip").predict_table(inputs)
    assert list(found) == expected.column_names and len(found) == 5
    for name in expected.column_names:
        theirs = [None if value != value else value for value in expected[name].to_pylist()]
        ours = [None if value is None or value != value else value for value in found[name]]
        assert ours == pytest.approx(theirs, abs=1e-7) if name.startswith("p_") else ours == theirs, name


@pytest.mark.parametrize(
    ("recording", "rate", "message"),
    [
        ("clips/text.wav", None, "text.wav: not a readable audio file"),
        ("clips/none.wav", None, "none.wav: .*No such file"),
        ("clips/short.wav", 16_000, "short.wav: rate is for samples"),
        (np.zeros(100, np.float32), None, "samples need their sampling rate"),
        (np.zeros(100, np.int16), 16_000, "samples are int16 of shape"),
        (np.full(9000, np.nan), 16_000, "samples: .*NaN"),
    ],
)
def test_what_cannot_be_labelled_is_said_in_one_line(folder, recording, rate, message):
    given = folder / recording if isinstance(recording, str) else recording
    with pytest.raises(UserError, match=message) as error:
        Bundle(folder / "bundle.zip").predict(given, rate)
    assert "\n" not in str(error.value)


def test_what_is_no_bundle(tmp_path):
    with pytest.raises(UserError, match=r"none\.zip: no such file"):
        Bundle(tmp_path / "none.zip")


def test_it_is_imported_when_it_is_used():
    code = "import sys, serflow; print('numpy' in sys.modules); serflow.Bundle; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, modules = done.stdout.splitlines()
    assert first == "False" and not {"tensorflow", "keras", "pandas", "librosa"} & set(modules.split())
    with pytest.raises(AttributeError, match="no attribute 'Bundel'"):
        _ = serflow.Bundel


def test_the_documented_lines(folder, monkeypatch, capsys):
    shutil.copy(folder / "clips/long.wav", folder / "talk.wav")
    monkeypatch.chdir(folder)
    lines = readme.block(readme.PROJECT / "docs/using-models.md", "from serflow import Bundle")
    exec(lines)
    said = Bundle("bundle.zip").predict("talk.wav")
    assert capsys.readouterr().out.strip() == f"{said.label} {said.confidence} {said.probabilities}"
