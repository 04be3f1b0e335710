"""An encoder of a few kilobytes that works, as a user's own ONNX file."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

WIDTH, KERNEL = 4, 400
LAST = {"layers": ["Unsqueeze", "one"], "pooled": ["ReduceMean", "one"], "fixed": ["Gather", "twice"]}


def model(
    *, source="input_values", outputs=("last_hidden_state",), stride=320, shape=("batch", "samples"), kind=None, pads=0
):
    """Return an encoder of one convolution: frames of 400 samples, as in wav2vec 2.0; output n is n + 1 times it."""
    kernel = np.random.default_rng(0).standard_normal((WIDTH, 1, KERNEL)).astype(np.float32) / 20
    constants = [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(np.array([1]), "one")]
    constants.append(numpy_helper.from_array(np.array([0, 0]), "twice"))
    nodes = [
        helper.make_node("Unsqueeze", [source, "one"], ["channel"]),
        helper.make_node("Conv", ["channel", "kernel"], ["bands"], strides=[stride], pads=[pads, pads]),
        helper.make_node("Transpose", ["bands"], ["frames"], perm=[0, 2, 1]),
    ]
    for number, name in enumerate(outputs):
        constants.append(numpy_helper.from_array(np.float32(number + 1), f"factor{number}"))
        nodes.append(helper.make_node("Mul", ["frames", f"factor{number}"], [f"scaled{number}"]))
        last, *more = LAST.get(kind, ["Identity"])
        options = {"pooled": {"keepdims": 0}, "fixed": {"axis": 1}}.get(kind, {})
        nodes.append(helper.make_node(last, [f"scaled{number}", *more], [name], **options))
    sizes = {"layers": ["b", "l", "f", WIDTH], "pooled": ["b", WIDTH]}.get(kind, ["b", "f", WIDTH])
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info(source, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes) for name in outputs],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
