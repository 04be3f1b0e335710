"""Describe encoders: what :class:`serflow.encoders.run.Encoder` has to know of an ONNX model."""

import hashlib
import re
from collections.abc import Callable, Mapping

import numpy as np

from serflow.encoders import whisper
from serflow.encoders.session import Session
from serflow.encoders.weights import count_blocks
from serflow.runtime.errors import UserError

SAMPLING_RATE = 16_000  # Hz, of every encoder
LONGEST = 30 * SAMPLING_RATE  # samples; longer clips are split, as attention takes memory by the square of the length
_INPUTS = ("input_values", "waveform", "signal", "audio")
_OUTPUTS = ("hidden_states", "last_hidden_state")
_NUMBERED = re.compile(r"(?:all_)?hidden_states?[._/-]?(\d+)")
_NOISE = 3 * 5120  # samples, about a second: a multiple of the usual strides


def describe_whisper(weights: Mapping[str, np.ndarray], content: bytes) -> dict:
    """Return the description of an encoder that :func:`serflow.encoders.whisper.build_whisper` built.

    Parameters
    ----------
    weights
        Its weights.
    content
        Its ONNX model.

    Returns
    -------
    dict
        The same keys as from :func:`describe_onnx`.
    """
    blocks, positions = count_blocks(weights), weights["positions"]
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "sampling_rate": whisper.SAMPLING_RATE,
        "stride": whisper.STRIDE,
        "first_frame": whisper.STRIDE,
        "longest": len(positions) * whisper.STRIDE,
        "layers": blocks + 2,
        "blocks": list(range(1, blocks + 1)),
        "width": positions.shape[1],
        "input": "waveform",
        "outputs": ["hidden_states"],
        "normalize": "none",
        "batch": 1,
    }


def describe_onnx(content: bytes, settings: Mapping, name: str, section: str) -> dict:
    """Return the description of any ONNX model with a waveform as input; it is run on noise of a second or two.

    Parameters
    ----------
    content
        The model.
    settings
        ``input``, ``output`` (a name or a list of names), ``stride``, ``normalize`` and ``batch``; all may be missing.
    name
        What the model is called in errors.
    section
        Where its settings are, for errors: ``encoders.wavlm``.

    Returns
    -------
    dict
        ``sha256`` of the model, ``sampling_rate`` in Hz, ``stride`` (samples per frame; None if the model pools the
        frames itself), ``first_frame`` (samples that the first frame needs), ``longest`` (samples of a clip that is
        not split), ``layers`` (their number), ``blocks`` (the layers that are outputs of transformer blocks),
        ``width``, names of ``input`` and ``outputs``, ``normalize`` and ``batch``.

    Raises
    ------
    UserError
        If the model cannot be run, or its input, outputs or stride are not recognised.
    """
    session = Session(content, name)
    source = _find_input(session, settings, section)
    outputs = _find_outputs(session, settings, section)
    noise = np.random.default_rng(0).standard_normal((1, 3 * _NOISE), dtype=np.float32)

    def run(samples: int) -> np.ndarray:
        return session.states(noise[:, :samples], source, outputs)

    _, layers, _, width = run(_NOISE).shape
    stride, first = _measure_frames(lambda samples: run(samples).shape[2], settings.get("stride"), name, section)
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "sampling_rate": SAMPLING_RATE,
        "stride": stride,
        "first_frame": first,
        "longest": LONGEST,
        "layers": layers,
        # Of several hidden states, the first is what goes into the first block.
        "blocks": list(range(min(1, layers - 1), layers)),
        "width": width,
        "input": source,
        "outputs": outputs,
        "normalize": settings.get("normalize", "none"),
        "batch": settings.get("batch", 1),
    }


def _find_input(session: Session, settings: Mapping, section: str) -> str:
    """Return the name of the waveform, which must be the only input and of any length."""
    nodes = {node.name: node for node in session.inputs}
    wanted = [settings["input"]] if "input" in settings else _INPUTS
    found = next((name for name in wanted if name in nodes), None)
    if found is None:
        raise UserError(
            f"{session.name}: no input is called {' or '.join(wanted)}; it has {_listed(session.inputs)}: name the "
            f"waveform in {section}.input"
        )
    node = nodes[found]
    if len(nodes) > 1:
        others = ", ".join(name for name in nodes if name != found)
        raise UserError(f"{session.name}: needs {others} beside {found}; export it with the waveform as only input")
    if node.type != "tensor(float)" or len(node.shape) != 2 or isinstance(node.shape[1], int):
        raise UserError(
            f"{session.name}: the input {_listed([node])} is not a float32 waveform of any length, batch × samples; "
            "export it with such an input"
        )
    if isinstance(node.shape[0], int) and (node.shape[0] > 1 or settings.get("batch", 1) > 1):
        advice = f"set {section}.batch to 1" if node.shape[0] == 1 else "export it for any number of clips"
        raise UserError(f"{session.name}: takes exactly {node.shape[0]} clips at once; {advice}")
    return found


def _find_outputs(session: Session, settings: Mapping, section: str) -> list[str]:
    """Return the names of the hidden states: those that settings name, several with numbers, or one."""
    names = [node.name for node in session.outputs]
    if "output" in settings:
        wanted = settings["output"]
        wanted = [wanted] if isinstance(wanted, str) else list(wanted)
        if set(wanted) <= set(names):
            return wanted
    else:
        wanted = _OUTPUTS
        numbers = {name: int(match[1]) for name in names if (match := _NUMBERED.fullmatch(name))}
        if len(numbers) > 1:
            return sorted(numbers, key=numbers.get)
        for name in (*_OUTPUTS, *numbers):
            if name in names:
                return [name]
    raise UserError(
        f"{session.name}: no output is called {' or '.join(wanted)}; it has {_listed(session.outputs)}: name the "
        f"hidden states in {section}.output"
    )


def _listed(nodes) -> str:
    return ", ".join(f"{node.name} ({' × '.join(map(str, node.shape))})" for node in nodes)


def _measure_frames(
    frames_of: Callable[[int], int], stride: int | None, name: str, section: str
) -> tuple[int | None, int]:
    """Return the stride, and how many samples the first frame needs.

    The number of frames of a clip is then ``1 + (samples - first) // stride``.
    """
    short, long = frames_of(_NOISE), frames_of(2 * _NOISE)
    if short == long == 1:  # pooled by the model
        return None, SAMPLING_RATE // 10
    if short >= long:
        raise UserError(f"{name}: gives {long} frames for any length; export it without padding")
    if stride is None:
        stride, rest = divmod(_NOISE, long - short)
        if rest:
            raise UserError(
                f"{name}: {long - short} frames for {_NOISE:,} samples are not a whole number of samples for each: set "
                f"{section}.stride to the samples per frame"
            )
    lowest, highest = _NOISE, _NOISE + stride  # the next frame comes after the one and up to the other
    if abs((long - short) * stride - _NOISE) >= stride or frames_of(highest) != short + 1:
        raise UserError(f"{name}: a frame is not {stride} samples long: set {section}.stride to the samples per frame")
    while highest - lowest > 1:
        middle = (lowest + highest) // 2
        lowest, highest = (lowest, middle) if frames_of(middle) > short else (middle, highest)
    return stride, max(highest - short * stride, 0)
