"""What a notebook's parameters cell says of itself: for forms, and for a trap that papermill documents."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from himalia_kernels.parameters import assigned_by, parameters_source, parse_cell, python_of

TYPE_COMMENT = re.compile(r"^type:\s*\S+\s*(#\s*)?")
WORDS = {
    "int": "whole number",
    "float": "number",
    "bool": "truth value",
    "str": "text",
    "Path": "path",
    "date": "date",
    "datetime": "date and time",
    "list": "list",
    "tuple": "list",
    "set": "list",
    "dict": "dictionary",
}
ANYTHING = "anything"
NOT_LITERAL = object()


@dataclass(frozen=True)
class Description:
    """A parameter as a form shows it.

    ``type`` is in words ("whole number", "list of numbers"), ``annotation`` as the cell writes it, ``default`` Python
    source ("" where there is none), ``help`` the comment behind it. ``literal``: the default is a plain value, which
    is then ``value``. ``choices`` are those of a Literal.
    """

    name: str
    type: str
    annotation: str | None
    default: str
    help: str
    literal: bool
    value: Any
    choices: tuple[Any, ...]


@dataclass(frozen=True)
class DerivedValue:
    """A name of the parameters cell that keeps what follows from the default of another one."""

    name: str
    depends_on: str
    line: int  # of the parameters cell, from 1
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}"


def describe_parameters(notebook: Mapping[str, Any] | Path) -> list[Description]:
    """The parameters of a notebook in the order of its cell; none where no cell is tagged ``parameters``.

    The same names, and for simple lines the same defaults and help, as papermill's ``inspect_notebook``. Raises
    NotebookUnreadableError.
    """
    source = parameters_source(notebook)
    if source is None:
        return []
    text = python_of(source)
    comments = _comments(text)
    found: dict[str, Description] = {}
    for statement in parse_cell(source).body:
        said = comments.get(statement.end_lineno or 0, "")
        for parameter in assigned_by(statement):
            default = (ast.get_source_segment(text, parameter.default) or "") if parameter.default is not None else ""
            value = _literal(parameter.default)
            literal = value is not NOT_LITERAL
            words, choices = _words(parameter.annotation, value)
            found.pop(parameter.name, None)  # the last one holds
            found[parameter.name] = Description(
                name=parameter.name,
                type=words,
                annotation=ast.unparse(parameter.annotation) if parameter.annotation is not None else None,
                default=default,
                help=TYPE_COMMENT.sub("", said),
                literal=literal,
                value=value if literal else None,
                choices=choices,
            )
    return list(found.values())


def derived_values(notebook: Mapping[str, Any] | Path, given: Mapping[str, Any]) -> list[DerivedValue]:
    """Where the parameters cell computes a name from a parameter that is *given* another value than its default.

    papermill sets the given values in a cell after that one, so that such a name still has the old value. Raises
    NotebookUnreadableError.
    """
    source = parameters_source(notebook) if given else None
    if source is None or _is_plain(source):
        return []
    finder = _Derived(given)
    finder.block(parse_cell(source).body, frozenset())
    return finder.found


@lru_cache(maxsize=4096)
def _is_plain(source: str) -> bool:
    """Whether a cell computes nothing from what it sets itself, as most do."""
    nodes = list(ast.walk(parse_cell(source)))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    if any(isinstance(node, ast.AugAssign) for node in nodes):
        return False
    read = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    return read.isdisjoint(node.id for node in names if not isinstance(node.ctx, ast.Load))


class _Derived:
    """Follows the cell from top to bottom: which names hold something that came from a changed parameter."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given
        self._stale: dict[str, str] = {}  # name: the given parameter whose default it came from
        self.found: list[DerivedValue] = []

    def block(self, statements: list[ast.stmt], conditions: frozenset[str]) -> None:
        """Follow *statements*, which run or do not run by what *conditions* names."""
        for statement in statements:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue  # its body looks names up when it is called
            read = conditions | frozenset(_read(statement))
            parameters = list(assigned_by(statement))
            for name in _targets(statement):
                default = next((one.default for one in parameters if one.name == name), None)
                self._assign(statement.lineno, name, default, read)
            for body in _bodies(statement):
                self.block(body, read)

    def _assign(self, line: int, name: str, default: ast.expr | None, read: frozenset[str]) -> None:
        causes = sorted(self._stale[one] for one in read if one in self._stale and one != name)
        if name in self._given:
            if not _same(_literal(default), self._given[name]):
                self._stale[name] = name
            else:
                self._stale.pop(name, None)
            return
        if not causes:
            self._stale.pop(name, None)
            return
        cause = causes[0]
        self._stale[name] = cause
        message = (
            f"Line {line} of the parameters cell computes {name!r} from {cause!r}; the value given for {cause!r} is "
            f"set after that cell, so {name!r} keeps what follows from the default"
        )
        hint = f"Move the line that computes {name!r} into the next cell."
        self.found.append(DerivedValue(name, cause, line, message, hint))


def _targets(statement: ast.stmt) -> list[str]:
    """The names that a statement sets by itself, not in its body."""
    if isinstance(statement, ast.Assign):
        places = statement.targets
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign | ast.For | ast.AsyncFor):
        if isinstance(statement, ast.AnnAssign) and statement.value is None:
            return []
        places = [statement.target]
    else:
        places = [item.optional_vars for item in getattr(statement, "items", []) if item.optional_vars is not None]
    return [node.id for place in places for node in ast.walk(place) if isinstance(node, ast.Name)]


def _bodies(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    for field in ("body", "orelse", "finalbody"):
        yield getattr(statement, field, [])
    for handler in (*getattr(statement, "handlers", []), *getattr(statement, "cases", [])):
        yield handler.body


def _read(statement: ast.stmt) -> Iterator[str]:
    """The names whose values a statement takes when it runs, without those of its body."""
    if isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
        yield statement.target.id
    for field, value in ast.iter_fields(statement):
        if field in {"body", "orelse", "finalbody", "handlers", "cases", "annotation"}:
            continue
        for node in value if isinstance(value, list) else [value]:
            if isinstance(node, ast.AST):
                yield from _loaded(node)


def _loaded(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        if isinstance(node.ctx, ast.Load):
            yield node.id
        return
    if isinstance(node, ast.Lambda):
        for default in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
            yield from _loaded(default)
        return  # its body looks names up when it is called
    for child in ast.iter_child_nodes(node):
        yield from _loaded(child)


def _literal(node: ast.expr | None) -> Any:
    """The value of a literal, or NOT_LITERAL."""
    if node is None:
        return NOT_LITERAL
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return NOT_LITERAL


def _same(default: Any, value: Any) -> bool:
    """Whether the notebook would compute the same from both; a default that is not known is another value."""
    if default is NOT_LITERAL or isinstance(default, bool) != isinstance(value, bool):
        return False
    if isinstance(default, tuple):
        default = list(default)
    return bool(default == (list(value) if isinstance(value, tuple) else value))


def _comments(text: str) -> dict[int, str]:
    """The comment that ends each line, without its sign."""
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and token.line[: token.start[1]].strip():
            found[token.start[0]] = token.string.lstrip("#").strip()
    return found


def _words(annotation: ast.expr | None, value: Any) -> tuple[str, tuple[Any, ...]]:
    """A type in words, and the choices that it leaves."""
    if annotation is not None:
        return _annotated(annotation)
    if value is NOT_LITERAL or value is None:
        return ANYTHING, ()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number", ()  # a default of 7 takes 7.5 as well
    return WORDS.get("str" if isinstance(value, str | bytes) else type(value).__name__, ANYTHING), ()


def _annotated(node: ast.expr) -> tuple[str, tuple[Any, ...]]:
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            try:
                return _annotated(ast.parse(node.value, mode="eval").body)
            except SyntaxError:
                return ANYTHING, ()
        return ("nothing" if node.value is None else ANYTHING), ()
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _either([node.left, node.right])
    if isinstance(node, ast.Subscript):
        outer = _name(node.value)
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if outer == "Literal":
            choices = tuple(part.value for part in parts if isinstance(part, ast.Constant))
            return f"one of {', '.join(map(repr, choices))}", choices
        if outer == "Optional":
            return _either([parts[0], ast.Constant(None)])
        if outer == "Union":
            return _either(parts)
        if outer in {"Annotated", "Final"}:
            return _annotated(parts[0])
        words = WORDS.get(outer.lower() if outer.lower() in WORDS else outer, ANYTHING)
        inner = _annotated(parts[0])[0] if words == "list" else ANYTHING
        plural = f" of {inner}s" if inner in {"number", "whole number", "text", "path", "date", "truth value"} else ""
        return words + plural, ()
    return WORDS.get(_name(node), ANYTHING), ()


def _either(parts: list[ast.expr]) -> tuple[str, tuple[Any, ...]]:
    """The words of a union; choices only where nothing else fits."""
    found = [_annotated(part) for part in parts]
    words = list(dict.fromkeys(word for word, _ in found))
    choices = tuple(choice for _, some in found for choice in some)
    return " or ".join(words), choices if all(some or word == "nothing" for word, some in found) else ()


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
