"""What serflow checks of an ONNX model, which may come from anybody, before onnxruntime reads it."""

from collections.abc import Iterator

from serflow.runtime.errors import UserError


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
