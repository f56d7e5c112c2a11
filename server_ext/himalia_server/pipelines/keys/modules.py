"""Modules of the project that a notebook imports, directly or through others."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath
from typing import Protocol


class Files(Protocol):
    """The digests of files by their paths."""

    def get(self, path: str, /) -> str | None:
        """The digest of the file at *path*; None: there is none."""


def local_modules(
    names: Iterable[str],
    files: Files,
    roots: Iterable[str],
    imports: Callable[[str, str], Iterable[str]],
) -> dict[str, str]:
    """Path → digest of the modules among *files* (path → digest) of these *names*, and those that they import.

    *roots*: folders that are imported from, relative to the project, in their order; "" is the project's own.
    *imports*: the names that the file of a digest imports, as a part of a package, given by name ("": of none).
    A name that is looked up while the code runs (`importlib`) is not seen here; what was opened then is known
    afterwards.
    """
    prefixes = [f"{root}/" if root else "" for root in roots]
    found: dict[str, str] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        for prefix in prefixes:
            places = list(_files_of(name, prefix, files))
            for path, digest in places:
                if path in found:
                    continue
                found[path] = digest
                waiting += imports(digest, _package(path, prefix))
            if places:
                break
    return dict(sorted(found.items()))


def imported(tree: ast.Module, package: str = "") -> Iterator[str]:
    """Names that a module of *package* imports; with `from a import b` also `a.b`, which may be a module."""
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


def _files_of(name: str, prefix: str, files: Files) -> Iterator[tuple[str, str]]:
    """What importing *name* runs below one root, with its digest: each package on the way, and the module itself."""
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        base = prefix + "/".join(parts[:length])
        for path in (f"{base}/__init__.py", f"{base}.py"):
            digest = files.get(path)
            if digest is not None:
                yield path, digest
                break


def _package(path: str, prefix: str) -> str:
    inner = PurePosixPath(path.removeprefix(prefix))
    return ".".join(inner.parent.parts)
