"""One digest for the project's own code that a stage runs, so that a report can say which figures older code made.

It is made of syntax trees: comments, docstrings and formatting do not count, nor does the folder that the code lies in.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = ("simlm.workflow", "simlm.scales", "simlm.costs")
"""What does not decide what a stage makes from its settings: how stages are run, what they will cost, and the values of
settings, which are in a stage's identifier."""


class Module(NamedTuple):
    """The digest of a module's code, and the names that it imports, some of which are no modules."""

    digest: str
    imports: frozenset[str]


@cache
def sources_digest(modules: tuple[str, ...], root: Path = ROOT) -> str:
    """Return one sha256 for the code of modules and of all that they import, directly or not, at any depth.

    Modules that are not below `root` (libraries) and those `LEFT_OUT` do not count.
    """
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = None if name in found or name.startswith(LEFT_OUT) else _file(name, root)
        if path is not None:
            module = _read(path)
            found[name] = module.digest
            waiting += [*module.imports, *_packages(name)]
    lines = "".join(f"{name} {digest}\n" for name, digest in sorted(found.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def _file(name: str, root: Path) -> Path | None:
    """Return the file of a module of the project, or None."""
    path = root.joinpath(*name.split("."))
    return next((one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file()), None)


def _packages(name: str) -> Iterator[str]:
    """Yield the packages that a module lies in: Python runs their `__init__` first."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


@cache
def _read(path: Path) -> Module:
    tree = ast.parse(path.read_bytes())
    return Module(hashlib.sha256(_text(tree).encode()).hexdigest(), frozenset(_imports(tree)))


def _imports(node: ast.AST) -> Iterator[str]:
    """Yield what is imported at any place of a module; what only type checkers import is never run."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        yield from (one.name for one in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{one.name}" for one in node.names)  # a module of that package, or a name in it
    for child in ast.iter_child_nodes(node):
        yield from _imports(child)


def _text(node: object) -> str:
    """Return a syntax tree as text that is the same for all versions of Python, which add fields now and then.

    A string that stands alone is a docstring, of a module, a class, a function or a constant.
    """
    if isinstance(node, ast.AST):
        fields = [
            f"{name}={_text(value)}" for name, value in ast.iter_fields(node) if value is not None and value != []
        ]
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        kept = [one for one in node if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
        return f"[{','.join(map(_text, kept))}]"
    return repr(node)
