"""Plug-ins: files in a folder of the package, found by their name.

A corpus format, a feature kind, a frame feature, a model architecture, a protocol and a robustness condition are one
file each. Such a file describes itself by constants and does its work in functions. The constants are read from the
source without running it, so that Snakemake starts as fast with any number of plug-ins and heavy imports wait until
they are needed.
"""

import ast
import functools
import importlib
import importlib.util
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from serflow.runtime.errors import UserError, did_you_mean

REQUIRED = object()  # the default of a constant that every plug-in of a kind must have


class Plugin:
    """One plug-in: its constants are attributes in lower case.

    Attributes
    ----------
    name : str
        Name of the file without its suffix, with hyphens for kinds that use them.
    module : str
        Dotted name of its module.
    functions : frozenset of str
        Names of its top-level functions.
    """

    def __init__(self, name: str, module: str, functions: frozenset[str], constants: Mapping[str, Any]):
        self.name, self.module, self.functions = name, module, functions
        for constant, value in constants.items():
            setattr(self, constant.lower(), value)

    def load(self) -> ModuleType:
        """Import the plug-in and return its module."""
        return importlib.import_module(self.module)


class Plugins(Mapping[str, Plugin]):
    """The plug-ins of one kind, by name. A file is read when its plug-in is asked for.

    Parameters
    ----------
    package
        Dotted name of the package whose files are the plug-ins.
    what
        What one of them is, for messages, for example ``"model architecture"``.
    function
        The function that makes a file a plug-in; files without it are helpers.
    constants
        Name of each constant → its default, or :data:`REQUIRED`.
    hyphens
        Whether names have hyphens where file names have underscores.
    """

    def __init__(
        self, package: str, *, what: str, function: str, constants: Mapping[str, Any] = {}, hyphens: bool = False
    ):
        self.package, self.what, self._function, self._constants = package, what, function, dict(constants)
        self._hyphens, self._plugins = hyphens, {}

    @functools.cached_property
    def _folder(self) -> Path:
        return Path(importlib.util.find_spec(self.package).submodule_search_locations[0])

    @functools.cached_property
    def _names(self) -> dict[str, Path]:
        paths = sorted(self._folder.glob("*.py"))
        marker = re.compile(rf"^def {self._function}\(", re.MULTILINE)
        return {
            path.stem.replace("_", "-") if self._hyphens else path.stem: path
            for path in paths
            if path.stem != "__init__" and marker.search(path.read_text(encoding="utf-8", errors="replace"))
        }

    def __getitem__(self, name: str) -> Plugin:
        if name not in self._plugins:
            self._plugins[name] = self._read(name, self._names[name])
        return self._plugins[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def find(self, name: str, where: str) -> Plugin:
        """Return a plug-in by name.

        Parameters
        ----------
        name
            Its name.
        where
            The setting that names it, for the message.

        Raises
        ------
        UserError
            If there is none of that name, or its file is not a valid plug-in.
        """
        if name in self._names:
            return self[name]
        path = self._folder / f"{name.replace('-', '_')}.py"
        if path in self._folder.glob("*.py"):
            raise UserError(f"{path}: has no function {self._function}(), so it is no {self.what}")
        raise UserError(f"{where}: unknown {self.what} {name!r}; known: {', '.join(self)}{did_you_mean(name, self)}")

    def _read(self, name: str, path: Path) -> Plugin:
        try:
            tree = ast.parse(path.read_bytes())
        except SyntaxError as error:
            raise UserError(f"{path}, line {error.lineno}: not valid Python ({error.msg})") from error
        found = {}
        for node in tree.body:
            if not isinstance(node, ast.Assign | ast.AnnAssign):
                continue
            constant = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
            if constant in self._constants:
                try:
                    found[constant] = ast.literal_eval(node.value)
                except (TypeError, ValueError) as error:
                    raise UserError(
                        f"{path}: {constant} must be a literal; it is read without running the file"
                    ) from error
        missing = [key for key, default in self._constants.items() if default is REQUIRED and key not in found]
        if missing:
            raise UserError(f"{path}: the constant {missing[0]} is missing, which every {self.what} has")
        return Plugin(
            name=name,
            module=f"{self.package}.{path.stem}",
            functions=frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef)),
            constants=self._constants | found,
        )
