"""Opening a bundle. It may come from anybody: what is damaged or hostile is refused in one line."""

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from serflow.bundle import BUNDLE_FORMAT, CARD
from serflow.bundle.front_matter import without_front_matter
from serflow.encoders.run import Encoder
from serflow.encoders.settings import DESCRIPTION
from serflow.features import KINDS, from_recordings
from serflow.inference.classifier import Classifier, Ensemble
from serflow.inference.onnx_model import Network, are_probabilities
from serflow.models.moments import Moments
from serflow.models.named import GROUPS, NONE, TRAINING
from serflow.runtime.errors import UserError
from serflow.storage import check_regular

_LARGEST = {"bundle.json": 2**24, CARD: 2**20, "moments.npy": 2**26}  # bytes
_LARGEST_MODEL = 2**31
_LARGEST_WHOLE = 2**32  # of all members of an ensemble together
_TEMPERATURE = {"type": "number", "minimum": 0.01, "maximum": 100}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_CONFIDENCE = {
    "type": "array",
    "maxItems": 1000,
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["threshold", "accuracy", "coverage"],
        "properties": dict.fromkeys(("threshold", "accuracy", "coverage"), _SHARE),
    },
}
_WHOLE = {"type": "integer", "minimum": 1}
_NAME = {"type": "string", "minLength": 1, "maxLength": 1000, "pattern": "^[^\ud800-\udfff]+\\Z"}
_PREPROCESSING = {
    "sampling_rate": {"type": "integer", "minimum": 4000, "maximum": 192_000},
    "target_length": {"type": "integer", "minimum": 1000, "maximum": 23_040_000},
    "longest": {**_WHOLE, "maximum": 2 * 23_040_000},
    "frame_size": {**_WHOLE, "maximum": 23_040_000},
    "remove_dc": {"type": "boolean"},
    "loudness": {
        "type": ["object", "null"],
        "required": ["measure", "target"],
        "properties": {
            "measure": {"enum": ["ebu-r128", "rms"]},
            "target": {"type": "number", "minimum": -70, "maximum": 0},
        },
    },
    **{name: rule for kind in KINDS.values() for name, rule in kind.settings.items()},
}
_OF_ONE_MODEL = ("features", "preprocessing")
_OF_ALL_MEMBERS = ("sampling_rate", "target_length", "longest", "remove_dc", "loudness")
# The format comes first, since another one explains all other differences. A bundle holds more than is read.
SCHEMA = {
    "type": "object",
    "required": ["bundle_format"],
    "properties": {
        "bundle_format": {"const": BUNDLE_FORMAT},
        **dict.fromkeys(("model", "corpus", "protocol"), _NAME),
        "leaky": {"type": "boolean"},
        "features": {"enum": [kind for kind in KINDS if from_recordings(kind)]},
        "classes": {"type": "array", "minItems": 2, "maxItems": 1000, "items": _NAME, "uniqueItems": True},
        "temperature": _TEMPERATURE,
        "standardize": {"enum": [NONE, TRAINING, *GROUPS]},
        "accuracy_by_confidence": _CONFIDENCE,
        "plain": {
            "type": "object",
            "required": ["temperature", "accuracy_by_confidence"],
            "properties": {"temperature": _TEMPERATURE, "accuracy_by_confidence": _CONFIDENCE},
        },
        "members": {
            "type": "array",
            "minItems": 1,
            "maxItems": 100,
            "items": {
                "type": "object",
                "required": ["weight"],
                "properties": {"weight": _SHARE},
            },
        },
        "preprocessing": {
            "type": "object",
            "required": list(_OF_ALL_MEMBERS),
            "properties": _PREPROCESSING,
        },
    },
}
SCHEMA["allOf"] = [
    {"required": sorted(SCHEMA["properties"].keys() - {"plain", "members", *_OF_ONE_MODEL})},
    {"anyOf": [{"required": ["members"]}, {"required": list(_OF_ONE_MODEL)}]},
    {"properties": {"encoder": DESCRIPTION, "shrinkage": {"type": "number", "minimum": 0, "maximum": 1000}}},
    *(
        {
            "if": {"required": ["features"], "properties": {"features": {"const": name}}},
            "then": {"required": ["encoder"]},
        }
        for name, kind in KINDS.items()
        if kind.encoder
    ),
]
_UNREADABLE = (OSError, ValueError, LookupError, ArithmeticError, RuntimeError, EOFError)
_UNREADABLE += (zipfile.BadZipFile, zlib.error, struct.error)


class Bundle(NamedTuple):
    """What a bundle holds: ``about`` is its ``bundle.json``, ``card`` the text of the model card in Markdown."""

    about: Mapping
    classifier: Classifier | Ensemble
    card: str


class _Content(NamedTuple):
    about: Mapping
    card: str
    files: Mapping[str, bytes]
    members: "list[_Content]"


def open_bundle(path: str | Path, threads: int = 1, encoder: str | Path | None = None) -> Bundle:
    """Return an opened bundle whose model has answered for a clip of noise.

    Parameters
    ----------
    path
        A file that ``bundle_model`` or ``bundle_ensemble`` wrote.
    threads
        Threads of the features and of the model.
    encoder
        ONNX file of the encoder, for a bundle without it; by default that in ``resources/encoders/``.

    Raises
    ------
    UserError
        If it is missing, damaged, or not a bundle that this version of serflow reads, or lacks its encoder.
    """
    try:
        check_regular(path)
        with zipfile.ZipFile(path) as archive:
            content = _read(archive)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; make a bundle with the target 'bundles'") from error
    except _UNREADABLE as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: not a serflow bundle ({reason}); make it with the target 'bundles'") from error
    about = content.about
    if content.members:
        members = [_classifier(member, threads, str(path), encoder) for member in content.members]
        classifier = Ensemble(members, [member["weight"] for member in about["members"]], about["temperature"])
    else:
        classifier = _classifier(content, threads, str(path), encoder)
    if fault := _fault(classifier, len(about["classes"])) or _fault(classifier.unadapted, len(about["classes"])):
        raise UserError(f"{path}: {fault}; make the bundle again")
    return Bundle(about, classifier, without_front_matter(content.card))


def _read(archive: zipfile.ZipFile, whole: bool = True) -> _Content:
    """Read what a bundle holds; ``whole`` is false of a member of an ensemble."""
    about, card = _member(archive, "bundle.json"), _member(archive, CARD).decode()
    about = json.loads(about, parse_constant=_refuse_constant)
    _check(about)
    if "members" not in about:
        wanted = {"encoder.onnx": "encoder.onnx" in archive.namelist(), "plain.onnx": "plain" in about}
        wanted["moments.npy"] = about["standardize"] in GROUPS
        names = [name for name, there in wanted.items() if there]
        return _Content(about, card, {name: _member(archive, name) for name in ("model.onnx", *names)}, [])
    if not whole:
        raise ValueError("an ensemble is a member of an ensemble")
    members, size = [], 0
    for number in range(len(about["members"])):
        with zipfile.ZipFile(io.BytesIO(_member(archive, f"member{number}.zip"))) as inner:
            size += sum(member.file_size for member in inner.infolist())
            if size > _LARGEST_WHOLE:
                raise ValueError(f"an ensemble of more than {_LARGEST_WHOLE >> 30} GB")
            members.append(_read(inner, whole=False))
    for key in _OF_ALL_MEMBERS:
        if any(member.about["preprocessing"][key] != members[0].about["preprocessing"][key] for member in members):
            raise ValueError(f"members differ in {key}")
    if any(member.about["classes"] != about["classes"] for member in members):
        raise ValueError("members differ in their classes")
    return _Content(about, card, {}, members)


def _classifier(content: _Content, threads: int, name: str, encoder_file: str | Path | None) -> Classifier:
    about, files = content.about, content.files
    described, encoder = about.get("encoder"), None
    if described:
        model = files.get("encoder.onnx") or _encoder_outside(described, name, encoder_file)
        encoder = Encoder(model, described)
    how = about["features"], about["preprocessing"], threads, encoder
    plain = None
    if "plain.onnx" in files:
        plain = Classifier(Network(files["plain.onnx"], threads, name), *how, temperature=about["plain"]["temperature"])
    return Classifier(
        Network(files["model.onnx"], threads, name),
        *how,
        moments=_moments(files["moments.npy"], name) if "moments.npy" in files else None,
        shrinkage=about.get("shrinkage", 1.0),
        temperature=about["temperature"],
        plain=plain,
    )


def _encoder_outside(described: Mapping, name: str, path: str | Path | None) -> bytes:
    """Read the encoder of a bundle that does not hold it."""
    path = Path(path or Path("resources/encoders", Path(described["name"]).name + ".onnx"))
    wanted = f"{name}: needs the encoder {described['name']}, sha256 {described['sha256']}"
    try:
        check_regular(path)
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{wanted}; name its ONNX file with --encoder ({path}: {error.strerror})") from error
    if hashlib.sha256(content).hexdigest() != described["sha256"]:
        raise UserError(f"{wanted}, and {path} is another file")
    return content


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    member = archive.getinfo(name)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is compressed in another way than zip's usual one")
    largest = _LARGEST.get(name, _LARGEST_MODEL)
    if member.file_size > largest:
        raise ValueError(f"{name} is larger than {largest >> 20} MB")
    return archive.read(member)


def _moments(content: bytes, name: str) -> Moments:
    """Read mean and standard deviation of the training clips."""
    try:
        values = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # NumPy passes on any error of Python's parser
        raise UserError(f"{name}: not a serflow bundle (moments.npy cannot be read: {error})") from error
    if values.dtype != np.float32 or values.ndim != 2 or len(values) != 2 or not np.isfinite(values).all():
        raise UserError(f"{name}: not a serflow bundle (moments.npy is not two rows of finite float32)")
    if not (values[1] > 0).all():
        raise UserError(f"{name}: not a serflow bundle (moments.npy has a standard deviation that is not positive)")
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


def _fault(classifier: Classifier | Ensemble, classes: int) -> str | None:
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
