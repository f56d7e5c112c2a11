"""The notebook that a stage leaves: labels of its cells, their states, and how it is saved."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from himalia_kernels.files import write_whole

HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$")
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
LABEL_LENGTH = 60
NOT_RUN = "not_run"
SKIP_TAG = "skip-execution"


@dataclass
class Tally:
    """Where an execution stands. Cells are counted from 1 over the code cells that have something to run."""

    cells: int = 0
    cells_run: int = 0
    cell: int | None = None
    cell_index: int | None = None
    exited: int | None = None
    seconds: list[float] = field(default_factory=list)
    """How long each cell took that was reached."""
    lost: list[int] = field(default_factory=list)
    """Cells of whose output a part was lost."""


def runs(cell: Any) -> bool:
    """Whether a cell is sent to the kernel."""
    return cell.cell_type == "code" and bool(cell.source.strip()) and SKIP_TAG not in cell.metadata.get("tags", [])


def label(cells: Sequence[Any], index: int) -> str | None:
    """A name for the code cell at *index*: the nearest heading above it, else its first line of code."""
    for cell in reversed(cells[:index]):
        if cell.cell_type == "markdown":
            found = list(_headings(cell.source))
            if found:
                return str(found[-1])[:LABEL_LENGTH]
    lines = [line.strip() for line in cells[index].source.splitlines() if line.strip()]
    code = [line for line in lines if not line.startswith("#")]
    return str((code or lines)[0])[:LABEL_LENGTH] if lines else None


def _headings(source: str) -> Iterator[str]:
    fenced = False
    for line in source.splitlines():
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        match = None if fenced else HEADING.match(line)
        if match:
            yield match[1]


def stamp(cell: Any, status: str) -> None:
    """Write a cell's state into its metadata: papermill's own words where it has one."""
    papermill = cell.metadata.setdefault("papermill", {})
    papermill["status"] = {"succeeded": "completed", NOT_RUN: NOT_RUN}.get(status, "failed")
    cell.metadata["himalia"] = {"status": status}


def stamp_unreached(notebook: Any) -> None:
    """Mark the cells that were never reached; papermill would call them completed."""
    for cell in notebook.cells:
        if cell.metadata.get("papermill", {}).get("status", "pending") == "pending":
            stamp(cell, NOT_RUN)


def error_output(name: str, message: str) -> Any:
    """An error to show in the cell where the stage ended, when the kernel could not say it itself."""
    from nbformat.v4 import new_output

    return new_output("error", ename=name, evalue=message, traceback=[f"{name}: {message}"])


def plain(text: str) -> str:
    """*text* without colours."""
    return ANSI.sub("", text)


def save(notebook: Any, path: Path) -> None:
    """Write a notebook so that a reader sees all of it or the one before."""
    import nbformat

    # not worth a wait for the disk after each cell
    write_whole(path, nbformat.writes(notebook), durable=False)
