"""The answer "unsure" of predict and demo, with the table of accuracy by confidence that a bundle holds."""

import csv
import io

import numpy as np
import pytest
import soundfile as sf

from serflow.bundle.demo.result import result
from serflow.bundle.predict import predict_recordings
from serflow.bundle.reader import open_bundle
from serflow.bundle.unsure import DEMO_ACCURACY
from serflow.runtime.errors import UserError
from tiny_bundle import ABOUT, CLASSES, write_bundle
from voice import voice

# The tiny model goes by the mean of the spectrogram in dB below its maximum: it is surer of a voice without noise.
CONFIDENT, UNCERTAIN = "voice.wav", "noisy.wav"


def table(*thresholds):
    return [
        {"threshold": threshold, "accuracy": accuracy, "coverage": 1 - threshold} for threshold, accuracy in thresholds
    ]


@pytest.fixture
def clips(tmp_path):
    clean = voice(0.5)
    noisy = clean + np.random.default_rng(0).uniform(-0.1, 0.1, len(clean))
    for name, samples in ((CONFIDENT, clean), (UNCERTAIN, noisy)):
        sf.write(tmp_path / name, samples, 16000, subtype="FLOAT")
    return [tmp_path / CONFIDENT, tmp_path / UNCERTAIN]


@pytest.fixture
def confidences(tmp_path, clips, capsys):
    """What the model says of either clip, without any wanted accuracy."""
    rows = labelled(write_bundle(tmp_path / "plain.zip"), clips, capsys)[0]
    assert all(row["label"] in CLASSES for row in rows)
    sure, unsure = (float(row["confidence"]) for row in rows)
    assert sure > unsure + 0.01
    return sure, unsure


def labelled(bundle, clips, capsys, **options):
    """Return the rows that predict writes, and what it says on standard error."""
    predict_recordings(str(bundle), list(map(str, clips)), **options)
    out, err = capsys.readouterr()
    return list(csv.DictReader(io.StringIO(out))), err


def bundle_with(path, rows):
    return write_bundle(path, ABOUT | {"accuracy_by_confidence": rows})


def test_below_the_threshold_the_label_is_unsure(tmp_path, clips, confidences, capsys):
    between = sum(confidences) / 2
    bundle = bundle_with(tmp_path / "b.zip", table((between + 0.1, 0.95), (between, 0.85), (0.2, 0.5)))
    rows, err = labelled(bundle, clips, capsys, accuracy=0.8)
    assert rows[0]["label"] in CLASSES and rows[1]["label"] == "unsure"
    assert [float(row["confidence"]) for row in rows] == pytest.approx(confidences, abs=1e-6)
    assert float(rows[1]["p_ANG"]) > 0
    said, summary = err.splitlines()
    assert f"below a confidence of {between:.3f}" in said and "85.0 %" in said
    assert f"2 of 2 recordings labelled: 1 {rows[0]['label']}, 1 unsure; the model was trained on synthetic" in summary
    rows, _ = labelled(bundle, clips, capsys, accuracy=0.4)
    assert all(row["label"] in CLASSES for row in rows)


@pytest.mark.parametrize(
    ("rows", "accuracy", "words"),
    [
        (table((0.9, 0.75), (0.4, 0.6)), 0.8, "the highest accuracy of any confidence .* is 0.750, for 10 % of the"),
        ([], 0.8, "validated on fewer than 20 clips"),
        (table((0.5, 1.0)), 80.0, "--accuracy 80: give a share"),
        (table((0.5, 1.0)), float("nan"), "--accuracy nan: give a share"),
    ],
)
def test_an_accuracy_that_cannot_be_had_is_one_line_and_no_table(tmp_path, clips, capsys, rows, accuracy, words):
    path = tmp_path / "b.zip"
    bundle = bundle_with(path, rows)
    with pytest.raises(UserError, match=words) as error:
        predict_recordings(str(bundle), list(map(str, clips)), output=tmp_path / "x.csv", accuracy=accuracy)
    assert "\n" not in str(error.value) and not (tmp_path / "x.csv").exists()


def test_the_demo_shows_unsure_in_place_of_the_label(tmp_path, clips, confidences):
    assert DEMO_ACCURACY == 0.8
    between = sum(confidences) / 2
    tables = {"known": table((between, 0.85)), "none": table((0.1, 0.5)), "few clips": []}
    shown = {}
    for name, rows in tables.items():
        bundle = open_bundle(bundle_with(tmp_path / f"{name}.zip", rows))
        shown[name] = [
            "<h2>Unsure</h2>" in result(bundle, bundle.classifier, str(clip), lambda *how: None) for clip in clips
        ]
    assert shown == {"known": [False, True], "none": [True, True], "few clips": [False, False]}
    bundle = open_bundle(tmp_path / "known.zip")
    text = result(bundle, bundle.classifier, str(clips[1]), lambda *how: None)
    assert "Most likely" in text and "accuracy of 80 %" in text
