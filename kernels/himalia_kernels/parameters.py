"""Check the parameters given to a notebook before anything starts.

The cell tagged ``parameters`` is read with Python's own parser. papermill's ``inspect_notebook`` finds the
same names and annotations in a simple cell, but passes over a line with two equal signs (``x = dict(a=1)``).
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

CONTAINERS = {
    "list": list,
    "List": list,
    "tuple": list,
    "Tuple": list,
    "set": list,
    "Sequence": list,
    "Iterable": list,
    "dict": dict,
    "Dict": dict,
    "Mapping": dict,
}
TEXTS = {"str", "Path", "PurePath", "date", "datetime"}
NO_CELLS = "it has no list of cells (a notebook of format 4 has one)"
KNOWN = {"int", "float", "bool", "None", "NoneType", *CONTAINERS, *TEXTS}


class NotebookUnreadableError(ValueError):
    """The notebook is not a notebook, or its parameters cell is not Python."""


@dataclass(frozen=True)
class Problem:
    """A parameter that cannot be given as it is: ``message`` says why, ``hint`` what to do (may be empty)."""

    name: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else f"{self.message}."


@dataclass(frozen=True)
class Parameter:
    """A name of the parameters cell; ``annotation`` and ``default`` are parts of its syntax tree."""

    name: str
    annotation: ast.expr | None
    default: ast.expr | None


def check_parameters(notebook: Mapping[str, Any] | Path, given: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the parameters *given* to a notebook; an empty list when nothing is.

    Refused are names that the cell tagged ``parameters`` does not assign, and values that contradict a name's
    annotation (or ``# type:`` comment), or else the kind of its default: a default of 7 takes any number, of
    "a" any text, of None anything. Raises NotebookUnreadableError.
    """
    if not given:
        return []
    source = parameters_source(notebook)
    if source is None:
        message = "The notebook has no cell tagged 'parameters', so it takes none"
        hint = "Tag the cell that sets the defaults: property inspector (gear), Cell Tags, parameters."
        return [Problem(name, message, hint) for name in given]
    known = {parameter.name: parameter for parameter in _parameters(source)}
    problems = []
    for name, value in given.items():
        if name not in known:
            problems.append(_unknown(name, list(known)))
        elif (expected := _contradiction(known[name], value)) is not None:
            message = f"The parameter {name!r} is {expected}; the value given is {_kind(value)}: {_short(value)}"
            problems.append(Problem(name, message))
    return problems


def parameters_source(notebook: Mapping[str, Any] | Path) -> str | None:
    """The source of the first cell tagged ``parameters``, or None. A file that has not changed is not read again."""
    if not isinstance(notebook, Path):
        return _source_in(notebook)
    try:
        found = notebook.stat()
    except OSError:
        return _source_in(load_notebook(notebook))  # which tells what is wrong
    return _source_of(notebook, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))


@lru_cache(maxsize=4096)
def _source_of(notebook: Path, _state: tuple[int, ...]) -> str | None:
    return _source_in(load_notebook(notebook))


def _source_in(document: Mapping[str, Any]) -> str | None:
    cells = document.get("cells")
    if not isinstance(cells, list):
        raise NotebookUnreadableError(NO_CELLS)
    for cell in cells:
        if "parameters" in (cell.get("metadata", {}).get("tags") or ()):
            source = cell.get("source", "")
            return source if isinstance(source, str) else "".join(source)
    return None


def load_notebook(path: Path) -> Mapping[str, Any]:
    """The notebook's document, in format 4. Raises NotebookUnreadableError."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise NotebookUnreadableError(f"{path.name} cannot be read as a notebook: {error}") from error
    if not isinstance(document, dict):
        raise NotebookUnreadableError(f"{path.name} is not a notebook")
    if document.get("nbformat", 4) >= 4 and not isinstance(document.get("cells"), list):
        raise NotebookUnreadableError(NO_CELLS)
    if document.get("nbformat", 4) < 4:
        import nbformat

        converted: Mapping[str, Any] = nbformat.reads(json.dumps(document), as_version=4)
        return converted
    return document


def python_of(source: str) -> str:
    """*source* without IPython's own lines, which are no Python; comments in their place keep the line numbers."""
    return "\n".join("#" if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines())


def parse_cell(source: str) -> ast.Module:
    """The syntax tree of a parameters cell. Raises NotebookUnreadableError."""
    try:
        return ast.parse(python_of(source), type_comments=True)
    except (SyntaxError, ValueError) as error:
        where = f" (line {error.lineno})" if isinstance(error, SyntaxError) else ""
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise NotebookUnreadableError(f"the parameters cell is not valid Python: {reason}{where}") from error


@lru_cache(maxsize=4096)
def _parameters(source: str) -> tuple[Parameter, ...]:
    return tuple(found for statement in parse_cell(source).body for found in assigned_by(statement))


def assigned_by(statement: ast.stmt) -> Iterator[Parameter]:
    """The parameters that one statement of the cell sets."""
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        yield Parameter(statement.target.id, statement.annotation, statement.value)
    elif isinstance(statement, ast.Assign):
        annotation = _parse_type(statement.type_comment)
        for target in statement.targets:
            yield from _assigned(target, annotation, statement.value)


def _assigned(target: ast.expr, annotation: ast.expr | None, value: ast.expr) -> Iterator[Parameter]:
    if isinstance(target, ast.Name):
        yield Parameter(target.id, annotation, value)
    elif isinstance(target, ast.Tuple | ast.List):
        matched = isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts)
        for index, element in enumerate(target.elts):
            if isinstance(element, ast.Name):
                default = value.elts[index] if matched and isinstance(value, ast.Tuple | ast.List) else None
                yield Parameter(element.id, None, default)


def _parse_type(text: str | None) -> ast.expr | None:
    """The type that a text or a ``# type:`` comment begins with; a comment that is no type says nothing."""
    for part in (text, (text or "").partition(" ")[0]):
        try:
            return ast.parse(part, mode="eval").body if part else None
        except SyntaxError:
            continue
    return None


def _unknown(name: str, known: list[str]) -> Problem:
    message = f"The notebook has no parameter {name!r}"
    near = get_close_matches(name, known, n=1)
    if near:
        return Problem(name, message, f"Did you mean {near[0]!r}?")
    if not known:
        return Problem(name, message, "Its parameters cell assigns no names.")
    return Problem(name, message, f"It has {', '.join(sorted(known))}.")


def _contradiction(parameter: Parameter, value: Any) -> str | None:
    """What *parameter* should be, in words, if *value* contradicts it."""
    if parameter.annotation is not None:
        if _fits(parameter.annotation, value):
            return None
        return f"annotated {ast.unparse(parameter.annotation)}"
    try:
        default = ast.literal_eval(parameter.default) if parameter.default is not None else None
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None  # computed when the notebook runs
    return None if _alike(default, value) else f"{_kind(default)} by its default ({_short(default)})"


def _alike(default: Any, value: Any) -> bool:
    """Whether *value* is of the kind of *default*. Any number will do for a number; None is of every kind."""
    if default is None or value is None:
        return True
    return _kind(default) == _kind(value)


def _kind(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, int | float | complex):
        return "a number"
    if isinstance(value, str | bytes):
        return "text"
    if isinstance(value, list | tuple | set):
        return "a list"
    if isinstance(value, dict):
        return "a dictionary"
    return f"of type {type(value).__name__}"


def _fits(annotation: ast.expr, value: Any) -> bool:
    """Whether *value* may have the type *annotation*; a type that is not known here fits everything."""
    if isinstance(annotation, ast.Constant):
        if annotation.value is None:
            return value is None
        quoted = _parse_type(annotation.value) if isinstance(annotation.value, str) else None
        return quoted is None or _fits(quoted, value)
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return _fits(annotation.left, value) or _fits(annotation.right, value)
    if isinstance(annotation, ast.Subscript):
        return _fits_generic(_name(annotation.value), annotation.slice, value)
    return _fits_name(_name(annotation), value)


def _fits_name(name: str, value: Any) -> bool:
    if name not in KNOWN:
        return True
    if name in CONTAINERS:
        return isinstance(value, CONTAINERS[name] if CONTAINERS[name] is dict else list | tuple | set)
    if name in {"None", "NoneType"}:
        return value is None
    if name == "bool":
        return isinstance(value, bool)
    if name == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "float":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if name in {"date", "datetime"}:
        return isinstance(value, str) or type(value).__name__ in {"date", "datetime"}
    return isinstance(value, str)


def _fits_generic(name: str, inner: ast.expr, value: Any) -> bool:
    parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    if name == "Optional":
        return value is None or _fits(parts[0], value)
    if name == "Union":
        return any(_fits(part, value) for part in parts)
    if name == "Literal":
        options = [part.value for part in parts if isinstance(part, ast.Constant)]
        return any(type(option) is type(value) and option == value for option in options)
    if name in {"Annotated", "Final"}:
        return _fits(parts[0], value)
    if not _fits_name(name, value):
        return False
    if CONTAINERS.get(name) is dict and len(parts) == 2:
        return all(_fits(parts[0], key) and _fits(parts[1], item) for key, item in value.items())
    if name in {"tuple", "Tuple"}:
        return True  # its elements have types of their own, by position
    if CONTAINERS.get(name) is list:
        return all(_fits(parts[0], item) for item in value)
    return True


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
