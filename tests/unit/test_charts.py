"""Charts as PNG and for the page, and the recordings and scripts that a page holds."""

import base64
import io
import json

import numpy as np
import pytest
import soundfile as sf

from serflow.metrics.scores import STATISTICS
from serflow.report import evaluation_charts, run_charts
from serflow.report.charts import for_page, intervals, save_charts, theme
from serflow.report.inline import PLAYED_SECONDS, player, script, source_digest

HARM = "$x$ {{ 7 }} <script>alert(1)</script> \\ \n 'q\" é 😀"
HISTORY = [
    {"epoch": epoch, "loss": 2 / epoch, "accuracy": 0.2 * epoch, "val_loss": 2.0, "val_accuracy": 0.25, "seconds": 1.0}
    for epoch in (1, 2, 3)
]


def drawn(tmp_path, charts):
    """Write charts twice and return the PNG, which is the same both times."""
    for name in ("a.png", "b.png"):
        save_charts(tmp_path / name, charts, width=200)
    content = (tmp_path / "a.png").read_bytes()
    assert content == (tmp_path / "b.png").read_bytes() and content.startswith(b"\x89PNG")
    return content


def marks(chart, kind):
    """Return the rows behind one kind of marks of a layered chart."""
    return [
        row
        for layer in for_page(chart)["layer"]
        if layer["mark"]["type"] == kind
        for row in layer.get("data", for_page(chart).get("data"))["values"]
    ]


def test_learning_curves(tmp_path):
    loss, accuracy = run_charts.learning_curves(HISTORY, 2)
    assert [row["value"] for row in marks(loss, "line")] == [2, 1, round(2 / 3, 5), 2, 2, 2]
    assert [row["value"] for row in marks(accuracy, "line")] == [20, 40, 60, 25, 25, 25]
    assert marks(loss, "rule") == [{"epoch": 2}] and "epoch 2 was kept" in for_page(loss)["description"]
    many = drawn(tmp_path, [loss, accuracy])
    assert many != drawn(tmp_path, run_charts.learning_curves(HISTORY[:1], 1))


def test_labels_are_any_text(tmp_path):
    chart = run_charts.confusion_matrix([[3, 1], [0, 0]], ["ANG", HARM])
    rows = marks(chart, "rect")
    assert [(row["truth"], row["prediction"], row["count"], row["share"]) for row in rows] == [
        ("anger", "anger", 3, 0.75),
        ("anger", HARM, 1, 0.25),
        (HARM, "anger", 0, 0),
        (HARM, HARM, 0, 0),
    ]
    drawn(tmp_path, [chart])


def test_a_value_without_an_interval_has_a_point_and_no_bar(tmp_path):
    rows = [
        {"name": "a", "value": 50.0, "low": 40.0, "high": 60.0, "kind": "model"},
        {"name": "b", "value": 20.0, "low": None, "high": None, "kind": "reference"},
    ]
    chart = intervals(rows, described="Two values.", x_title="UAR")
    assert [row["name"] for row in marks(chart, "rule")] == ["a"]
    assert [row["name"] for row in marks(chart, "point")] == ["a", "b"]
    drawn(tmp_path, [chart])


def test_folds_are_left_out_of_the_comparison():
    columns = (*STATISTICS, "train_accuracy", "valid_accuracy", "uar_low", "uar_high", "uar_speakers")
    row = dict.fromkeys(columns) | {"source": "serflow", "uar": 0.5, "accuracy": 0.4}
    rows = [row | {"run": run, "fold": fold} for run, fold in (("cnn1d seed 0", None), ("cnn1d seed 0 fold 1", 1))]
    measures, uar = evaluation_charts.comparison(rows)
    assert for_page(measures)["data"]["values"] == [{"name": "cnn1d seed 0", "kind": "accuracy (test)", "value": 40.0}]
    assert [row["name"] for row in marks(uar, "point")] == ["cnn1d seed 0"]


def test_the_page_has_its_own_colours():
    spec = for_page(run_charts.learning_curves(HISTORY, 1)[0])
    assert "config" not in spec and "#" not in json.dumps({**spec, "$schema": ""}) and spec["width"] == "container"
    light, dark = theme(dark=False), theme(dark=True)
    assert light.keys() == dark.keys() and light["range"] != dark["range"]
    assert set(light["style"]) == {"reference", "on_low", "on_high"}


@pytest.mark.parametrize(("seconds", "played"), [(2.5, 2.5), (PLAYED_SECONDS + 3, PLAYED_SECONDS)])
def test_recordings_are_embedded_losslessly_up_to_a_length(tmp_path, seconds, played):
    samples = np.random.default_rng(0).integers(-9000, 9000, int(seconds * 8000), dtype=np.int16)
    sf.write(tmp_path / "clip.wav", samples, 8000, subtype="PCM_16")
    kind, _, content = player(tmp_path / "clip.wav").partition(";base64,")
    read, rate = sf.read(io.BytesIO(base64.b64decode(content)), dtype="int16")
    assert kind == "data:audio/flac" and rate == 8000
    np.testing.assert_array_equal(read, samples[: int(played * 8000)])


def test_a_script_cannot_end_its_element():
    text = script("a = '</SCRIPT><!--' + '</p>'; if (b<c) d()")
    assert text == "a = '\\x3C/SCRIPT>\\x3C!--' + '</p>'; if (b<c) d()"
    # The example of the W3C's Content Security Policy, Level 2.
    assert source_digest("alert('Hello, world.');") == "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"
