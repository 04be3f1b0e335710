"""JSON with a checksum, and text."""

import json
from collections.abc import Mapping
from pathlib import Path

from serflow.storage.checksums import Damaged, digits
from serflow.storage.files import readable, replacing

_KEY = "checksum"
_EMPTY = "0" * 16
_END = b'"\n}\n'  # what follows the digits, which are the last value of the file


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: Mapping) -> None:
    """Write ``content`` as indented JSON, with a checksum as its last key.

    Raises
    ------
    ValueError
        If it contains NaN or infinity.
    """
    text = json.dumps({**content, _KEY: _EMPTY}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    body = text.encode()[: -len(_EMPTY) - len(_END)]
    with replacing(path) as partial:
        partial.write_bytes(body + digits(body) + _END)


def read_json(path: str | Path) -> dict:
    """Read a file of :func:`write_json`.

    Raises
    ------
    UserError
        If the file is not valid JSON, or its checksum does not match.
    """
    with readable(path, "not valid JSON"):
        content = Path(path).read_bytes()
        found = content[-len(_EMPTY) - len(_END) :]
        if found != digits(content[: -len(found)]) + _END:
            raise Damaged("its checksum is missing or does not match: the file has changed since it was written")
        read = json.loads(content)
    del read[_KEY]
    return read
