"""Hostile models: none reads another file, and each answers with probabilities or is refused with one line."""

import struct

import numpy as np
import onnx
import pytest
import soundfile as sf
from onnx import TensorProto, helper, numpy_helper

from serflow.bundle.reader import open_bundle
from serflow.cli import main
from serflow.inference.label import label_recordings
from serflow.inference.onnx_model import Network
from serflow.inference.recordings import RecordingToLabel
from serflow.runtime.errors import UserError
from serflow.storage.onnx_files import check_self_contained
from tiny_bundle import model_of as model
from tiny_bundle import refuse, write_bundle
from tiny_bundle import tiny_graph as graph

SECRET = struct.pack("<3f", 0.25, 0.25, 0.5)
NAN, INFINITE = float("nan"), float("inf")


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


@pytest.mark.parametrize("kind", MODELS)
def test_models(tmp_path, capsys, kind):
    refuse(write_bundle(tmp_path / "x.zip", model=MODELS[kind]), capsys)


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
        sources.append(RecordingToLabel(str(tmp_path / f"{number}.wav")))
    found = [prediction.problem for prediction in label_recordings(bundle.classifier, sources)]
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
