"""What the code of cells says about names: which a cell needs from others, which it gives, which calls it makes."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

_TRANSPARENT = re.compile(r"%%(?:time|timeit|capture|prun|track|memit|stage)\b[^\n]*\n?")
"""Cell magics that run the cell as it stands."""
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
KNOWN = frozenset(dir(builtins)) | {"get_ipython", "display", "In", "Out", "_", "__", "___", "__name__", "exit", "quit"}
"""Names that a kernel has before any cell."""


@dataclass
class CellCode:
    """One code cell. *number* counts from 1; *count* is its execution count when it was saved.

    *needs*: names that it reads before it gives them a value; *late*: those that only its functions read, when they
    are called; *gives*: names that it binds, or whose object it changes; *texts*: its string literals.
    """

    number: int
    count: int | None
    source: str
    tree: ast.Module | None
    needs: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)
    gives: set[str] = field(default_factory=set)
    binds: set[str] = field(default_factory=set)
    imports: dict[str, str] = field(default_factory=dict)
    texts: set[str] = field(default_factory=set)

    @property
    def repeats(self) -> set[str]:
        """Names whose value depends on how often the cell was run: it reads them and gives them anew."""
        return {name for name in self.needs & self.gives if name not in self.imports}


def read_cell(number: int, count: int | None, source: str) -> CellCode:
    """A cell's code; what is no Python (another language, a cell magic) has no names."""
    tree = _parsed(source)
    found = CellCode(number, count, source, tree)
    if tree is not None:
        _Names(found).block(tree.body)
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.texts.add(node.value)
        found.needs -= KNOWN
        found.late -= KNOWN | found.binds
    return found


def slice_of(cells: Sequence[CellCode], last: CellCode) -> list[CellCode]:
    """The cells that *last* depends on by names, in the notebook's order from the top; it is one of them."""
    taken, waiting = {last.number}, [(last.number, name) for name in last.needs | last.late]
    by_number = {cell.number: cell for cell in cells}
    seen: set[tuple[int, str]] = set()
    while waiting:
        before, name = waiting.pop()
        if (before, name) in seen:
            continue
        seen.add((before, name))
        for number in range(before - 1, 0, -1):
            cell = by_number.get(number)
            if cell is None or name not in cell.gives:
                continue
            if number not in taken:
                taken.add(number)
                waiting += [(number, other) for other in cell.needs | cell.late]
            if name in cell.binds and name not in cell.needs:
                break  # what it was before is gone
    return [cell for cell in cells if cell.number in taken]


@dataclass(frozen=True)
class Call:
    """A call by its full name (`numpy.random.rand`; a method of an unknown object begins with a dot)."""

    name: str
    node: ast.Call
    cell: int
    inside: tuple[str, ...]
    """Names of the calls that it is directly an argument of, from the inner to the outer one."""

    def has(self, keyword: str) -> bool:
        """Whether a keyword is given, with something else than None."""
        return any(
            one.arg == keyword and not (isinstance(one.value, ast.Constant) and one.value.value is None)
            for one in self.node.keywords
        )

    def text(self, keyword: str) -> str | None:
        """The text that a keyword is given; None when that is none, or not known."""
        values = [one.value for one in self.node.keywords if one.arg == keyword]
        found = values[0].value if values and isinstance(values[0], ast.Constant) else None
        return found if isinstance(found, str) else None

    @property
    def bare(self) -> bool:
        """No argument, or none but None."""
        given = [*self.node.args, *(one.value for one in self.node.keywords)]
        return all(isinstance(one, ast.Constant) and one.value is None for one in given)


def calls(cells: Iterable[CellCode], aliases: dict[str, str]) -> Iterator[Call]:
    """All calls in cells, in their order."""
    for cell in cells:
        if cell.tree is not None:
            yield from _calls(cell.tree, cell.number, aliases, ())


def aliases_of(cells: Iterable[CellCode]) -> dict[str, str]:
    """What names stand for by the notebook's imports: `np` → `numpy`."""
    found: dict[str, str] = {}
    for cell in cells:
        found.update(cell.imports)
    return found


def dotted(node: ast.expr, aliases: dict[str, str]) -> str:
    """The full name of what is called; `.method` for a method of what an expression gives."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        first = aliases.get(node.id)
        if first is None and parts:
            return "." + parts[0]  # a method of some object
        return ".".join([first or node.id, *reversed(parts)])
    return "." + parts[0] if parts else ""


def _calls(node: ast.AST, number: int, aliases: dict[str, str], inside: tuple[str, ...]) -> Iterator[Call]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            name = dotted(child.func, aliases)
            yield Call(name, child, number, inside)
            yield from _calls(child, number, aliases, (name, *inside))
        else:
            yield from _calls(child, number, aliases, () if isinstance(child, ast.stmt) else inside)


def _parsed(source: str) -> ast.Module | None:
    source = _TRANSPARENT.sub("", source, count=1) if source.startswith("%%") else source
    if source.startswith("%%"):
        return None
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    from IPython.core.inputtransformer2 import TransformerManager  # only for cells with magics or shell commands

    try:
        return ast.parse(str(TransformerManager().transform_cell(source)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


class _Names(ast.NodeVisitor):
    """Walks a cell in the order in which Python runs it."""

    def __init__(self, cell: CellCode) -> None:
        self.cell = cell

    def block(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            self.visit(statement)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._need(node.id)
        elif isinstance(node.ctx, ast.Store):
            self._bind(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self._target(target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)
            self._target(node.target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        name = _root(node.target)
        if name is not None:
            self._need(name)
            self.cell.gives.add(name)
        if isinstance(node.target, ast.Name):
            self.cell.binds.add(node.target.id)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        self._target(node.target)
        self.block(node.body)
        self.block(node.orelse)

    visit_AsyncFor = visit_For  # noqa: N815 - ast's own names

    def visit_Expr(self, node: ast.Expr) -> None:
        self.visit(node.value)
        # a call for its own sake changes the object: model.fit(…), frame.sort_values(inplace=True), items.append(…)
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            name = _root(call.func)
            if name is not None and name not in self.cell.imports and name not in KNOWN:
                self.cell.gives.add(name)

    def visit_Import(self, node: ast.Import) -> None:
        for one in node.names:
            name = one.asname or one.name.partition(".")[0]
            self.cell.imports[name] = one.name if one.asname else name
            self._bind(name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for one in node.names:
            self.cell.imports[one.asname or one.name] = f"{node.module or ''}.{one.name}"
            self._bind(one.asname or one.name)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for expression in [*node.decorator_list, *node.args.defaults, *(one for one in node.args.kw_defaults if one)]:
            self.visit(expression)
        self.cell.late |= _free(node)
        self._bind(node.name)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.cell.late |= _free(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for expression in [*node.decorator_list, *node.bases, *(one.value for one in node.keywords)]:
            self.visit(expression)
        self.cell.late |= _free(node)
        self._bind(node.name)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.type is not None:
            self.visit(node.type)
        if node.name:
            self._bind(node.name)
        self.block(node.body)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        for name in _free(node):
            self._need(name)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension  # noqa: N815

    def _target(self, target: ast.expr) -> None:
        if isinstance(target, ast.Subscript | ast.Attribute):
            self.visit(target.value)
            if isinstance(target, ast.Subscript):
                self.visit(target.slice)
            name = _root(target)
            if name is not None:
                self.cell.gives.add(name)
        elif isinstance(target, ast.Tuple | ast.List):
            for one in target.elts:
                self._target(one)
        elif isinstance(target, ast.Starred):
            self._target(target.value)
        else:
            self.visit(target)

    def _need(self, name: str) -> None:
        if name not in self.cell.binds:
            self.cell.needs.add(name)

    def _bind(self, name: str) -> None:
        self.cell.binds.add(name)
        self.cell.gives.add(name)


def _root(node: ast.expr) -> str | None:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def _free(node: ast.AST) -> set[str]:
    """Names that a function, class or comprehension reads and does not bind itself; a little generous."""
    read: set[str] = set()
    bound: set[str] = set()
    for child in ast.walk(node):
        if isinstance(child, ast.Name):
            (read if isinstance(child.ctx, ast.Load) else bound).add(child.id)
        elif isinstance(child, ast.arg):
            bound.add(child.arg)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and child is not node:
            bound.add(child.name)
        elif isinstance(child, ast.Import | ast.ImportFrom):
            bound.update(one.asname or one.name.partition(".")[0] for one in child.names)
        elif isinstance(child, ast.Global):
            read.update(child.names)
    return read - bound
