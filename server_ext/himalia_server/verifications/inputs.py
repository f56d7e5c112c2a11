"""Which files of a project a notebook reads, as far as its code and its errors tell."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from .causes import CellCode

LONGEST = 400
"""Characters of a text that may be a path."""
MOST = 2000
"""Files that one pattern may stand for."""
_LEFT_OUT = {".git", ".himalia", ".ipynb_checkpoints", "__pycache__", ".venv", "node_modules"}
_PATHS = re.compile(
    r"^(?:Path|PurePath|PosixPath|join|listdir|scandir|walk|glob|iglob|rglob|iterdir|read_\w+|scan_\w+|open\w*|load\w*|"
    r"imread|ImageFolder|dataset|Dataset|from_\w+)$"
)
_GLOB = re.compile(r"[*?\[]")
_QUOTED = re.compile(
    r"'([^'\n]{1,400})'|\"([^\"\n]{1,400})\"|(?:^|[\s:=(])((?:[\w.~-]*/)*[\w-][\w.-]*\.\w{1,10})(?=$|[\s,;:)])"
)


def inputs_of(folder: Path, notebook: str, cells: Iterable[CellCode]) -> list[str]:
    """Paths, relative to the project's *folder*, of files and folders in it that the code of *notebook* names.

    A file by any text that is its path from the notebook's folder or from the project's. A folder only where the text
    has a slash, or goes into something that takes paths: "data" may also be the name of a column.
    """
    found: dict[str, None] = {}
    for cell in cells:
        if cell.tree is None:
            continue
        for text, as_path in _texts(cell.tree):
            if _GLOB.search(text) and not (re.search(r"\w", text) and (as_path or "/" in text)):
                continue
            for path in _named(folder, notebook, text):
                if (folder / path).is_dir() and not as_path and "/" not in text:
                    continue
                found[path] = None
    return _without_inner(found)


def missing_in(folder: Path, notebook: str, error: str, work: Sequence[str]) -> list[str]:
    """Paths of project files that an error's text names; *work*: where the notebook was executed."""
    found: dict[str, None] = {}
    for match in _QUOTED.finditer(error):
        text = next(group for group in match.groups() if group)
        for place in work:
            if text.startswith(f"{place}/"):
                text = text.removeprefix(f"{place}/")
        for path in _named(folder, notebook, text):
            found[path] = None
    return _without_inner(found)


def _texts(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """String literals, and whether each goes into something that takes paths."""
    for node in ast.walk(tree):
        inner: list[tuple[ast.expr, bool]] = []
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            takes = bool(_PATHS.match(name))
            inner = [(one, takes) for one in [*node.args, *(keyword.value for keyword in node.keywords)]]
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            inner = [(node.left, True), (node.right, True)]
        for one, takes in inner:
            if takes and (text := _literal(one)):
                yield text, True
        if isinstance(node, ast.Constant | ast.JoinedStr) and (text := _literal(node)):
            yield text, False


def _literal(node: ast.expr) -> str:
    """A text; of one with holes, the beginning up to the last slash before the first hole."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr) and node.values and isinstance(node.values[0], ast.Constant):
        head, slash, _ = str(node.values[0].value).rpartition("/")
        return head + slash
    return ""


def _named(folder: Path, notebook: str, text: str) -> list[str]:
    """What exists in the project under a text that may be a path or a pattern."""
    if not text.strip() or len(text) > LONGEST or "\n" in text or "\0" in text or "://" in text:
        return []
    for start in dict.fromkeys([PurePosixPath(notebook).parent.as_posix(), "."]):
        path = text
        if text.startswith("/"):
            if not text.startswith(f"{folder}/"):
                return []
            path = os.path.relpath(text, folder / start)
        relative = os.path.normpath(os.path.join(start, path))  # noqa: PTH118 - may be anything
        if relative == "." or relative.startswith("..") or set(PurePosixPath(relative).parts) & _LEFT_OUT:
            continue
        if _GLOB.search(relative):
            if matched := _matched(folder, relative):
                return matched
        elif _usable(folder, relative, notebook):
            return [relative]
    return []


def _matched(folder: Path, pattern: str) -> list[str]:
    try:
        names = [
            path.relative_to(folder).as_posix() for path, _ in zip(folder.glob(pattern), range(MOST), strict=False)
        ]
    except (ValueError, OSError, NotImplementedError, IndexError):
        return []
    return sorted(name for name in names if _usable(folder, name, ""))


def _usable(folder: Path, relative: str, notebook: str) -> bool:
    place = folder / relative
    try:
        if not place.exists() or not place.resolve().is_relative_to(folder.resolve()):
            return False
    except (OSError, ValueError):
        return False  # a text that can be no path here
    if relative == notebook or PurePosixPath(notebook).is_relative_to(relative):
        return False  # the notebook itself, and the folders around it
    return place.is_dir() or place.is_file()


def _without_inner(paths: Iterable[str]) -> list[str]:
    """Without what lies in a folder that is there already."""
    kept: list[str] = []
    for path in sorted(paths):
        if not any(within(path, other) for other in kept):
            kept.append(path)
    return kept


def within(path: str, folder: str) -> bool:
    """Whether a path is *folder*, or lies in it."""
    return PurePosixPath(path).is_relative_to(folder)


def error_text(outputs: Iterable[Any]) -> str:
    """What the error among outputs says."""
    return "\n".join(
        f"{output.get('ename')}: {output.get('evalue')}" for output in outputs if output.get("output_type") == "error"
    )
