"""Opening a bundle. It may come from anybody: what is damaged or hostile is refused in one line."""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from serflow.bundle import BUNDLE_FORMAT
from serflow.encoders.run import Encoder
from serflow.encoders.settings import DESCRIPTION
from serflow.features import KINDS
from serflow.inference.label import Classifier
from serflow.inference.onnx_model import Network, are_probabilities
from serflow.models.moments import Moments
from serflow.models.named import GROUPS, NONE, TRAINING
from serflow.runtime.errors import UserError
from serflow.storage import check_regular

_ALWAYS = ("bundle.json", "card.md", "model.onnx")
_LARGEST = {
    "bundle.json": 2**24,
    "card.md": 2**20,
    "model.onnx": 2**30,
    "encoder.onnx": 2**31,
    "moments.npy": 2**26,
}  # bytes
_WHOLE = {"type": "integer", "minimum": 1}
_NAME = {"type": "string", "minLength": 1, "maxLength": 1000, "pattern": "^[^\ud800-\udfff]+\\Z"}
_PREPROCESSING = {
    "sampling_rate": {"type": "integer", "minimum": 4000, "maximum": 192_000},
    "target_length": {"type": "integer", "minimum": 1000, "maximum": 23_040_000},
    "longest": {**_WHOLE, "maximum": 2 * 23_040_000},
    "frame_size": {**_WHOLE, "maximum": 23_040_000},
    **{name: rule for kind in KINDS.values() for name, rule in kind.settings.items()},
}
# The format comes first, since another one explains all other differences. A bundle holds more than is read.
SCHEMA = {
    "type": "object",
    "required": ["bundle_format"],
    "properties": {
        "bundle_format": {"const": BUNDLE_FORMAT},
        **dict.fromkeys(("model", "corpus", "protocol"), _NAME),
        "leaky": {"type": "boolean"},
        "features": {"enum": list(KINDS)},
        "classes": {"type": "array", "minItems": 2, "maxItems": 1000, "items": _NAME, "uniqueItems": True},
        "temperature": {"type": "number", "minimum": 0.01, "maximum": 100},
        "standardize": {"enum": [NONE, TRAINING, *GROUPS]},
        "preprocessing": {
            "type": "object",
            "required": ["sampling_rate", "target_length", "longest"],
            "properties": _PREPROCESSING,
        },
    },
}
SCHEMA["allOf"] = [
    {"required": list(SCHEMA["properties"])},
    {"properties": {"encoder": DESCRIPTION, "shrinkage": {"type": "number", "minimum": 0, "maximum": 1000}}},
    *(
        {"if": {"properties": {"features": {"const": name}}}, "then": {"required": ["encoder"]}}
        for name, kind in KINDS.items()
        if kind.encoder
    ),
]
_UNREADABLE = (OSError, ValueError, LookupError, ArithmeticError, RuntimeError, EOFError)
_UNREADABLE += (zipfile.BadZipFile, zlib.error, struct.error)


class Bundle(NamedTuple):
    """What a bundle holds: ``about`` is its ``bundle.json``, ``card`` the model card in Markdown."""

    about: Mapping
    classifier: Classifier
    card: str


def open_bundle(path: str | Path, threads: int = 1) -> Bundle:
    """Return an opened bundle whose model has answered for a clip of noise.

    Parameters
    ----------
    path
        A file that ``bundle_model`` wrote.
    threads
        Threads of the features and of the model.

    Raises
    ------
    UserError
        If it is missing, damaged, or not a bundle that this version of serflow reads.
    """
    try:
        check_regular(path)
        with zipfile.ZipFile(path) as archive:
            about, card, model = (_member(archive, name) for name in _ALWAYS)
            about, card = json.loads(about, parse_constant=_refuse_constant), card.decode()
            _check(about)
            described, adapts = about.get("encoder"), about["standardize"] in GROUPS
            encoder = _member(archive, "encoder.onnx") if described else None
            moments = _moments(_member(archive, "moments.npy")) if adapts else None
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; make a bundle with the target 'bundles'") from error
    except _UNREADABLE as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: not a serflow bundle ({reason}); make it with the target 'bundles'") from error
    network = Network(model, threads, str(path))
    encoder = Encoder(encoder, described) if described else None
    more = encoder, moments, about.get("shrinkage", 1.0)
    classifier = Classifier(network, about["features"], about["preprocessing"], threads, *more)
    if fault := _fault(classifier, len(about["classes"])):
        raise UserError(f"{path}: {fault}; make the bundle again")
    return Bundle(about, classifier, card)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    member = archive.getinfo(name)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is compressed in another way than zip's usual one")
    if member.file_size > _LARGEST[name]:
        raise ValueError(f"{name} is larger than {_LARGEST[name] >> 20} MB")
    return archive.read(member)


def _moments(content: bytes) -> Moments:
    """Read mean and standard deviation of the training clips."""
    try:
        values = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # NumPy passes on any error of Python's parser
        raise ValueError(f"moments.npy cannot be read: {error}") from error
    if values.dtype != np.float32 or values.ndim != 2 or len(values) != 2 or not np.isfinite(values).all():
        raise ValueError("moments.npy is not two rows of finite float32")
    if not (values[1] > 0).all():
        raise ValueError("moments.npy has a standard deviation that is not positive")
    return Moments(*values)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"bundle.json holds {name}, which is not JSON")


def _check(about) -> None:
    import jsonschema

    # The first error: to look for all of them, as best_match does, can take minutes in a hostile file.
    error = next(jsonschema.Draft202012Validator(SCHEMA).iter_errors(about), None)
    if error and list(error.path) == ["bundle_format"]:
        raise ValueError(f"of format {str(about['bundle_format'])[:20]}; this version of serflow reads {BUNDLE_FORMAT}")
    if error:
        raise ValueError(f"bundle.json: {error.json_path[2:] or 'content'}: {error.message[:200]}")


def _fault(classifier: Classifier, classes: int) -> str | None:
    """Ask the model about a clip of noise: preparation, input, output and classes must agree."""
    length = classifier.preprocessing["target_length"]
    clip = np.random.default_rng(0).uniform(-0.1, 0.1, (1, length)).astype(np.float32)
    try:
        (row,) = classifier.probabilities(clip)
    except UserError:
        raise
    except Exception as error:  # settings that contradict each other fail anywhere
        return f"its preprocessing does not work ({error!r:.200})"
    if len(row) != classes:
        return f"has {classes} classes, but its model {len(row)}"
    return None if are_probabilities(row) else "the model answers with numbers that are not probabilities"
