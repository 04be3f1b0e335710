"""Audit and `predict` measure what models read: the mix of the channels."""

import math
import re

import numpy as np
import pytest
import soundfile as sf

from serflow.audio.meter import LevelMeter
from serflow.bundle.demo.result import result
from serflow.bundle.predict import predict_recordings
from serflow.bundle.reader import open_bundle
from serflow.inference.label import NO_SPEECH, label_recordings
from serflow.inference.recordings import RecordingToLabel
from serflow.storage import read_csv
from steps import catalog, read_corpus, read_tsv, rows_of
from tiny_bundle import write_bundle
from voice import voice

RATE = 16_000
NOISE = 0.1 * np.random.default_rng(0).standard_normal(2 * RATE).clip(-4, 4)
LIST = b"LIST\x14\0\0\0INFOISFT\x08\0\0\0program\0"


def test_the_level_of_blocks_is_that_of_the_whole():
    samples = np.random.default_rng(1).uniform(-1.2, 1.2, (5000, 2)).astype(np.float32)
    whole, blocks = LevelMeter(), LevelMeter()
    whole.add(samples, samples.mean(axis=1))
    for block in np.array_split(samples, 7):
        blocks.add(block, block.mean(axis=1))
    mixed = samples.mean(axis=1).astype(np.float64)
    for level in (whole, blocks):
        assert level.rms == pytest.approx(math.sqrt(np.mean(mixed**2)))
        assert level.dc_offset == pytest.approx(mixed.mean()) and level.peak == np.abs(mixed).max()
        assert level.clipped == pytest.approx((np.abs(samples) >= 0.999).mean()) and level.clipped > 0.1


def read(folder, **samples):
    """Write recordings, read them as a corpus, and return their rows and the rules that flag each."""
    for clip, values in samples.items():
        sf.write(folder / f"1001_{clip}_XX.wav", values, RATE, subtype="FLOAT")
    indices = read_corpus(folder / "results", folder)
    paths = catalog(indices, folder / "results/catalog")
    flags = {}
    for row in read_tsv(paths["excluded"]) + read_tsv(paths["flagged"]):
        flags.setdefault(row["file"][5:12], set()).add(row["rule"])
    return {row["clip"][5:12]: row for row in rows_of(indices)}, flags


def test_the_audit_looks_at_the_mix_of_the_channels(tmp_path):
    rows, flags = read(
        tmp_path,
        DFA_ANG=np.column_stack([NOISE, -NOISE]),
        DFA_SAD=np.column_stack([NOISE + 0.4, NOISE[::-1] - 0.4]),
        DFA_HAP=np.column_stack([NOISE + 0.2, NOISE[::-1]]),
        DFA_NEU=np.column_stack([np.sign(NOISE), 0 * NOISE]),
    )
    # That they have two channels is one row for all, whose file reads "all 4 clips".
    assert flags == {
        " clips": {"channels"},
        "DFA_ANG": {"digital_silence"},
        "DFA_HAP": {"dc_offset"},
        "DFA_NEU": {"clipping"},
    }
    assert rows["DFA_ANG"]["rms"] == rows["DFA_ANG"]["peak"] == 0
    assert rows["DFA_SAD"]["rms"] == pytest.approx(0.1 / math.sqrt(2), rel=0.05)


def test_the_same_sound_is_recognised_whatever_surrounds_it(tmp_path):
    sf.write(tmp_path / "1001_DFA_ANG_XX.wav", NOISE, RATE)
    content = (tmp_path / "1001_DFA_ANG_XX.wav").read_bytes()
    size = (len(content) + len(LIST) - 8).to_bytes(4, "little")
    (tmp_path / "1002_DFA_SAD_XX.wav").write_bytes(content[:4] + size + content[8:36] + LIST + content[36:])
    exact, _ = sf.read(tmp_path / "1001_DFA_ANG_XX.wav")
    sf.write(tmp_path / "1003_DFA_SAD_XX.flac", exact, RATE)
    sf.write(tmp_path / "1004_DFA_SAD_XX.wav", np.column_stack([exact, exact]), RATE, subtype="PCM_24")
    rows = rows_of(read_corpus(tmp_path / "results", tmp_path))
    assert len({row["sha256"] for row in rows}) == 4 and len({row["audio_sha256"] for row in rows}) == 1


SPOKEN = voice(2, level=0.4)
# Samples, rate, and what `predict` says of them.
WARNED = {
    "zeros.wav": (np.zeros(RATE), RATE, f"{NO_SPEECH}; silence: zeros only, when its channels are mixed"),
    "opposite.wav": (np.column_stack([SPOKEN, -SPOKEN]), RATE, f"{NO_SPEECH}; silence: zeros only"),
    "faint.wav": (SPOKEN * 1e-3, RATE, "silence: its highest peak is -68 dB of full scale"),
    "clipped.wav": (np.clip(SPOKEN * 20, -1, 1), RATE, "clipping: [4-6][0-9]% of its samples are at full scale"),
    "integers.wav": (np.round(SPOKEN * 32768), RATE, "its samples reach 1[0-9]{4} times full scale, as integers in a"),
    "telephone.wav": (voice(2, 8000), 8000, "8000 Hz, below the 16000 Hz of the model"),
    "long zeros.wav": (np.zeros(5 * RATE), RATE, f"{NO_SPEECH}; silence: zeros only"),
    "long integers.wav": (np.tile(SPOKEN * 32768, 3), RATE, "its samples reach"),
    "noise.wav": (NOISE, RATE, NO_SPEECH),
    "long noise.wav": (np.tile(NOISE, 5), RATE, NO_SPEECH),
}


def test_predict_warns_of_what_means_little(tmp_path, capsys):
    write_bundle(tmp_path / "b.zip")
    sf.write(tmp_path / "fine.wav", SPOKEN, RATE)
    for name, (samples, rate, _) in WARNED.items():
        sf.write(tmp_path / name, samples, rate, subtype="FLOAT")
    names = ["fine.wav", *WARNED]
    files = [str(tmp_path / name) for name in names]
    predict_recordings(str(tmp_path / "b.zip"), files, output=tmp_path / "x.csv", timeline=tmp_path / "t.csv")
    rows, (*said, summary) = read_csv(tmp_path / "x.csv"), capsys.readouterr().err.splitlines()
    assert f"{len(names) - 5} of {len(names)} recordings labelled: " in summary
    assert [row["file"] for row in rows] == files and not any(row["problem"] for row in rows)
    assert not rows[0]["warning"] and len(said) == len(WARNED)
    for row, line, (_, _, warning) in zip(rows[1:], said, WARNED.values(), strict=True):
        assert row["warning"] in line and line.startswith(f"serflow predict: {row['file']}: warning: ")
        assert re.match(warning, row["warning"]), row["warning"]
    silent = [row for row in rows if NO_SPEECH in row["warning"]]
    assert len(silent) == 5
    for row in rows:
        without = row in silent
        assert all((row[key] == "") == without for key in ("label", "confidence", "p_ANG", "p_HAP", "p_NEU"))
        assert (row["windows"] == "0") == without and float(row["seconds"]) >= 1
    labelled = {row["file"] for row in rows if row["label"]}
    assert {row["file"] for row in read_csv(tmp_path / "t.csv")} == labelled


def test_the_demo_shows_the_warning(tmp_path):
    bundle = open_bundle(str(write_bundle(tmp_path / "b.zip")))
    for name, samples in (("zeros.wav", np.zeros(RATE)), ("faint.wav", SPOKEN * 1e-3), ("fine.wav", SPOKEN)):
        sf.write(tmp_path / name, samples, RATE, subtype="FLOAT")
        page = result(bundle, bundle.classifier, str(tmp_path / name), lambda *seconds: None)
        assert ("Confidence" in page) == (name != "zeros.wav")
        assert ("<p>Warning: silence: its highest" in page) == (name == "faint.wav")
        assert (f"zeros.wav: {NO_SPEECH}; silence: zeros only" in page) == (name == "zeros.wav")


def test_a_file_with_bytes_behind_its_samples_is_labelled_with_a_warning(tmp_path):
    write_bundle(tmp_path / "b.zip")
    sf.write(tmp_path / "x.wav", NOISE, RATE)
    content = (tmp_path / "x.wav").read_bytes()
    (tmp_path / "tagged.wav").write_bytes(content + b"TAG" + b"title".ljust(125, b"\0"))
    classifier = open_bundle(str(tmp_path / "b.zip")).classifier
    sources = [RecordingToLabel(str(tmp_path / name)) for name in ("x.wav", "tagged.wav")]
    plain, tagged = label_recordings(classifier, sources)
    assert not plain.warnings and tagged.warnings == [
        "128 bytes behind its samples are not a chunk (an ID3v1 tag); they are left out"
    ]
    np.testing.assert_array_equal(plain.probabilities, tagged.probabilities)
