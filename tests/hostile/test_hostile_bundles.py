"""Damaged and hostile bundles: each is refused with one line and exit code 1, and none reads another file."""

import gzip
import io
import json
import os
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import soundfile as sf

from serflow.bundle.reader import open_bundle
from serflow.cli import main
from tiny_bundle import ABOUT, refuse, write_bundle
from voice import voice

NAN, INFINITE = float("nan"), float("inf")
ROW = {"threshold": 0.5, "accuracy": 0.8, "coverage": 0.3}


def about(**changes):
    """Return what ``bundle.json`` says, with other values; ``preprocessing__n_mels`` is one of the preprocessing."""
    content = ABOUT | {"preprocessing": dict(ABOUT["preprocessing"])}
    for name, value in changes.items():
        place, _, below = name.partition("__")
        if below:
            content[place][below] = value
        else:
            content[place] = value
    return content


def without(*names):
    return {name: value for name, value in ABOUT.items() if name not in names}


ABOUTS = {
    "list": [],
    "text": '"bundle"',
    "number": "3",
    "null": "null",
    "empty": {},
    "no JSON": "{",
    "empty file": "",
    "not UTF-8": b"\xff\xfe{",
    "zero bytes": b"\0" * 100,
    "deep": "[" * 100_000,
    "deep and whole": '{"a":' * 50_000 + "1" + "}" * 50_000,
    "5,000 digits": json.dumps(ABOUT).replace("16000", "1" * 5000),
    "another format": about(bundle_format=1),
    "a format of text": about(bundle_format="2"),
    "a format of 1e6 letters": about(bundle_format="x" * 10**6),
    "no format": without("bundle_format"),
    "no classes": without("classes"),
    "no features": without("features"),
    "no accuracy by confidence": without("accuracy_by_confidence"),
    "no accuracy by confidence of a plain model": about(plain={"temperature": 1}),
    "no preprocessing": without("preprocessing"),
    "no temperature": without("temperature"),
    "no leaky": without("leaky"),
    "accuracy by confidence text": about(accuracy_by_confidence="high"),
    "accuracy by confidence empty rows": about(accuracy_by_confidence=[{}]),
    "accuracy by confidence null": about(accuracy_by_confidence=[dict.fromkeys(ROW)]),
    "accuracy by confidence NaN": about(accuracy_by_confidence=[ROW | {"threshold": NAN}]),
    "accuracy by confidence above 1": about(accuracy_by_confidence=[ROW | {"accuracy": 1.01}]),
    "accuracy by confidence below 0": about(accuracy_by_confidence=[ROW | {"coverage": -0.1}]),
    "accuracy by confidence true": about(accuracy_by_confidence=[ROW | {"threshold": True}]),
    "accuracy by confidence with more": about(accuracy_by_confidence=[ROW | {"more": 1}]),
    "accuracy by confidence of a million rows": about(accuracy_by_confidence=[ROW] * 1_000_000),
    "accuracy by confidence of a plain model": about(plain={"temperature": 1, "accuracy_by_confidence": [[]]}),
    "classes null": about(classes=None),
    "classes text": about(classes="ANG"),
    "classes empty": about(classes=[]),
    "one class": about(classes=["ANG"]),
    "too few classes": about(classes=["ANG", "HAP"]),
    "too many classes": about(classes=["ANG", "HAP", "NEU", "SAD"]),
    "a million classes": about(classes=[[]] * 1_000_000),
    "repeated classes": about(classes=["ANG", "ANG", "NEU"]),
    "a class null": about(classes=["ANG", None, "NEU"]),
    "a class number": about(classes=["ANG", 1, "NEU"]),
    "a class empty": about(classes=["ANG", "", "NEU"]),
    "a class long": about(classes=["ANG", "x" * 10_000, "NEU"]),
    "a class surrogate": about(classes=["ANG", "\ud800", "NEU"]),
    "features unknown": about(features="wavelets"),
    "features list": about(features=["mel"]),
    "features null": about(features=None),
    "features others": about(features="functionals"),
    "temperature text": about(temperature="1.5"),
    "temperature 0": about(temperature=0),
    "temperature negative": about(temperature=-1),
    "temperature tiny": about(temperature=1e-300),
    "temperature huge": about(temperature=1e300),
    "temperature NaN": about(temperature=NAN),
    "temperature infinite": about(temperature=INFINITE),
    "temperature 1e999": json.dumps(about(temperature=77.5)).replace("77.5", "1e999"),
    "temperature null": about(temperature=None),
    "temperature true": about(temperature=True),
    "model number": about(model=7),
    "corpus surrogate": about(corpus="\udfff"),
    "protocol null": about(protocol=None),
    "leaky text": about(leaky="no"),
    "preprocessing list": about(preprocessing=[]),
    "preprocessing empty": about(preprocessing={}),
    **{
        f"{name} {value}": about(**{f"preprocessing__{name}": value})
        for name, values in {
            "sampling_rate": (0, -16000, 1, 10**9, 16000.5, "16000", None),
            "target_length": (0, -1, 10**12, 0.5, "4000"),
            "longest": (0, -1, 10**15, None),
            "remove_dc": (1, "no", None),
            "loudness": ({}, {"measure": "louder", "target": -23}, {"measure": "rms", "target": 900}, -23),
            "n_mels": (0, -8, 10**9, "8"),
            "n_fft": (0, 10**12, 3.5),
            "hop_length": (0, -200, None),
        }.items()
        for value in values
    },
    "no n_mels": about(preprocessing={k: v for k, v in ABOUT["preprocessing"].items() if k != "n_mels"}),
}


@pytest.fixture
def clip(tmp_path):
    sf.write(tmp_path / "clip.wav", voice(0.45), 16000)
    return tmp_path / "clip.wav"


def test_the_bundle_that_all_others_are_made_of_works(tmp_path, clip, capsys):
    main(["predict", str(write_bundle(tmp_path / "x.zip")), str(clip)])
    assert "file,start,end,label,confidence,p_ANG,p_HAP,p_NEU" in capsys.readouterr().out
    main(["predict", str(write_bundle(tmp_path / "y.zip", compression=zipfile.ZIP_DEFLATED)), str(clip)])


@pytest.mark.parametrize("kind", ABOUTS)
def test_contents_of_bundle_json(tmp_path, capsys, kind):
    refuse(write_bundle(tmp_path / "x.zip", about=ABOUTS[kind]), capsys)


def changed(content, old, new, count=-1):
    assert old in content
    return content.replace(old, new, count)


def npy(values, shape=None):
    """Return an array as ``.npy``; with another shape in its header if one is named."""
    made = io.BytesIO()
    np.save(made, values)
    return made.getvalue() if shape is None else changed(made.getvalue(), str(values.shape).encode(), shape)


ONES = np.ones((2, 8), np.float32)
MOMENTS = {
    "empty": b"",
    "text": b"moments",
    "half": npy(ONES)[:150],
    "a header that does not end": npy(ONES)[:10] + npy(ONES)[10:128].replace(b")", b"(") + npy(ONES)[128:],
    "a header of code": npy(ONES, b"(__import__('os').mkdir('x'),)"),
    "a header of zero bytes": npy(ONES)[:10] + bytes(118),
    "a shape of 10^15": npy(ONES, b"(2, 1000000000000000)"),
    "a negative shape": npy(ONES, b"(2,-8)"),
    "objects": npy(np.array([[None], [1]], object)),
    "doubles": npy(ONES.astype(float)),
    "three rows": npy(np.ones((3, 8), np.float32)),
    "one row": npy(ONES[:1]),
    "another number of columns": npy(np.ones((2, 5), np.float32)),
    "no columns": npy(np.ones((2, 0), np.float32)),
    "NaN": npy(np.full((2, 8), NAN, np.float32)),
    "infinity": npy(np.full((2, 8), INFINITE, np.float32)),
    "a deviation of zero": npy(np.zeros((2, 8), np.float32)),
}


@pytest.mark.parametrize("kind", MOMENTS)
def test_contents_of_moments(tmp_path, capsys, kind):
    adapted = about(standardize="speaker", shrinkage=1)
    open_bundle(write_bundle(tmp_path / "good.zip", about=adapted, moments=npy(ONES)))
    refuse(write_bundle(tmp_path / "x.zip", about=adapted, moments=MOMENTS[kind]), capsys)


def write_ensemble(path, bundles, **changed):
    """Write an ensemble of bundles that are given as bytes."""
    of_all = about(**{"members": [{"weight": 1 / len(bundles)} for _ in bundles], **changed})
    content = {"bundle.json": json.dumps(of_all), "README.md": "# x"}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**content, **{f"member{place}.zip": data for place, data in enumerate(bundles)}}.items():
            archive.writestr(name, data)
    return path


def test_ensembles(tmp_path, clip, capsys, monkeypatch):
    tiny = write_bundle(tmp_path / "tiny.zip").read_bytes()
    good = write_ensemble(tmp_path / "good.zip", [tiny, tiny])
    main(["predict", str(good), str(clip)])
    assert "file,start,end,label,confidence,p_ANG,p_HAP,p_NEU" in capsys.readouterr().out
    rate = write_bundle(tmp_path / "rate.zip", about=about(preprocessing=ABOUT["preprocessing"] | {"longest": 9000}))
    names = write_bundle(tmp_path / "names.zip", about=about(classes=["ANG", "HAP", "SAD"]))
    plain = {"temperature": 1.0, "accuracy_by_confidence": []}  # which it does not hold
    nan = write_bundle(tmp_path / "nan.zip", about=about(plain=plain))
    one = {"members": [{"weight": 1.0}]}
    for kind, path in {
        "no member": write_ensemble(tmp_path / "x0.zip", []),
        "a member that is missing": write_ensemble(tmp_path / "x1.zip", [], **one),
        "a member that is no zip": write_ensemble(tmp_path / "x2.zip", [b"PK", tiny]),
        "an ensemble in an ensemble": write_ensemble(tmp_path / "x3.zip", [good.read_bytes()]),
        "other lengths": write_ensemble(tmp_path / "x4.zip", [tiny, rate.read_bytes()]),
        "other classes": write_ensemble(tmp_path / "x5.zip", [tiny, names.read_bytes()]),
        "no plain model": write_ensemble(tmp_path / "x6.zip", [nan.read_bytes()]),
        "weights of 0": write_ensemble(tmp_path / "x7.zip", [tiny], members=[{"weight": 0}]),
        "a weight of 2": write_ensemble(tmp_path / "x8.zip", [tiny], members=[{"weight": 2}]),
    }.items():
        assert refuse(path, capsys), kind
    monkeypatch.setattr("serflow.bundle.reader._LARGEST_WHOLE", len(tiny))
    assert "an ensemble of more than" in refuse(good, capsys)


def set_flag(content):
    """Mark all members as encrypted."""
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        place = content.find(signature)
        while place >= 0:
            content = content[: place + offset] + b"\1" + content[place + offset + 1 :]
            place = content.find(signature, place + 4)
    return content


def set_method(content, method):
    for signature, offset in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        place = content.find(signature)
        while place >= 0:
            content = content[: place + offset] + struct.pack("<H", method) + content[place + offset + 2 :]
            place = content.find(signature, place + 4)
    return content


def lacking(name):
    def lack(content):
        made = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
            for member in old.namelist():
                if member != name:
                    new.writestr(member, old.read(member))
        return made.getvalue()

    return lack


ARCHIVES = {
    "empty": lambda content: b"",
    "text": lambda content: b"no archive",
    "half": lambda content: content[: len(content) // 2],
    "end only": lambda content: content[-22:],
    "start lacks": lambda content: content[200:],
    "a bit of the model": lambda content: changed(content, b"ReduceMean", b"ReduceMeaN"),
    "a bit of bundle.json": lambda content: changed(content, b"classes", b"cl\0sses"),
    "no bundle.json": lacking("bundle.json"),
    "no model": lacking("model.onnx"),
    "no card": lacking("README.md"),
    "encrypted": set_flag,
    "deflated in name only": lambda content: set_method(content, 8),
    "bzip2": lambda content: set_method(content, 12),
    "lzma": lambda content: set_method(content, 14),
    "unknown compression": lambda content: set_method(content, 99),
    "gzip": gzip.compress,
    "zip64 of nonsense": lambda content: content[:-6] + b"\xff" * 6,
    "later version of zip": lambda content: changed(content, b"PK\1\2\x14\3\x14", b"PK\1\2\x14\3\xff"),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_archives(tmp_path, capsys, kind):
    path = write_bundle(tmp_path / "x.zip")
    path.write_bytes(ARCHIVES[kind](path.read_bytes()))
    refuse(path, capsys)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_another_compression(tmp_path, capsys, compression):
    assert "compressed" in refuse(write_bundle(tmp_path / "x.zip", compression=compression), capsys)


def test_bombs(tmp_path, capsys):
    bomb = b" " * (17 << 20)
    assert "larger than 16 MB" in refuse(write_bundle(tmp_path / "x.zip", bomb, compression=8), capsys)
    assert "larger than 1 MB" in refuse(write_bundle(tmp_path / "y.zip", card="x" * (2 << 20), compression=8), capsys)


def test_cards_that_are_not_text(tmp_path, capsys):
    assert "decode" in refuse(write_bundle(tmp_path / "x.zip", card=b"\xff"), capsys)


def test_what_is_no_file(tmp_path):
    """Each in a process of its own: opening a pipe to look at it would never end."""
    os.mkfifo(tmp_path / "pipe.zip")
    (tmp_path / "link.zip").symlink_to(tmp_path / "pipe.zip")
    (tmp_path / "loop.zip").symlink_to(tmp_path / "loop.zip")
    (tmp_path / "folder.zip").mkdir()
    for name in ("pipe.zip", "link.zip", "loop.zip", "folder.zip", "none.zip", "/dev/zero", "/dev/full", "x" * 300):
        command = [sys.executable, "-m", "serflow", "predict", str(tmp_path / name), "clip.wav"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and name in done.stderr
