"""Modules of the project that a notebook imports, directly or through others."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePosixPath


def local_modules(
    trees: Iterable[ast.Module],
    files: Mapping[str, str],
    roots: Iterable[str],
    parse: Callable[[str], ast.Module | None],
) -> dict[str, str]:
    """Path → digest of the modules among *files* (path → digest) that *trees* import, and those import.

    *roots*: folders that are imported from, relative to the project, in their order; "" is the project's own.
    A name that is looked up while the code runs (`importlib`) is not seen here; what was opened then is known
    afterwards.
    """
    prefixes = [f"{root}/" if root else "" for root in roots]
    found: dict[str, str] = {}
    waiting = [name for tree in trees for name in _imported(tree, "")]
    while waiting:
        name = waiting.pop()
        for prefix in prefixes:
            paths = list(_files_of(name, prefix, files))
            for path in paths:
                if path in found:
                    continue
                found[path] = files[path]
                tree = parse(files[path])
                if tree is not None:
                    waiting += _imported(tree, _package(path, prefix))
            if paths:
                break
    return dict(sorted(found.items()))


def _files_of(name: str, prefix: str, files: Mapping[str, str]) -> Iterator[str]:
    """What importing *name* runs below one root: each package on the way, and the module itself."""
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        base = prefix + "/".join(parts[:length])
        for path in (f"{base}/__init__.py", f"{base}.py"):
            if path in files:
                yield path
                break


def _package(path: str, prefix: str) -> str:
    inner = PurePosixPath(path.removeprefix(prefix))
    return ".".join(inner.parent.parts)


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    """Names that a module imports; with `from a import b` also `a.b`, which may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".") if package else []
                above = above[: len(above) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            if base:
                yield base
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names if alias.name != "*")
