"""The comparison, its causes, and the document that is kept of both."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .causes import Cause, Observation, find_causes, unsteady_cells
from .compare import CellComparison, NotebookComparison, Status, Tolerance, Verdict, compare_notebooks

TEXT_MOST = 20_000
"""Characters of one text of an output that are kept."""
IMAGE_MOST = 1_500_000
"""Characters of one image, in base64."""
ALL_MOST = 20_000_000
"""Of all that is kept of one notebook."""
LABEL_MOST = 80
_SCRIPT = re.compile(r"<script\b.*?(?:</script\s*>|\Z)", re.S | re.I)
_LEFT_OUT = ("application/javascript", "application/vnd.jupyter.widget-view+json", "text/javascript")


@dataclass
class Judgement:
    """What is known when all runs have ended. *nondeterministic*: None after a single run."""

    comparison: NotebookComparison
    verdict: Verdict
    causes: list[Cause]
    nondeterministic: bool | None
    unsteady: frozenset[int] = frozenset()
    second: dict[int, list[dict[str, Any]]] = field(default_factory=dict)


def judge(
    saved: Mapping[str, Any],
    executed: Mapping[str, Any],
    *,
    tolerance: Tolerance,
    places: Sequence[str] = (),
    second: Mapping[str, Any] | None = None,
    changed_files: Mapping[str, str] | None = None,
    cut: frozenset[int] = frozenset(),
) -> Judgement:
    """Compare a notebook with one clean run of it, and that with a second one.

    *places*: folders that mean the same; *changed_files*: path → how it is known that it changed since the notebook
    was saved; *cut*: indexes of cells (among all, from 0) whose output was cut while they ran.

    Raises:
        DeclarationFault: the notebook declares a tolerance that cannot be meant.
    """
    comparison = compare_notebooks(saved, executed, tolerance, places=places)
    _excuse_cut(comparison, cut)
    unsteady: frozenset[int] | None = None
    others: dict[int, list[dict[str, Any]]] = {}
    if second is not None:
        between = compare_notebooks(
            {**executed, "metadata": saved.get("metadata", {})}, second, tolerance, places=places
        )
        if len(between.cells) == len(comparison.cells):
            unsteady = unsteady_cells(between)
            others = {cell.number: cell.executed_outputs for cell in between.cells if cell.number in unsteady}
    seen = Observation(unsteady, changed_files or {}, _versions(saved, executed))
    causes = find_causes(saved, comparison, seen)
    return Judgement(
        comparison,
        comparison.verdict,
        causes,
        None if unsteady is None else bool(unsteady),
        unsteady or frozenset(),
        others,
    )


def document(judgement: Judgement) -> dict[str, Any]:
    """What is kept of a judgement, as JSON: all cells, the outputs only of those that are not identical, bounded."""
    budget = Budget(ALL_MOST)
    cells = []
    for cell in judgement.comparison.cells:
        shown = cell.status is not Status.IDENTICAL
        cells.append(
            {
                "number": cell.number,
                "index": cell.index,
                "cell_id": cell.cell_id,
                "source": cell.source[:TEXT_MOST],
                "status": cell.status.value,
                "differences": [asdict(difference) for difference in cell.differences[:20]],
                "rules": cell.rules_used,
                "notes": cell.notes,
                "worst": cell.worst,
                "saved": bounded(cell.saved_outputs, budget) if shown else [],
                "now": bounded(cell.executed_outputs, budget) if shown else [],
                "second": bounded(judgement.second.get(cell.number, []), budget),
            }
        )
    return {"cells": cells, "tolerance": asdict(judgement.comparison.tolerance)}


def summary(judgement: Judgement) -> dict[str, Any]:
    """What lists show of it."""
    comparison = judgement.comparison
    first = comparison.first
    return {
        "counts": comparison.counts,
        "first": None if first is None else _first(first),
        "causes": [asdict(cause) for cause in judgement.causes[:8]],
        "nondeterministic": judgement.nondeterministic,
        "rules": sorted({rule for cell in comparison.cells for rule in cell.rules_used}),
    }


def label_of(source: str) -> str:
    """A cell's first line that is no comment."""
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith("#")), lines[0] if lines else "")[:LABEL_MOST]


@dataclass
class Budget:
    """Characters that may still be kept."""

    left: int


def bounded(outputs: Sequence[Mapping[str, Any]], budget: Budget) -> list[dict[str, Any]]:
    """Outputs as they are kept and shown: without scripts and widgets, what is too long cut, and saying so."""
    return [_bounded(output, budget) for output in outputs[:200]]


def _bounded(output: Mapping[str, Any], budget: Budget) -> dict[str, Any]:
    kind = str(output.get("output_type"))
    made: dict[str, Any] = {"output_type": kind, "name": None, "text": None, "data": {}, "cut": None}
    told: list[str] = []
    if kind == "stream":
        made["name"] = str(output.get("name", "stdout"))
        made["text"] = _cut(_joined(output.get("text", "")), TEXT_MOST, budget, "text", told)
    elif kind == "error":
        made["name"] = str(output.get("ename"))
        made["text"] = _cut(str(output.get("evalue", "")), TEXT_MOST, budget, "text", told)
    else:
        for mime, value in (output.get("data") or {}).items():
            if mime in _LEFT_OUT:
                told.append(f"{mime} is left out")
                continue
            text = _joined(value) if isinstance(value, str | list) else value
            if not isinstance(text, str):
                size = len(str(text))
                if size > min(TEXT_MOST * 10, budget.left):
                    told.append(f"{mime} is left out: {size:,} characters")
                    continue
                budget.left -= size
                made["data"][mime] = text
            elif mime.startswith("image/") and mime != "image/svg+xml":
                if len(text) > min(IMAGE_MOST, budget.left):
                    told.append(f"{mime} is left out: {len(text):,} characters")
                    continue
                budget.left -= len(text)
                made["data"][mime] = text
            else:
                if mime in ("text/html", "image/svg+xml") and _SCRIPT.search(text):
                    text = _SCRIPT.sub("", text)
                    told.append("scripts are left out")
                if mime == "image/svg+xml" and len(text) > IMAGE_MOST:
                    told.append(f"{mime} is left out: {len(text):,} characters")
                    continue
                most = IMAGE_MOST if mime == "image/svg+xml" else TEXT_MOST * (10 if mime == "text/html" else 1)
                made["data"][mime] = _cut(text, most, budget, mime, told)
    made["cut"] = "; ".join(told) or None
    return made


def _cut(text: str, most: int, budget: Budget, what: str, told: list[str]) -> str:
    kept = text[: max(0, min(most, budget.left))]
    budget.left -= len(kept)
    if len(kept) < len(text):
        told.append(f"{what}: {len(text) - len(kept):,} of {len(text):,} characters are left out")
    return kept


def _joined(value: Any) -> str:
    return "".join(str(part) for part in value) if isinstance(value, list) else str(value)


def _first(cell: CellComparison) -> dict[str, Any]:
    return {
        "number": cell.number,
        "index": cell.index,
        "cell_id": cell.cell_id,
        "label": label_of(cell.source),
        "status": cell.status.value,
        "differences": [asdict(difference) for difference in cell.differences[:5]],
    }


def _excuse_cut(comparison: NotebookComparison, cut: frozenset[int]) -> None:
    """A cell whose output was cut while it ran cannot be compared: what is missing is not a difference."""
    for cell in comparison.cells:
        if cell.index in cut and cell.status is Status.DIFFERS:
            cell.status, cell.differences = Status.NOT_COMPARABLE, []
            cell.notes.append("its output was cut while it ran, for its size")


def _versions(saved: Mapping[str, Any], executed: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    a, b = (str(book.get("metadata", {}).get("language_info", {}).get("version", "")) for book in (saved, executed))
    return [("Python", a, b)] if a and b and a != b else []
