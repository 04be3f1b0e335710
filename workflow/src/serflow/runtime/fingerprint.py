"""What a rule's code is: a hash over a module and every serflow module that it imports.

Snakemake notices an edit in a script that a rule names, but none in a module that a command imports.
Rules carry ``params: code=fingerprint("serflow.features.mel")`` instead, so that editing a function
reruns exactly what runs it, and editing a comment, a docstring or the layout reruns nothing. A module that
reads files beside it, such as templates, names them, or their folder, in a tuple ``DATA_FILES``; they count as well.
"""

import ast
import collections
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def fingerprint(*modules: str) -> str:
    """Hash the syntax trees and data files of ``modules`` and of what they import from serflow, at any depth.

    Parameters
    ----------
    *modules
        Dotted names, such as ``"serflow.features.mel"``.

    Returns
    -------
    str
        16 hexadecimal digits.

    Raises
    ------
    ValueError
        If a module, or a data file that one names, does not exist.
    """
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        if _source(name) is None:
            raise ValueError(f"no module {name} in {ROOT}")
        seen.add(name)
        waiting += _parsed(name)[1]
    digest = hashlib.sha256()
    for name in sorted(seen):
        digest.update(f"{name}\0{_parsed(name)[0]}\0".encode())
        for path in _data_files(name):
            digest.update(f"{path.name}\0{digest_of(path)}\0".encode())
    return digest.hexdigest()[:16]


def digest_of(*paths: str | Path) -> str:
    """Hash the content of small files that a user may replace by others with an earlier date."""
    digests = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths]
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]


@functools.cache
def _source(name: str) -> Path | None:
    path = ROOT.joinpath(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _data_files(name: str) -> list[Path]:
    """Give the files that a module names in ``DATA_FILES``, those of a folder in sorted order."""
    found = []
    for beside in _parsed(name)[2]:
        path = _source(name).parent / beside
        if not path.exists():
            raise ValueError(f"{name}: DATA_FILES names {beside}, which is not there")
        found += sorted(below for below in path.rglob("*") if below.is_file()) if path.is_dir() else [path]
    return found


@functools.cache
def _parsed(name: str) -> tuple[str, list[str], tuple[str, ...]]:
    """Give a hash of the tree without docstrings, the serflow modules that it imports, and its ``DATA_FILES``."""
    tree = ast.parse(_source(name).read_bytes())
    imported = []
    data_files = ()
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names if alias.name.split(".")[0] == "serflow"]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{name}: relative imports are not followed; write serflow.…")
            if node.module.split(".")[0] == "serflow":
                below = [f"{node.module}.{alias.name}" for alias in node.names]
                submodules = [module for module in below if _source(module)]
                imported += submodules
                if len(submodules) < len(below):
                    imported.append(node.module)
        elif isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in node.targets] == ["DATA_FILES"]:
            data_files = ast.literal_eval(node.value)
        elif isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), imported, data_files


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Walk a tree without its expressions, which are most of it and neither import nor bear docstrings."""
    waiting: collections.deque[ast.AST] = collections.deque([tree])
    while waiting:
        node = waiting.popleft()
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += getattr(node, block, ())
        yield node
