"""Settings files in YAML, and limits on what they may contain."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from serflow.runtime.errors import UserError

MAX_VALUES = 100_000
MAX_LENGTH = 4000  # bytes of a text: of a path in Linux 4,095, with the name of a file in that folder
_MAX_NAME = 255  # bytes of a file name in Linux
_MAX_NUMBER = 10**18
_SHOWN = 200  # characters of a key or value in a message


def read_file(path: Path) -> dict:
    """Read a settings file. A key that is given twice, of which YAML would silently use the last, is an error.

    Raises
    ------
    UserError
        With the line.
    """
    import yaml

    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise UserError(f"{path}: must contain settings, one key and value each, such as 'shards: 4'")
        for key in _repeated_keys(node):
            raise UserError(f"{path}, line {key.start_mark.line + 1}: {key.value} is given twice; remove one of them")
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{path}{line}: not valid YAML ({error.problem}); check indentation and brackets") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid YAML ({str(error).splitlines()[0]})") from error


def _repeated_keys(root) -> Iterator:
    """Yield the nodes of keys that occur twice in one mapping. A node that aliases repeat is visited once."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen or not isinstance(node.value, list):
            continue
        seen.add(id(node))
        keys = set()
        for item in node.value:
            key, value = item if isinstance(item, tuple) else (None, item)
            if key is not None and isinstance(key.value, str):
                if (key.tag, key.value) in keys:
                    yield key
                keys.add((key.tag, key.value))
            waiting.append(value)


def check_size(config: Mapping) -> None:
    """Refuse settings that would exhaust memory or time: references to themselves, repeated aliases, huge values.

    Raises
    ------
    UserError
        With the first key whose value is too large.
    """
    waiting, count = [((), config)], 0
    while waiting:
        path, value = waiting.pop()
        count += 1
        key = ".".join(str(part)[:_SHOWN] for part in path)
        if count > MAX_VALUES or len(path) > 100:
            section = str(path[0])[:_SHOWN]
            raise UserError(
                f"config: {section} has more than {MAX_VALUES} values or refers to itself; check its aliases"
            )
        if isinstance(value, str):
            _check_text(key, value)
        if isinstance(value, int) and abs(value) > _MAX_NUMBER:
            raise UserError(f"config: {key} is a number of more than 18 digits")
        below = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
        waiting += [((*path, name), inner) for name, inner in below]


def _check_text(key: str, text: str) -> None:
    try:
        content = os.fsencode(text)
    except UnicodeEncodeError as error:
        raise UserError(f"config: {key} contains half a character (a lone surrogate); remove it") from error
    if len(content) > MAX_LENGTH:
        raise UserError(f"config: {key} has {len(content)} bytes; at most {MAX_LENGTH} are allowed")
    if max(map(len, content.split(b"/"))) > _MAX_NAME:
        raise UserError(f"config: {key} is too long for the name of a file: at most {_MAX_NAME} bytes")
    if "\0" in text:
        raise UserError(f"config: {key} contains a zero byte; remove it")
