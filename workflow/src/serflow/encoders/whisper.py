"""Build Whisper's encoder as an ONNX graph, from the waveform to the hidden states of every layer.

The log-mel spectrogram is part of the graph: a short-time Fourier transform as a convolution, mel bands, logarithm.
Radford et al., Robust speech recognition via large-scale weak supervision, 2022, describe the model and its input.
Here nothing is padded to 30 seconds: the frames end with the clip.
"""

from collections.abc import Mapping

import numpy as np

from serflow.audio.stft import hann, mel_filterbank
from serflow.encoders.weights import HEAD_WIDTH, count_blocks

SAMPLING_RATE = 16_000  # Hz
STRIDE = 320  # samples per frame of hidden states
_WINDOW, _HOP = 400, 160  # samples
_FLOOR = 1e-10  # power
_EPSILON = 1e-5  # of the layer norms
_OPSET, _IR_VERSION = 20, 10


class _Graph:
    """Nodes and constants of an ONNX graph; a node is named after its output."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def add(self, kind: str, *inputs, **attributes) -> str:
        """Add a node with one output and return the output's name; inputs are names, or constants."""
        return self.split(kind, *inputs, outputs=1, **attributes)[0]

    def split(self, kind: str, *inputs, outputs: int, **attributes) -> list[str]:
        """Add a node and return the names of its outputs."""
        import onnx

        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        results = [f"{kind.lower()}{len(self.nodes)}_{number}" for number in range(outputs)]
        self.nodes.append(onnx.helper.make_node(kind, names, results, results[0], **attributes))
        return results

    def constant(self, values) -> str:
        """Add a constant. Weights that float16 holds exactly are stored so, in half the bytes."""
        import onnx

        values, name = np.asarray(values), f"constant{len(self.constants)}"
        if values.dtype == np.float32 and values.size > 1:
            with np.errstate(over="ignore"):
                half = values.astype(np.float16)
            if np.array_equal(half, values):
                self.constants.append(onnx.numpy_helper.from_array(half, name))
                # onnxruntime converts it once, when it loads the graph.
                return self.add("Cast", name, to=onnx.TensorProto.FLOAT)
        self.constants.append(onnx.numpy_helper.from_array(values, name))
        return name


def build_whisper(weights: Mapping[str, np.ndarray]) -> bytes:
    """Return the ONNX graph of an encoder; the same weights give the same bytes.

    Parameters
    ----------
    weights
        What :mod:`serflow.encoders.weights` reads.

    Returns
    -------
    bytes
        A model with the input ``waveform``, float32 (batch, samples) at 16 kHz, all of one length of at least 320
        samples, and the output ``hidden_states``, float32 (batch, blocks + 2, samples // 320, width): after the
        convolutions and the position encoding, after each block, and after the last layer norm. A clip may have at
        most as many frames as there are positions.
    """
    import onnx

    graph = _Graph()
    hidden = _stem(graph, _log_mel(graph, weights["conv1.weight"].shape[1]), weights)
    states = [hidden]
    for block in range(count_blocks(weights)):
        hidden = _block(graph, hidden, _named(weights, f"block{block}."))
        states.append(hidden)
    states.append(_norm(graph, hidden, weights, "norm"))
    stacked = graph.add("Concat", *(graph.add("Unsqueeze", state, np.array([1])) for state in states), axis=1)
    # Half a frame at the end of a clip takes part in the computation, as it always did, and is left out here.
    frames = graph.add("Div", graph.add("Shape", "waveform", start=1, end=2), np.array([STRIDE]))
    stacked = graph.add("Slice", stacked, np.array([0]), frames, np.array([2]))
    graph.nodes.append(onnx.helper.make_node("Identity", [stacked], ["hidden_states"], "hidden_states"))
    kind, width = onnx.TensorProto.FLOAT, len(weights["norm.bias"])
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes,
            "whisper_encoder",
            [onnx.helper.make_tensor_value_info("waveform", kind, ["batch", "samples"])],
            [onnx.helper.make_tensor_value_info("hidden_states", kind, ["batch", len(states), "frames", width])],
            graph.constants,
        ),
        opset_imports=[onnx.helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="serflow",
    )
    return model.SerializeToString(deterministic=True)


def _named(weights: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): values for name, values in weights.items() if name.startswith(prefix)}


def _log_mel(graph: _Graph, n_mels: int) -> str:
    """Add the log-mel spectrogram, (batch, n_mels, samples // 160), at most 8 decades below the clip's maximum."""
    # Centred frames; the last one, which the original drops, is not computed.
    pads = np.array([0, _WINDOW // 2, 0, _WINDOW // 2 - _HOP])
    padded = graph.add("Unsqueeze", graph.add("Pad", "waveform", pads, mode="reflect"), np.array([1]))
    spectrum = graph.add("Conv", padded, _fourier()[:, None], strides=[_HOP])
    power = graph.add("Mul", spectrum, spectrum)
    filters = mel_filterbank(SAMPLING_RATE, _WINDOW, n_mels).T  # (n_mels, bins)
    mel = graph.add("MatMul", np.concatenate([filters, filters[:, 1:-1]], axis=1), power)
    log = graph.add("Log", graph.add("Max", mel, np.float32(_FLOOR)))
    log = graph.add("Mul", log, np.float32(1 / np.log(10)))
    peak = graph.add("ReduceMax", log, np.array([1, 2]), keepdims=1)
    floored = graph.add("Max", log, graph.add("Sub", peak, np.float32(8)))
    return graph.add("Mul", graph.add("Add", floored, np.float32(4)), np.float32(0.25))


def _fourier() -> np.ndarray:
    """Return windowed cosines and sines, float32 (201 + 199, 400); the first and the last sine are zero."""
    bins, samples = np.arange(_WINDOW // 2 + 1)[:, None], np.arange(_WINDOW)
    phase = 2 * np.pi * (bins * samples % _WINDOW) / _WINDOW
    waves = np.concatenate([np.cos(phase), np.sin(phase)[1:-1]])
    return (waves * hann(_WINDOW)).astype(np.float32)


def _stem(graph: _Graph, mel: str, weights: Mapping[str, np.ndarray]) -> str:
    """Add the convolutions, of which the second halves the number of frames, and the position encoding."""
    for name, stride in (("conv1", 1), ("conv2", 2)):
        kernel, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        mel = graph.add("Gelu", graph.add("Conv", mel, kernel, bias, pads=[1, 1], strides=[stride]))
    hidden = graph.add("Transpose", mel, perm=[0, 2, 1])
    frames = graph.add("Shape", hidden, start=1, end=2)
    positions = graph.add("Slice", weights["positions"], np.array([0]), frames, np.array([0]))
    return graph.add("Add", hidden, positions)


def _block(graph: _Graph, hidden: str, weights: Mapping[str, np.ndarray]) -> str:
    """Add a transformer block: attention and feed-forward, each of the normalised input and added to it."""
    hidden = graph.add("Add", hidden, _attention(graph, _norm(graph, hidden, weights, "attention_norm"), weights))
    inner = _linear(graph, _norm(graph, hidden, weights, "ffn_norm"), weights, "expand")
    return graph.add("Add", hidden, _linear(graph, graph.add("Gelu", inner), weights, "contract"))


def _attention(graph: _Graph, hidden: str, weights: Mapping[str, np.ndarray]) -> str:
    width = len(weights["output.bias"])
    heads = width // HEAD_WIDTH
    parts = graph.add("Reshape", _linear(graph, hidden, weights, "qkv"), np.array([0, 0, 3 * heads, HEAD_WIDTH]))
    query, key, value = graph.split("Split", parts, outputs=3, axis=2, num_outputs=3)
    query = graph.add("Mul", query, np.float32(HEAD_WIDTH**-0.5))
    query, value = (graph.add("Transpose", part, perm=[0, 2, 1, 3]) for part in (query, value))
    scores = graph.add("MatMul", query, graph.add("Transpose", key, perm=[0, 2, 3, 1]))
    mixed = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), value)
    mixed = graph.add("Transpose", mixed, perm=[0, 2, 1, 3])
    return _linear(graph, graph.add("Reshape", mixed, np.array([0, 0, width])), weights, "output")


def _linear(graph: _Graph, hidden: str, weights: Mapping[str, np.ndarray], name: str) -> str:
    matrix = np.ascontiguousarray(weights[f"{name}.weight"].T)
    return graph.add("Add", graph.add("MatMul", hidden, matrix), weights[f"{name}.bias"])


def _norm(graph: _Graph, hidden: str, weights: Mapping[str, np.ndarray], name: str) -> str:
    scale, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    return graph.add("LayerNormalization", hidden, scale, bias, axis=-1, epsilon=_EPSILON)
