"""Two notebooks, cell by cell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .declared import SKIPPED, VOLATILE, DeclarationFault, declared, tags
from .outputs import Comparing
from .results import CellComparison, NotebookComparison, Part, Status, Tolerance, failing

_INJECTED = "injected-parameters"
_PIP = re.compile(r"\s*(?:[%!]\s?(?:pip|conda|mamba|uv|python -m pip)\b.*|#.*)?", re.M)
DEFAULT = Tolerance()


def compare_notebooks(
    saved: Mapping[str, Any],
    executed: Mapping[str, Any],
    tolerance: Tolerance = DEFAULT,
    *,
    places: Sequence[str] = (),
) -> NotebookComparison:
    """Compare the outputs that a notebook was saved with to those of its execution. Both as nbformat 4 documents.

    *tolerance* is what holds where the notebook declares nothing; *places* are folders in which it was and is
    executed: they count as the same. Execution counts, metadata and the order of MIME types do not matter.

    Raises:
        DeclarationFault: the notebook declares a tolerance that cannot be meant.
    """
    whole = declared(saved.get("metadata", {}), tolerance)
    cells = []
    for number, (index, cell, twin) in enumerate(_twins(saved, executed), 1):
        metadata = cell.get("metadata", {})
        own = declared(metadata, whole, f"the metadata of cell {index + 1}")
        found = CellComparison(
            index=index,
            number=number,
            cell_id=cell.get("id"),
            source=_source(cell),
            status=Status.IDENTICAL,
            saved_count=cell.get("execution_count"),
            saved_outputs=list(cell.get("outputs", [])),
            executed_outputs=list(twin.get("outputs", [])) if twin else [],
        )
        _judge(found, twin, tags(metadata), own, places)
        cells.append(found)
    return NotebookComparison(cells, whole)


def has_saved_outputs(notebook: Mapping[str, Any]) -> bool:
    """Whether any code cell was run and saved."""
    return any(cell.get("outputs") or cell.get("execution_count") for _, cell in code_cells(notebook))


def code_cells(notebook: Mapping[str, Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Code cells and their places among all cells, from 0."""
    for index, cell in enumerate(notebook.get("cells", [])):
        if cell.get("cell_type") == "code":
            yield index, cell


def _judge(
    found: CellComparison,
    twin: Mapping[str, Any] | None,
    marks: set[str],
    tolerance: Tolerance,
    places: Sequence[str],
) -> None:
    """Fill in a cell's status and what differs."""
    if not found.source.strip():
        return
    if SKIPPED in marks:
        found.status, found.notes = Status.NOT_COMPARABLE, [f"it is tagged {SKIPPED}, and was not executed"]
    elif twin is None or not _ran(twin):
        found.status = Status.NOT_RUN
        found.executed_outputs = []
    elif VOLATILE in marks and not (failing(found.executed_outputs) and not failing(found.saved_outputs)):
        found.status, found.notes = Status.NOT_COMPARABLE, [f"it is tagged {VOLATILE}: its output is not compared"]
    elif found.saved_count is None and not found.saved_outputs:
        error = failing(found.executed_outputs)
        found.status = Status.NO_SAVED_OUTPUT if found.executed_outputs else Status.IDENTICAL
        if error is not None:
            _merge(found, Comparing(found.source, tolerance, places).compare([], [error]))
    elif _PIP.sub("", found.source).strip() == "" and not failing(found.executed_outputs):
        if found.saved_outputs != found.executed_outputs:
            found.status, found.notes = Status.NOT_COMPARABLE, ["what an installer tells depends on what is there"]
    else:
        _merge(found, Comparing(found.source, tolerance, places).compare(found.saved_outputs, found.executed_outputs))


def _merge(found: CellComparison, parts: Sequence[Part]) -> None:
    """One status of all parts: what differs decides, then what could be compared."""
    found.differences = [part.difference for part in parts if part.difference]
    found.notes = [part.note for part in parts if part.note]
    found.rules_used = sorted({rule for part in parts for rule in part.rules})
    found.worst = max((part.worst for part in parts), default=0.0)
    statuses = [part.status for part in parts]
    for status in (Status.DIFFERS, Status.WITHIN_TOLERANCE, Status.NOT_COMPARABLE, Status.IDENTICAL):
        if status in statuses and (status is not Status.NOT_COMPARABLE or Status.IDENTICAL not in statuses):
            found.status = status
            return


def _twins(
    saved: Mapping[str, Any], executed: Mapping[str, Any]
) -> Iterator[tuple[int, Mapping[str, Any], Mapping[str, Any] | None]]:
    """Each saved code cell with its executed twin: by place when the sources agree, else by id, else by source."""
    mine, others = list(code_cells(saved)), [cell for _, cell in code_cells(executed)]
    if [_source(cell) for _, cell in mine] != [_source(cell) for cell in others]:
        had = any(_INJECTED in tags(cell.get("metadata", {})) for _, cell in mine)
        if not had:  # papermill adds one where parameters are given
            others = [cell for cell in others if _INJECTED not in tags(cell.get("metadata", {}))]
    if [_source(cell) for _, cell in mine] == [_source(cell) for cell in others]:
        yield from ((index, cell, twin) for (index, cell), twin in zip(mine, others, strict=True))
        return
    by_id = {cell["id"]: cell for cell in others if cell.get("id")}
    taken: set[int] = set()
    for index, cell in mine:
        twin = by_id.get(cell.get("id"))
        if twin is None:
            twin = next((other for other in others if id(other) not in taken and _source(other) == _source(cell)), None)
        if twin is not None:
            taken.add(id(twin))
        yield index, cell, twin


def _ran(cell: Mapping[str, Any]) -> bool:
    return cell.get("execution_count") is not None or bool(cell.get("outputs"))


def _source(cell: Mapping[str, Any]) -> str:
    source = cell.get("source", "")
    return "".join(source) if isinstance(source, list) else str(source)


__all__ = ["DEFAULT", "DeclarationFault", "code_cells", "compare_notebooks", "has_saved_outputs"]
