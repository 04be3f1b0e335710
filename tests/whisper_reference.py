"""Whisper's encoder again, in NumPy, SciPy and librosa, and files of its weights as others write them."""

import struct

import librosa
import numpy as np
import scipy.signal
import scipy.special

WIDTH, BLOCKS, POSITIONS, MELS = 128, 2, 40, 80


def random_weights(seed=0):
    """Return float16 weights of a tiny encoder, named and laid out as Hugging Face Transformers does."""
    rng = np.random.default_rng(seed)

    def values(*shape, centre=0.0):
        return (centre + rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]) or 4)).astype(np.float16)

    weights = {"embed_positions.weight": values(POSITIONS, WIDTH)}
    for name, inputs in (("conv1", MELS), ("conv2", WIDTH)):
        weights |= {f"{name}.weight": values(WIDTH, inputs, 3), f"{name}.bias": values(WIDTH)}
    norms = ["layer_norm"]
    for block in range(BLOCKS):
        norms += [f"layers.{block}.{name}" for name in ("self_attn_layer_norm", "final_layer_norm")]
        linear = {f"self_attn.{part}_proj": (WIDTH, WIDTH) for part in ("q", "k", "v", "out")}
        for name, shape in (linear | {"fc1": (4 * WIDTH, WIDTH), "fc2": (WIDTH, 4 * WIDTH)}).items():
            weights[f"layers.{block}.{name}.weight"] = values(*shape)
            if "k_proj" not in name:
                weights[f"layers.{block}.{name}.bias"] = values(shape[0])
    for name in norms:
        weights |= {f"{name}.weight": values(WIDTH, centre=1), f"{name}.bias": values(WIDTH)}
    return {f"model.encoder.{name}": array for name, array in weights.items()}


def hidden_states(weights, samples):
    """Return the hidden states of a clip, float64 (layers, frames, width)."""
    weights = {name.removeprefix("model.encoder."): array.astype(float) for name, array in weights.items()}

    def linear(x, name):
        return x @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", 0)

    def norm(x, name):
        x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def heads(x):
        return x.reshape(len(x), -1, 64).swapaxes(0, 1)

    x = log_mel(samples)
    for name, stride in (("conv1", 1), ("conv2", 2)):
        padded = np.pad(x, ((0, 0), (1, 1)))
        taps = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=1)[:, ::stride]
        x = gelu(np.einsum("oit,ift->of", weights[f"{name}.weight"], taps) + weights[f"{name}.bias"][:, None])
    x = x.T + weights["embed_positions.weight"][: x.shape[1]]
    states = [x]
    for block in range(BLOCKS):
        name = f"layers.{block}"
        inner = norm(x, f"{name}.self_attn_layer_norm")
        query, key, value = (heads(linear(inner, f"{name}.self_attn.{part}_proj")) for part in "qkv")
        mixed = scipy.special.softmax(query @ key.swapaxes(1, 2) / 8, axis=2) @ value
        x = x + linear(mixed.swapaxes(0, 1).reshape(x.shape), f"{name}.self_attn.out_proj")
        x = x + linear(gelu(linear(norm(x, f"{name}.final_layer_norm"), f"{name}.fc1")), f"{name}.fc2")
        states.append(x)
    return np.stack([*states, norm(x, "layer_norm")])[:, : len(samples) // 320]


def gelu(x):
    return x * scipy.special.ndtr(x)


def log_mel(samples):
    padded = np.pad(samples.astype(float), 200, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, 400)[::160][:-1]
    spectrum = np.fft.rfft(frames * scipy.signal.get_window("hann", 400))
    mel = librosa.filters.mel(sr=16_000, n_fft=400, n_mels=MELS) @ np.abs(spectrum.T) ** 2
    log = np.log10(np.maximum(mel, 1e-10))
    return (np.maximum(log, log.max() - 8) + 4) / 4


def ctranslate2_file(weights, kinds=None):
    """Return the bytes of a model in CTranslate2's binary format, version 6, with a decoder's variable in it."""
    plain = {"self_attn_layer_norm": "self_attention/layer_norm", "self_attn.out_proj": "self_attention/linear_1"}
    plain |= {"final_layer_norm": "ffn/layer_norm", "fc1": "ffn/linear_0", "fc2": "ffn/linear_1"}
    found = {"decoder/anything": np.zeros(3, np.float16), "encoder/num_heads": np.array(2, np.int16)}
    for name, array in weights.items():
        short = name.removeprefix("model.encoder.")
        if "k_proj" in short or "v_proj" in short:
            continue
        if "q_proj" in short:
            parts = [weights.get(name.replace("q_proj", f"{part}_proj"), np.zeros(WIDTH, np.float16)) for part in "qkv"]
            short, array = short.replace("self_attn.q_proj", "self_attention/linear_0"), np.concatenate(parts)
        for old, new in plain.items():
            short = short.replace(f".{old}.", f".{new}.")
        if "layer_norm" in short:
            short = short.replace("weight", "gamma").replace("bias", "beta")
        short = short.replace("embed_positions.weight", "position_encodings/encodings").replace("layers.", "layer_")
        found[f"encoder/{short.replace('.', '/')}"] = array

    def text(value):
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    content = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<II", 3, len(found))
    for name, array in found.items():
        kind = (kinds or {}).get(name, {2: 4, 4: 0}[array.itemsize] if array.dtype.kind == "f" else 2)
        content += text(name) + struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        content += struct.pack("<BI", kind, array.nbytes) + array.tobytes()
    return content + struct.pack("<I", 0)
