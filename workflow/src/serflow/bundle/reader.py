"""Opening a bundle, and asking its model without TensorFlow."""

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from serflow.runtime.errors import UserError

BUNDLE_FORMAT = 2
# Probabilities of the converted model are those of the original within this.
TOLERANCE = 1e-4
_LARGEST = 2**30
_NEEDED = ("bundle_format", "classes", "features", "preprocessing", "temperature", "model", "corpus", "protocol")


class Network:
    """An ONNX model.

    Parameters
    ----------
    content
        The model. It is read from memory, so that it cannot refer to other files.
    threads
        Threads of a computation.
    """

    def __init__(self, content: bytes, threads: int = 1):
        # It would keep a log of its use in the user's home, for its maker; it reads this when it is imported.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Give float32 of shape (clips, classes) for float32 of shape (clips, …)."""
        return self._session.run(None, {self._input: features})[0]


class Bundle(NamedTuple):
    """What a bundle holds: ``about`` is its ``bundle.json``."""

    about: Mapping
    network: Network
    card: str

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of the probabilities."""
        return self.about["classes"]


def open_bundle(path: str | Path, threads: int = 1) -> Bundle:
    """Open a bundle.

    Parameters
    ----------
    path
        A file that ``bundle_model`` wrote.
    threads
        Threads of the model.

    Raises
    ------
    UserError
        If it is missing, damaged, or none.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            about = json.loads(_member(archive, "bundle.json"))
            if about.get("bundle_format") != BUNDLE_FORMAT or any(key not in about for key in _NEEDED):
                raise UserError(f"{path}: not a bundle that this version of serflow reads; make it again")
            model, card = _member(archive, "model.onnx"), _member(archive, "card.md").decode()
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; make a bundle with the target 'bundles'") from error
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: not a serflow bundle ({error}); make it with the target 'bundles'") from error
    try:
        return Bundle(about, Network(model, threads), card)
    except ImportError:
        raise
    except Exception as error:  # onnxruntime's own, which have no common class
        raise UserError(f"{path}: holds no model that can be loaded ({str(error).splitlines()[0]})") from error


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _LARGEST:
        raise ValueError(f"{name} is larger than {_LARGEST >> 20} MB")
    return archive.read(name)
