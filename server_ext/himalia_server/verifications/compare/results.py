"""What a comparison says: per cell, and about the whole notebook."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """Of one code cell."""

    IDENTICAL = "identical"
    WITHIN_TOLERANCE = "within_tolerance"
    DIFFERS = "differs"
    NOT_COMPARABLE = "not_comparable"
    NOT_RUN = "not_run"
    NO_SAVED_OUTPUT = "no_saved_output"


class Verdict(StrEnum):
    """On the whole notebook."""

    IDENTICAL = "identical"
    WITHIN_TOLERANCE = "within_tolerance"
    DIFFERS = "differs"
    FAILED = "failed"
    NOT_COMPARABLE = "not_comparable"


@dataclass(frozen=True)
class Tolerance:
    """How far apart two outputs may be and still count as the same result.

    Numbers *a* (saved) and *b* agree when |a - b| ≤ atol + rtol·max(|a|, |b|). Whole numbers on both sides (counts,
    years, versions) must be equal, unless *integers*. *pixels* is the share of an image's pixels, 0 to 1, that may
    differ visibly (a channel by more than 16 of 255). *declared*: somebody wrote it into the notebook.
    """

    rtol: float = 1e-6
    atol: float = 1e-14
    integers: bool = False
    pixels: float = 1e-4
    declared: bool = False


@dataclass(frozen=True)
class Difference:
    """Where two outputs part. *part*: stdout, stderr, error or a MIME type; *line* counts from 1."""

    part: str
    detail: str
    saved: str | None = None
    now: str | None = None
    line: int | None = None


@dataclass(frozen=True)
class Part:
    """The comparison of one part of a cell's output. *worst*: the largest relative difference that was tolerated."""

    status: Status
    difference: Difference | None = None
    rules: frozenset[str] = frozenset()
    worst: float = 0.0
    note: str | None = None


@dataclass
class CellComparison:
    """One code cell and its twin.

    *index* is the cell's place among all cells of the saved notebook, from 0; *number* among its code cells, from 1.
    *rules_used* names the rules without which it would have differed; *notes* what was left out, and why.
    """

    index: int
    number: int
    cell_id: str | None
    source: str
    status: Status
    differences: list[Difference] = field(default_factory=list)
    rules_used: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    worst: float = 0.0
    saved_count: int | None = None
    saved_outputs: list[dict[str, Any]] = field(default_factory=list)
    executed_outputs: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class NotebookComparison:
    """All code cells, in the notebook's order."""

    cells: list[CellComparison]
    tolerance: Tolerance

    @property
    def first(self) -> CellComparison | None:
        """The first cell that differs, else the first that had been run and is not reached now, else None."""
        return next((cell for cell in self.cells if cell.status is Status.DIFFERS), None) or next(
            (cell for cell in self.cells if cell.status is Status.NOT_RUN and _was_run(cell)), None
        )

    @property
    def verdict(self) -> Verdict:
        """On the whole notebook.

        `failed`: the execution stopped at an error that the saved notebook does not have. Cells without a saved
        output, and those that cannot be compared, do not make it worse as long as anything could be compared.
        """
        first = self.first
        if first is not None:
            return Verdict.FAILED if _stopped(self.cells) else Verdict.DIFFERS
        found = {cell.status for cell in self.cells}
        compared = [cell for cell in self.cells if cell.status in (Status.IDENTICAL, Status.WITHIN_TOLERANCE)]
        if Status.NOT_COMPARABLE in found and not any(cell.saved_outputs for cell in compared):
            return Verdict.NOT_COMPARABLE
        return Verdict.WITHIN_TOLERANCE if Status.WITHIN_TOLERANCE in found else Verdict.IDENTICAL

    @property
    def counts(self) -> dict[str, int]:
        """How many cells have each status; those that none has are left out."""
        return dict(Counter(cell.status.value for cell in self.cells))


def failing(outputs: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The error among a cell's outputs, if there is one."""
    return next((output for output in outputs if output.get("output_type") == "error"), None)


def _was_run(cell: CellComparison) -> bool:
    return cell.saved_count is not None or bool(cell.saved_outputs)


def _stopped(cells: Sequence[CellComparison]) -> bool:
    return any(failing(cell.executed_outputs) and not failing(cell.saved_outputs) for cell in cells)
