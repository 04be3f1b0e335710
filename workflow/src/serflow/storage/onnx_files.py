"""Checking and loading an ONNX model, which may come from anybody."""

import os
from collections.abc import Iterator

from serflow.runtime.device import missing_gpu, wanted_device
from serflow.runtime.errors import UserError

_GPU = "CUDAExecutionProvider"


def load_onnx(content: bytes, name: str, *, threads: int = 1, memory_pattern: bool = True, gpu: bool = True):
    """Load a model with onnxruntime.

    Parameters
    ----------
    content
        An ONNX model.
    name
        What the model is called in errors.
    threads
        Number of threads of one computation.
    memory_pattern
        Whether onnxruntime plans its memory once for each shape of input.
    gpu
        Whether the model may run on a GPU; if not, whatever device is asked for, it runs on the CPU.

    Returns
    -------
    onnxruntime.InferenceSession

    Raises
    ------
    UserError
        If onnxruntime cannot load the bytes, the model refers to other files, or there is no GPU though one is asked
        for.
    """
    # It would keep a log of its use in the user's home, for its maker; it reads this when it is imported.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    check_self_contained(content, name)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    options.enable_mem_pattern = memory_pattern
    # Bytes can be an ONNX model, which was checked, and a model in onnxruntime's own format at the same time.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    device, providers = wanted_device() if gpu else "cpu", ["CPUExecutionProvider"]
    if device != "cpu" and _GPU in onnxruntime.get_available_providers():
        providers.insert(0, _GPU)
    try:
        session = onnxruntime.InferenceSession(content, options, providers=providers)
    except Exception as error:  # onnxruntime's errors have no common class
        raise onnx_error(name, "cannot be loaded", error) from error
    if device == "gpu" and _GPU not in session.get_providers():
        raise UserError(missing_gpu("onnxruntime", "onnxruntime-gpu"))
    return session


def onnx_error(name: str, what: str, error: Exception) -> UserError:
    """Return the error of a model that onnxruntime refuses, in one line."""
    return UserError(f"{name}: the model {what} ({' '.join(str(error).split())[:200]})")


def check_self_contained(content: bytes, name: str) -> None:
    """Raise if a model refers to files: onnxruntime would read whatever file of this machine it names.

    Parameters
    ----------
    content
        An ONNX model. Nothing but these bytes is read.
    name
        What the model is called in errors.

    Raises
    ------
    UserError
        If a tensor lies outside the model, or the bytes are not an ONNX model.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise UserError(f"{name}: not an ONNX model, or damaged") from error
    if any(tensor.data_location or tensor.external_data for tensor in _tensors(model, onnx.TensorProto)):
        raise UserError(f"{name}: keeps tensors in other files, which serflow does not read; export it as one file")


def _tensors(message, kind: type) -> Iterator:
    """Find the tensors at any depth: in initializers, attributes, subgraphs, functions and training steps."""
    if isinstance(message, kind):
        yield message
    for field, value in message.ListFields():
        if field.message_type:
            for below in value if field.is_repeated else [value]:
                yield from _tensors(below, kind)
