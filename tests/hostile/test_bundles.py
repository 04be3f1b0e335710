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
import onnx
import pytest
import soundfile as sf
from onnx import TensorProto, helper, numpy_helper

from serflow.bundle.inputs import Source
from serflow.bundle.predict import label_recordings
from serflow.bundle.reader import open_bundle
from serflow.cli import main
from serflow.errors import UserError
from serflow.inference.onnx_model import Network, check_self_contained
from tiny_bundle import ABOUT, write_bundle
from tiny_bundle import model_of as model
from tiny_bundle import tiny_graph as graph

SECRET = struct.pack("<3f", 0.25, 0.25, 0.5)
NAN, INFINITE = float("nan"), float("inf")


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


def constant(values):
    """Return nodes that exchange the probabilities of the model for others, the same for each clip."""
    values = np.array(values, np.float32)
    return [
        helper.make_node("Constant", [], ["values"], value=numpy_helper.from_array(values)),
        helper.make_node("Shape", ["probabilities"], ["shape_of_all"], start=0, end=1),
        helper.make_node("Constant", [], ["width"], value=numpy_helper.from_array(np.array([values.shape[-1]]))),
        helper.make_node("Concat", ["shape_of_all", "width"], ["wanted"], axis=0),
        helper.make_node("Expand", ["values", "wanted"], ["answer"]),
    ]


def answering(*values):
    return model(graph(constant([values]), "answer"))


def then(operation, **attributes):
    """Return the model with one more operation at its end."""
    return model(graph([helper.make_node(operation, ["probabilities"], ["answer"], **attributes)], "answer"))


def of_inputs(*types):
    made = model(graph())
    del made.graph.input[:]
    for number, (name, kind) in enumerate(types):
        made.graph.input.append(helper.make_tensor_value_info(name or f"x{number}", kind, [None, None, None, 1]))
    return made


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
    "no preprocessing": without("preprocessing"),
    "no temperature": without("temperature"),
    "no leaky": without("leaky"),
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
            "n_mels": (0, -8, 10**9, "8"),
            "n_fft": (0, 10**12, 3.5),
            "hop_length": (0, -200, None),
        }.items()
        for value in values
    },
    "no n_mels": about(preprocessing={k: v for k, v in ABOUT["preprocessing"].items() if k != "n_mels"}),
}
MODELS = {
    "nothing": b"",
    "text": b"not a model",
    "zeros": bytes(1000),
    "half": model(graph()).SerializeToString()[:150],
    "no graph": onnx.ModelProto(),
    "no nodes": model(helper.make_graph([], "g", [], [])),
    "unknown operation": then("NoSuchOperation"),
    "another domain": then("Relu", domain="evil.example"),
    "unknown input": of_inputs(("other", TensorProto.FLOAT)),
    "no input": of_inputs(),
    "two inputs": of_inputs(("features", TensorProto.FLOAT), ("", TensorProto.FLOAT)),
    "input of text": of_inputs(("features", TensorProto.STRING)),
    "input of doubles": of_inputs(("features", TensorProto.DOUBLE)),
    "output of integers": model(graph([helper.make_node("ArgMax", ["probabilities"], ["a"])], "a", TensorProto.INT64)),
    "output of doubles": model(
        graph([helper.make_node("Cast", ["probabilities"], ["a"], to=TensorProto.DOUBLE)], "a", TensorProto.DOUBLE)
    ),
    "output of text": model(
        graph([helper.make_node("Cast", ["probabilities"], ["a"], to=TensorProto.STRING)], "a", TensorProto.STRING)
    ),
    "output a number": then("ReduceMean", keepdims=0),
    "output turned": then("Transpose"),
    "two classes": answering(0.5, 0.5),
    "no classes": answering(),
    "five classes": answering(0.2, 0.2, 0.2, 0.2, 0.2),
    "NaN": answering(NAN, 0.5, 0.5),
    "infinite": answering(INFINITE, 0, 0),
    "negative": answering(-0.5, 0.5, 1.0),
    "beyond 1": answering(2.0, -0.5, -0.5),
    "sum 0": answering(0, 0, 0),
    "sum 3": answering(1, 1, 1),
    "logits": answering(3.2, -1.0, 0.4),
    "all memory": model(
        graph(
            [
                helper.make_node("Constant", [], ["huge"], value=numpy_helper.from_array(np.array([2**24, 2**24]))),
                helper.make_node("ConstantOfShape", ["huge"], ["answer"]),
            ],
            "answer",
        )
    ),
}


@pytest.fixture
def clip(tmp_path):
    sf.write(tmp_path / "clip.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 5000), 16000)
    return tmp_path / "clip.wav"


def refuse(path, capsys):
    """Expect the command to end with one line that names the bundle, and no output."""
    with pytest.raises(SystemExit) as end:
        main(["predict", str(path), "clip.wav"])
    out, err = capsys.readouterr()
    assert end.value.code == 1 and out == ""
    assert len(err.splitlines()) == 1 and str(path) in err and len(err) < 1000 and "Traceback" not in err
    return err


def test_the_bundle_that_all_others_are_made_of_works(tmp_path, clip, capsys):
    main(["predict", str(write_bundle(tmp_path / "x.zip")), str(clip)])
    assert "file,label,confidence,p_ANG,p_HAP,p_NEU" in capsys.readouterr().out
    main(["predict", str(write_bundle(tmp_path / "y.zip", compression=zipfile.ZIP_DEFLATED)), str(clip)])


@pytest.mark.parametrize("kind", ABOUTS)
def test_contents_of_bundle_json(tmp_path, capsys, kind):
    refuse(write_bundle(tmp_path / "x.zip", about=ABOUTS[kind]), capsys)


@pytest.mark.parametrize("kind", MODELS)
def test_models(tmp_path, capsys, kind):
    refuse(write_bundle(tmp_path / "x.zip", model=MODELS[kind]), capsys)


def changed(content, old, new, count=-1):
    assert old in content
    return content.replace(old, new, count)


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
    "no card": lacking("card.md"),
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


def external(tensor=None, location="secret.bin"):
    """Return a tensor of three numbers that lie in a file of the working directory."""
    tensor = tensor or TensorProto(data_type=TensorProto.FLOAT, dims=[3], name="secret")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def constant_node(tensor):
    return helper.make_node("Constant", [], ["answer"], value=tensor)


def in_initializer():
    made = model(graph())
    made.graph.initializer.append(external())
    return made


def in_sparse_initializer():
    made = model(graph())
    made.graph.sparse_initializer.add(values=external(), indices=external(), dims=[3])
    return made


def in_constant():
    return model(graph([constant_node(external())], "answer"))


def in_sparse_constant():
    node = helper.make_node("Constant", [], ["answer"])
    node.attribute.add(name="sparse_value", type=onnx.AttributeProto.SPARSE_TENSOR).sparse_tensor.values.CopyFrom(
        external()
    )
    return model(graph([node]))


def in_list_of_tensors():
    node = helper.make_node("Relu", ["probabilities"], ["answer"])
    node.attribute.add(name="tensors", type=onnx.AttributeProto.TENSORS).tensors.append(external())
    return model(graph([node]))


def branch(inner):
    return helper.make_graph(inner, "branch", [], [helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)])


def conditional(inner):
    return [
        helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True))),
        helper.make_node("If", ["yes"], ["answer"], then_branch=branch(inner), else_branch=branch(inner)),
    ]


def in_branch():
    return model(graph(conditional([constant_node(external())]), "answer"))


def in_branch_of_branch():
    return model(graph(conditional(conditional([constant_node(external())])), "answer"))


def in_initializer_of_branch():
    nodes = conditional([constant_node(numpy_helper.from_array(np.zeros(3, np.float32)))])
    nodes[-1].attribute[0].g.initializer.append(external())
    return model(graph(nodes, "answer"))


def in_body(operation):
    def make():
        node = helper.make_node(
            operation, ["", "", "probabilities"], ["answer"], body=branch([constant_node(external())])
        )
        return model(graph([node], "answer"))

    return make


def in_function():
    made = model(graph([helper.make_node("Leak", ["probabilities"], ["answer"], domain="own")], "answer"))
    opsets = [helper.make_opsetid("", 18)]
    made.functions.append(helper.make_function("own", "Leak", ["x"], ["answer"], [constant_node(external())], opsets))
    made.opset_import.append(helper.make_opsetid("own", 1))
    return made


def in_default_of_function():
    made = in_function()
    del made.functions[0].node[:]
    default = made.functions[0].attribute_proto.add(name="a", type=onnx.AttributeProto.TENSOR)
    default.t.CopyFrom(external())
    return made


def in_training():
    made = model(graph())
    made.training_info.add().algorithm.initializer.append(external())
    return made


def location_alone():
    made = in_initializer()
    made.graph.initializer[-1].ClearField("data_location")
    return made


def of_memory():
    made = model(graph())
    made.graph.initializer.append(external(location="*/_ORT_MEM_ADDR_/*"))
    return made


def in_two_formats():
    """Return a file that is both an ONNX model and has the mark of onnxruntime's own format at its place."""
    unknown_field = b"\xfa\x7f\x06\0ORTM\0"  # number 2047, of six bytes
    return unknown_field + model(graph()).SerializeToString()


EXTERNAL = [
    in_initializer,
    in_sparse_initializer,
    in_constant,
    in_sparse_constant,
    in_list_of_tensors,
    in_branch,
    in_branch_of_branch,
    in_initializer_of_branch,
    in_body("Loop"),
    in_body("Scan"),
    in_function,
    in_default_of_function,
    in_training,
    location_alone,
    of_memory,
]


@pytest.mark.parametrize("make", EXTERNAL)
def test_no_model_reads_another_file(tmp_path, capsys, monkeypatch, make):
    (tmp_path / "secret.bin").write_bytes(SECRET)
    monkeypatch.chdir(tmp_path)
    for name in ("secret.bin", "none.bin"):
        content = make().SerializeToString().replace(b"secret.bin", name.encode().ljust(10)[:10])
        with pytest.raises(UserError, match="in other files"):
            check_self_contained(content, "x.onnx")
    assert "in other files" in refuse(write_bundle(tmp_path / "x.zip", model=make()), capsys)


def test_onnxruntime_itself_would_read_it(tmp_path, monkeypatch):
    """Otherwise the test above tests nothing."""
    import onnxruntime

    (tmp_path / "secret.bin").write_bytes(SECRET)
    monkeypatch.chdir(tmp_path)
    content = model(graph([helper.make_node("Add", ["probabilities", "secret"], ["answer"])], "answer"))
    content.graph.initializer.append(external())
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(content.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = session.run(None, {"features": np.zeros((1, 2, 2, 1), np.float32)})[0]
    np.testing.assert_allclose(found[0] - 1 / 3, np.frombuffer(SECRET, np.float32), atol=1e-6)


def test_what_is_checked_is_what_is_loaded():
    """Without being told, onnxruntime takes this for its own format, of which nothing was checked."""
    import onnxruntime

    content = in_two_formats()
    assert content[4:8] == b"ORTM" and check_self_contained(content, "x.onnx") is None
    with pytest.raises(Exception, match=r"ORT|flatbuffer|FlatBuffer"):
        onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    assert Network(content).probabilities(np.zeros((2, 3, 4, 1), np.float32)).shape == (2, 3)


def test_a_model_without_other_files_passes():
    assert check_self_contained(model(graph()).SerializeToString(), "x.onnx") is None


def test_an_answer_that_is_wrong_for_one_recording_names_that_one(tmp_path):
    """The model divides by the loudness, so that silence alone gives no probabilities."""
    nodes = [
        helper.make_node("ReduceMax", ["features", "axes"], ["highest"], keepdims=0),
        helper.make_node("ReduceMin", ["features", "axes"], ["lowest"], keepdims=0),
        helper.make_node("Sub", ["highest", "lowest"], ["loud"]),
        helper.make_node("Reshape", ["loud", "shape"], ["loudness"]),
        helper.make_node("Div", ["loudness", "loudness"], ["one"]),
        helper.make_node("Mul", ["probabilities", "one"], ["answer"]),
    ]
    bundle = open_bundle(write_bundle(tmp_path / "x.zip", model=model(graph(nodes, "answer"))))
    rng = np.random.default_rng(0)
    sources = []
    for number in range(20):
        samples = np.zeros(4000) if number == 7 else rng.uniform(-0.5, 0.5, 4000)
        sf.write(tmp_path / f"{number}.wav", samples, 16000)
        sources.append(Source(str(tmp_path / f"{number}.wav")))
    found = [prediction.problem for prediction in label_recordings(bundle, sources)]
    assert [number for number, problem in enumerate(found) if problem] == [7]
    assert "not probabilities" in found[7] and "7.wav" in found[7]


def test_a_model_for_one_clip_at_a_time_ends_with_one_line(tmp_path, capsys):
    one = helper.make_node("Reshape", ["probabilities", "one_row"], ["answer"])
    made = graph([one], "answer")
    made.initializer.append(numpy_helper.from_array(np.array([1, 3]), "one_row"))
    path = write_bundle(tmp_path / "x.zip", model=model(made))
    sf.write(tmp_path / "long.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 16000 * 20), 16000)
    with pytest.raises(SystemExit) as end:
        main(["predict", str(path), str(tmp_path / "long.wav")])
    err = capsys.readouterr().err
    assert end.value.code == 1 and len(err.splitlines()) == 1 and "cannot be run" in err and str(path) in err
