"""Command-line options from the signature and the docstring of a function.

Positional-only parameters are positional arguments, all others are options. Annotations give the types: ``Path``,
``str``, ``int``, ``float``, ``bool`` (a flag), ``Mapping`` (JSON), a ``Sequence`` of one of these, and unions. Options
with ``None`` in their union, or with a default, may be left out. The section "Parameters" of a numpydoc docstring
gives the help texts.
"""

import argparse
import functools
import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from serflow.runtime.errors import UserError, did_you_mean

_AT_LEAST_ONE = ("threads", "processes", "shards")  # other integers are at least 0


class Parser(argparse.ArgumentParser):
    """A parser for the arguments of ``function``; ``name`` is shown in usage and messages."""

    def __init__(self, name: str, function: Callable):
        super().__init__(prog=name, description=summary(function.__doc__), allow_abbrev=False)
        self._function, helps = function, _help_texts(inspect.cleandoc(function.__doc__ or ""))
        for parameter in inspect.signature(function).parameters.values():
            if reader := _reader(parameter):
                positional = parameter.kind is parameter.POSITIONAL_ONLY
                flag = parameter.name if positional else f"--{parameter.name.replace('_', '-')}"
                self.add_argument(flag, help=helps.get(parameter.name), **reader)

    def error(self, message: str) -> typing.NoReturn:
        """Raise a ``UserError`` in place of printing the usage."""
        if unknown := re.match(r"unrecognized arguments: (--[\w-]+)", message):
            message += did_you_mean(unknown[1], self._option_string_actions)
        raise UserError(f"{message}; see {self.prog} --help")

    def call(self, arguments: Mapping) -> None:
        """Call the function with parsed arguments."""
        parameters, options = inspect.signature(self._function).parameters.values(), dict(arguments)
        first = [options.pop(one.name) for one in parameters if one.kind is one.POSITIONAL_ONLY]
        self._function(*first, **options)


def summary(docstring: str | None) -> str:
    """Return the first line of a docstring without markup."""
    return _plain((docstring or "").strip().partition("\n")[0])


def _plain(text: str) -> str:
    return re.sub(r":\w+:`~?([^`]*)`|``|`", r"\1", text)


def _help_texts(doc: str) -> dict[str, str]:
    """Return the description of each parameter in a numpydoc docstring."""
    sections = re.split(r"^(\w[\w ]*)\n-{3,}\n", doc, flags=re.MULTILINE)
    body = dict(zip(sections[1::2], sections[2::2], strict=True)).get("Parameters", "")
    entries = re.findall(r"^(\S.*)\n((?:[ \t]+\S.*\n?|\n)*)", body, re.MULTILINE)
    texts = [(names.partition(" : ")[0].split(", "), _plain(" ".join(text.split()))) for names, text in entries]
    return {name: text.replace("%", "%%") for names, text in texts for name in names}


def _reader(parameter: inspect.Parameter) -> dict:
    """Return how argparse reads a parameter; nothing for a callback."""
    positional = parameter.kind is parameter.POSITIONAL_ONLY
    members = _members(parameter.annotation)
    kinds, options = [kind for kind in members if kind is not types.NoneType], {}
    if typing.get_origin(kinds[0]) is Sequence:
        kinds, options["nargs"] = _members(*typing.get_args(kinds[0])), "+" if positional else "*"
    kinds = [typing.get_origin(kind) or kind for kind in kinds]
    if kinds == [bool]:
        return {"action": "store_true"}
    if not set(kinds) <= set(_KINDS):
        return {}
    options["type"] = functools.partial(_read, kinds, 1 if parameter.name in _AT_LEAST_ONE else 0)
    if positional:
        return options
    options["metavar"] = "|".join(shown for kind, (shown, _) in _KINDS.items() if kind in kinds)
    if parameter.default is parameter.empty:
        return options | {"required": types.NoneType not in members}
    return options | {"default": parameter.default}


def _members(annotation) -> tuple:
    """Return the members of a union, or the one type."""
    return typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)


def _object(text: str) -> dict:
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


# How a type is shown and read, in the order in which the members of a union are tried.
_KINDS = {Mapping: ("JSON", _object), int: ("N", int), float: ("X", float), Path: ("PATH", Path), str: ("TEXT", str)}


def _read(kinds: Sequence[type], least: int, text: str):
    """Read an argument as the first of some types that it fits; integers are at least ``least``."""
    for kind, (shown, read) in _KINDS.items():
        if kind in kinds:
            try:
                value = read(text)
            except ValueError as error:
                problem = f"not JSON ({error})" if shown == "JSON" else f"{text[:100]!r} is not a number"
                continue
            if kind is int and value < least:
                raise argparse.ArgumentTypeError(f"{text[:100]} is less than {least}")
            return value
    raise argparse.ArgumentTypeError(problem)
