"""Read the weights of Whisper's encoder from CTranslate2 and safetensors files.

Both readers return one dictionary of float32 arrays. A matrix has the shape (outputs, inputs), a convolution (outputs,
inputs, taps):

===================================================  ===========================================
``conv1``, ``conv2``                                 the convolutions
``positions``                                        the position encoding, (frames, width)
``block{i}.attention_norm``, ``block{i}.ffn_norm``   layer norms before attention and feed-forward
``block{i}.qkv``, ``block{i}.output``                attention: query, key, value; its output
``block{i}.expand``, ``block{i}.contract``           feed-forward
``norm``                                             the last layer norm
===================================================  ===========================================

All but ``positions`` end with ``.weight`` and ``.bias``. Nothing is unpickled.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from serflow.runtime.errors import UserError

HEAD_WIDTH = 64  # of every Whisper model: width = 64 × heads
_CTRANSLATE2_VERSION = 6
_CTRANSLATE2_TYPES = {0: "<f4", 4: "<f2"}
_CTRANSLATE2_NAMES = {
    "self_attention/layer_norm": "attention_norm",
    "self_attention/linear_0": "qkv",
    "self_attention/linear_1": "output",
    "ffn/layer_norm": "ffn_norm",
    "ffn/linear_0": "expand",
    "ffn/linear_1": "contract",
    "gamma": "weight",
    "beta": "bias",
}
_SAFETENSORS_NAMES = {
    "self_attn_layer_norm": "attention_norm",
    "self_attn.out_proj": "output",
    "final_layer_norm": "ffn_norm",
    "fc1": "expand",
    "fc2": "contract",
    "layer_norm": "norm",
    "embed_positions.weight": "positions",
}


def read_ctranslate2(path: Path) -> dict[str, np.ndarray]:
    """Read the encoder of a Whisper model in CTranslate2's binary format, version 6.

    Parameters
    ----------
    path
        ``model.bin``, in float32 or float16.

    Returns
    -------
    dict of str to ndarray
        float32 arrays, named as described above.

    Raises
    ------
    UserError
        If the file is of another format or version, quantised, damaged, or not of a Whisper encoder.
    """
    weights = {}
    try:
        for name, shape, kind, data in _ctranslate2_variables(path.read_bytes()):
            if not name.startswith("encoder/") or not shape:
                continue
            if kind not in _CTRANSLATE2_TYPES:
                raise UserError(f"{path}: {name} is quantised; only float32 and float16 weights are read")
            values = np.frombuffer(data, _CTRANSLATE2_TYPES[kind]).reshape(shape)
            weights[_neutral(name.removeprefix("encoder/"))] = values.astype(np.float32)
    except (ValueError, UnicodeDecodeError, struct.error) as error:
        raise UserError(f"{path}: not a CTranslate2 model, or damaged ({error})") from error
    check_weights(weights, path)
    return weights


def _ctranslate2_variables(content: bytes) -> Iterator[tuple[str, tuple[int, ...], int, memoryview]]:
    """Yield name, shape, number of the type and bytes of each variable of a CTranslate2 model."""
    view, place = memoryview(content), 0

    def take(count: int) -> memoryview:
        nonlocal place
        if place + count > len(view):
            raise ValueError(f"it ends after {len(view):,} bytes, in the middle of a variable")
        place += count
        return view[place - count : place]

    def numbers(form: str) -> tuple[int, ...]:
        return struct.unpack(f"<{form}", take(struct.calcsize(f"<{form}")))

    def text() -> str:
        return bytes(take(*numbers("H"))).rstrip(b"\0").decode("ascii")

    (version,) = numbers("I")
    if version != _CTRANSLATE2_VERSION:
        raise ValueError(f"its version is {version}, not {_CTRANSLATE2_VERSION}")
    text()
    _, count = numbers("II")
    for _ in range(count):
        name = text()
        (rank,) = numbers("B")
        shape = numbers(f"{rank}I")
        kind, size = numbers("BI")
        yield name, shape, kind, take(size)


def _neutral(name: str) -> str:
    """Return the neutral name of a variable of CTranslate2: ``block0.qkv.weight`` for ``layer_0/…/linear_0/weight``."""
    name = re.sub(r"^layer_(\d+)/", r"block\1/", name)
    name = {"position_encodings/encodings": "positions"}.get(name, name)
    for old, new in _CTRANSLATE2_NAMES.items():
        name = name.replace(old, new)
    return re.sub("^layer_norm/", "norm/", name).replace("/", ".")


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Read the encoder of a Whisper model that was saved by Hugging Face Transformers.

    Parameters
    ----------
    path
        ``model.safetensors`` of ``openai/whisper-tiny``, ``-base``, ``-small`` and their like.

    Returns
    -------
    dict of str to ndarray
        float32 arrays, named as described above.

    Raises
    ------
    UserError
        If the file is missing, damaged, of types other than float32 and float16, or not of a Whisper encoder.
    """
    import safetensors

    found = {}
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118  it is no dictionary
                short = re.sub(r"^(model\.)?encoder\.", "", name)
                if short != name:
                    found[short] = file.get_tensor(name).astype(np.float32)
    except (safetensors.SafetensorError, OSError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a readable safetensors file ({error})") from error
    weights = _from_transformers(found)
    check_weights(weights, path)
    return weights


def _from_transformers(found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rename arrays, and put query, key and value side by side; the key has no bias."""
    weights = {}
    for name, values in found.items():
        block, rest = re.fullmatch(r"(?:layers\.(\d+)\.)?(.*)", name, re.DOTALL).groups()
        if rest.startswith(("self_attn.k_proj", "self_attn.v_proj")):
            continue
        for old, new in _SAFETENSORS_NAMES.items():
            if rest == old or rest.startswith(f"{old}."):
                rest = new + rest.removeprefix(old)
        if rest.startswith("self_attn.q_proj."):
            parts = [found.get(name.replace("q_proj", f"{part}_proj")) for part in "qkv"]
            if parts[1] is None and name.endswith(".bias"):
                parts[1] = np.zeros_like(values)
            if not values.ndim or any(part is None or part.shape != values.shape for part in parts):
                continue  # check_weights says what is missing
            rest, values = rest.replace("self_attn.q_proj", "qkv"), np.concatenate(parts)
        weights[f"block{block}.{rest}" if block else rest] = values
    return weights


def check_weights(weights: Mapping[str, np.ndarray], where: str | Path) -> None:
    """Check that weights are those of a Whisper encoder; its sizes follow from their shapes.

    Parameters
    ----------
    weights
        Arrays by neutral name.
    where
        The file, named in errors.

    Raises
    ------
    UserError
        If an array is missing, has an unexpected shape, or holds values that are not finite.
    """
    first, positions = weights.get("conv1.weight"), weights.get("positions")
    if first is None or positions is None or first.ndim != 3 or positions.ndim != 2:
        raise UserError(f"{where}: holds no encoder of a Whisper model")
    width, inner = len(first), 4 * len(first)
    linear = {"qkv": (3 * width, width), "output": (width, width), "expand": (inner, width), "contract": (width, inner)}
    shapes = {"conv1": (width, first.shape[1], 3), "conv2": (width, width, 3), "norm": (width,)}
    for block in range(max(count_blocks(weights), 1)):
        shapes |= {f"block{block}.{name}": shape for name, shape in linear.items()}
        shapes |= {f"block{block}.{name}": (width,) for name in ("attention_norm", "ffn_norm")}
    wanted = {"positions": (len(positions), width)}
    for name, shape in shapes.items():
        wanted |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name, shape in wanted.items():
        if name not in weights:
            raise UserError(f"{where}: lacks {name} of a Whisper encoder")
        if weights[name].shape != shape:
            raise UserError(f"{where}: {name} of the Whisper encoder has the shape {weights[name].shape}, not {shape}")
        if not np.isfinite(weights[name]).all():
            raise UserError(f"{where}: {name} of the Whisper encoder holds values that are not finite")
    if width % HEAD_WIDTH:
        raise UserError(f"{where}: the width of the Whisper encoder is {width}, not a multiple of {HEAD_WIDTH}")


def count_blocks(weights: Mapping[str, np.ndarray]) -> int:
    """Return the number of transformer blocks."""
    return len({name.partition(".")[0] for name in weights if name.startswith("block")})
