"""What differs between two versions of a component: files, and what is public in its modules."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from .models import ApiChange, Comparison, FileChange

DIFF_LINES = 2000
"""Of one file that are shown."""
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Public:
    """A public function, class or method. `rest`: everything but signature and docstring, to see that it changed."""

    signature: str
    doc: str
    rest: str
    arguments: ast.arguments | None


def compare(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> Comparison:
    """Compare two versions, each as files by their relative path."""
    before, after, faults = dict[str, Public](), dict[str, Public](), list[str]()
    for files, found, which in ((old, before, "older"), (new, after, "newer")):
        for path in sorted(files):
            if path.endswith(".py"):
                try:
                    found.update(public(files[path].decode(), module_name(path)))
                except (SyntaxError, ValueError, RecursionError) as error:
                    faults.append(f"{path} of the {which} version cannot be read as Python: {error}")
    api = [change for name in sorted(before | after) if (change := _change(name, before.get(name), after.get(name)))]
    changed = [
        _file_change(path, old.get(path), new.get(path))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]
    return Comparison(api=api, files=changed, breaking=any(change.breaking for change in api), faults=faults)


def module_name(path: str) -> str:
    """`a/b.py` → `a.b`, `a/__init__.py` → `a`."""
    parts = PurePosixPath(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def public(text: str, module: str) -> dict[str, Public]:
    """The public functions, classes and methods of a module's text, by their dotted name.

    Raises:
        SyntaxError, ValueError: it is no Python.
    """
    found: dict[str, Public] = {}

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.If | ast.Try):
                visit(node.body, prefix)
            if not isinstance(node, _Function | ast.ClassDef):
                continue
            if node.name.startswith("_") and node.name not in ("__init__", "__call__"):
                continue
            name = f"{prefix}.{node.name}"
            found[name] = _described(node)
            if isinstance(node, ast.ClassDef):
                visit(node.body, name)

    visit(ast.parse(text).body, module)
    return found


def _described(node: _Function | ast.ClassDef) -> Public:
    doc = ast.get_docstring(node) or ""
    body = node.body[1:] if doc else node.body
    rest = "\n".join(ast.dump(part) for part in [*node.decorator_list, *body])
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(ast.unparse(base) for base in [*node.bases, *(keyword.value for keyword in node.keywords)])
        # its methods are told one by one
        rest = "\n".join(ast.dump(part) for part in body if not isinstance(part, _Function | ast.ClassDef))
        return Public(f"class {node.name}({bases})" if bases else f"class {node.name}", doc, rest, None)
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return Public(f"{word} {node.name}({ast.unparse(node.args)}){returns}", doc, rest, node.args)


def _change(name: str, old: Public | None, new: Public | None) -> ApiChange | None:
    if old == new:
        return None
    if old is None or new is None:
        kind = "added" if old is None else "removed"
        return ApiChange(
            name=name,
            kinds=[kind],
            before=old.signature if old else None,
            after=new.signature if new else None,
            breaking=new is None,
        )
    differing = {
        "signature": old.signature != new.signature,
        "docstring": old.doc != new.doc,
        "code": old.rest != new.rest,
    }
    kinds = [kind for kind, differs in differing.items() if differs]
    if not kinds:
        return None
    breaking = differing["signature"] and not _still_callable(old.arguments, new.arguments)
    return ApiChange(name=name, kinds=kinds, before=old.signature, after=new.signature, breaking=breaking)


def _still_callable(old: ast.arguments | None, new: ast.arguments | None) -> bool:
    """Whether every call that the old signature took is taken by the new one, as far as names and defaults tell."""
    if old is None or new is None:
        return False
    before, after = _parameters(old), _parameters(new)
    if [name for name, *_ in after[: len(before)]] != [name for name, *_ in before]:
        return False
    if any(mine and not theirs for (_, mine), (_, theirs) in zip(before, after, strict=False)):
        return False
    own = {arg.arg: value is not None for arg, value in zip(new.kwonlyargs, new.kw_defaults, strict=True)}
    others = {arg.arg: value is not None for arg, value in zip(old.kwonlyargs, old.kw_defaults, strict=True)}
    by_name = own | dict(after)
    if any(name not in by_name or (default and not by_name[name]) for name, default in others.items()):
        return False
    fresh = [*after[len(before) :], *own.items()]
    if not all(default or name in others for name, default in fresh):
        return False
    if (old.vararg and not new.vararg) or (old.kwarg and not new.kwarg):
        return False
    return len(new.posonlyargs) <= len(old.posonlyargs)


def _parameters(arguments: ast.arguments) -> list[tuple[str, bool]]:
    """Names of positional parameters, and whether each has a default."""
    names = [arg.arg for arg in [*arguments.posonlyargs, *arguments.args]]
    first = len(names) - len(arguments.defaults)
    return [(name, place >= first) for place, name in enumerate(names)]


def _file_change(path: str, old: bytes | None, new: bytes | None) -> FileChange:
    change = "added" if old is None else "removed" if new is None else "changed"
    try:
        before, after = ((data or b"").decode().splitlines() for data in (old, new))
    except UnicodeDecodeError:
        return FileChange(path=path, change=change, diff=None, cut=False)
    lines = list(difflib.unified_diff(before, after, f"a/{path}", f"b/{path}", lineterm=""))
    return FileChange(path=path, change=change, diff="\n".join(lines[:DIFF_LINES]), cut=len(lines) > DIFF_LINES)
