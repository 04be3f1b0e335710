"""Fingerprints of code: a hash of a function and of everything in serflow that it uses.

Snakemake notices an edit in a script that a rule names, but not in a module that a command imports. Rules therefore
carry ``params: code=…``: editing a function reruns what runs it. Comments, docstrings, layout, annotations, messages of
errors and what is printed do not count, nor do functions and constants that are not used. The packages of
:data:`PLUMBING` do not count either; all fingerprints contain :data:`FORMAT_VERSION` instead.
"""

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PLUMBING = ("serflow.runtime", "serflow.storage", "serflow.cli")
FORMAT_VERSION = 2  # raise this when the bytes of a file that the storage layer writes change
_SHOWN = ("print", "tell")  # functions whose calls only show something


class _Module(NamedTuple):
    """Top-level names of a module → their statements, imported names → module and name there, and data files."""

    defined: dict[str, list[ast.stmt]]
    imported: dict[str, tuple[str, str | None]]
    always: list[ast.stmt]
    data_files: tuple[str, ...]


def fingerprint(*used: str) -> str:
    """Hash functions or modules with everything that they use.

    Parameters
    ----------
    *used
        ``"serflow.features.mel:compute"`` for a function or ``"serflow.features.mel"`` for all of a module.

    Returns
    -------
    str
        16 hexadecimal digits.

    Raises
    ------
    ValueError
        If a module or a name does not exist.
    """
    digests: dict[str, str] = {}
    waiting = [tuple(name.split(":")) if ":" in name else (name, None) for name in used]
    while waiting:
        module, name = waiting.pop()
        key = f"{module}:{name or ''}"
        if key in digests or module.startswith(PLUMBING):
            continue
        digests[key], more = _digest(module, name)
        waiting += more
    digest = hashlib.sha256(str(FORMAT_VERSION).encode())
    for key, value in sorted(digests.items()):
        digest.update(f"{key}\0{value}\0".encode())
    return digest.hexdigest()[:16]


def digest_of(*paths: str | Path) -> str:
    """Hash the content of small files that a user may replace by others with an earlier date."""
    digests = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths]
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]


@functools.cache
def _digest(module: str, name: str | None) -> tuple[str, list[tuple[str, str | None]]]:
    """Return the hash of one definition, or of all of a module, and what it uses of serflow."""
    known = _module(module)
    if name is None:
        statements = [statement for group in known.defined.values() for statement in group]
    elif name in known.defined:
        statements = known.defined[name]
    elif name in known.imported:
        return "", [known.imported[name]]
    elif _source(f"{module}.{name}"):
        return "", [(f"{module}.{name}", None)]
    else:
        raise ValueError(f"{module} has no {name}")
    text, names = [], {}
    for statement in (*statements, *known.always):
        _describe(statement, text, names)
    used = []
    for found, attributes in names.items():
        if found in known.defined:
            used.append((module, found))
        elif found in known.imported:
            target, inner = known.imported[found]
            if inner is None and None not in attributes:  # a module, of which some names are used
                used += [(target, attribute) for attribute in attributes]
            else:
                used.append((target, inner))
    for path in _data_files(module):
        text.append(f"{path.name}\0{digest_of(path)}")
    return hashlib.sha256("\0".join(text).encode()).hexdigest(), used


def _describe(node: ast.AST, text: list[str], names: dict[str, set[str | None]]) -> None:
    """Write a syntax tree as text, without what does not change results, and collect the names that it uses.

    ``names`` maps each name to the attributes that are taken of it; None among them if it is used by itself.
    """
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        text.append(f"raise {ast.unparse(node.exc.func)}")
        return
    if isinstance(node, ast.Expr) and (
        isinstance(node.value, ast.Constant)
        or (isinstance(node.value, ast.Call) and ast.unparse(node.value.func).rpartition(".")[2] in _SHOWN)
    ):
        return
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        text.append(f"{node.value.id}.{node.attr}")
        names.setdefault(node.value.id, set()).add(node.attr)
        return
    if isinstance(node, ast.Name):
        text.append(node.id)
        names.setdefault(node.id, set()).add(None)
        return
    text.append(type(node).__name__)
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "ctx", "type_comment", "kind"):
            continue
        if isinstance(value, ast.AST):
            _describe(value, text, names)
        elif isinstance(value, list):
            text.append("[")
            for item in value:
                if isinstance(item, ast.AST):
                    _describe(item, text, names)
                else:
                    text.append(repr(item))
            text.append("]")
        else:
            text.append(repr(value))


@functools.cache
def _source(name: str) -> Path | None:
    path = ROOT.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


@functools.cache
def _module(name: str) -> _Module:
    source = _source(name)
    if source is None:
        raise ValueError(f"no module {name} in {ROOT}")
    tree, known = ast.parse(source.read_bytes()), _Module({}, {}, [], ())
    for node in _imports(tree):
        relative = isinstance(node, ast.ImportFrom) and node.level
        if relative or (isinstance(node, ast.Import) and any(alias.name.startswith("serflow") for alias in node.names)):
            raise ValueError(f"{name}: this import is not followed; write: from serflow.… import …")
        if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "serflow":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                target = (inner, None) if _source(inner) else (node.module, alias.name)
                known.imported[alias.asname or alias.name] = target
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            known.defined.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in (inner.id for outer in targets for inner in ast.walk(outer) if isinstance(inner, ast.Name)):
                if target == "DATA_FILES":
                    known = known._replace(data_files=ast.literal_eval(node.value))
                known.defined.setdefault(target, []).append(node)
        elif not isinstance(node, ast.Import | ast.ImportFrom):
            known.always.append(node)
    return known


def _imports(tree: ast.Module) -> Iterator[ast.AST]:
    """Walk the statements of a tree; expressions, which are most of it, contain no imports."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += getattr(node, block, ())
        yield node


def _data_files(module: str) -> list[Path]:
    """Return the files that a module names in ``DATA_FILES``, such as templates; those of a folder in sorted order."""
    found = []
    for beside in _module(module).data_files:
        path = _source(module).parent / beside
        if not path.exists():
            raise ValueError(f"{module}: DATA_FILES names {beside}, which is not there")
        found += sorted(below for below in path.rglob("*") if below.is_file()) if path.is_dir() else [path]
    return found
