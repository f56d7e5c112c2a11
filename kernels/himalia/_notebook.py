"""The notebook that a kernel belongs to: which file it is, and what of it is not saved."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from himalia._errors import HimaliaError

NAME_IT = "Name the stage: %stage NAME (for a new one: %stage --add NAME --notebook PATH)."
VARIABLES = ("__session__", "__vsc_ipynb_file__")
"""Where ipykernel and VS Code tell the notebook to code."""


def own_notebook(project: Path, variables: Mapping[str, object]) -> str:
    """The notebook of this kernel, relative to the project's folder.

    *variables*: those of the user. Raises HimaliaError when nothing tells it, when it is none or is no longer there,
    and when it lies outside the project.
    """
    told = [os.environ.get("JPY_SESSION_NAME"), *(variables.get(name) for name in VARIABLES)]
    raw = next((text for text in told if isinstance(text, str) and text), None)
    if raw is None:
        raise HimaliaError(None, "This kernel does not know which notebook it belongs to", "", NAME_IT)
    if not raw.endswith(".ipynb"):
        raise HimaliaError(None, f"This kernel belongs to no notebook but to {raw}", "", NAME_IT)
    path = Path(raw) if Path(raw).is_absolute() else _below_root(project, PurePosixPath(raw))
    if path is None or not path.is_file():
        raise HimaliaError(
            None,
            f"There is no notebook {raw} any more",
            "it was renamed or moved since its kernel started, or does not lie in the project",
            f"Restart the kernel. Or: {NAME_IT}",
        )
    return inside(project, path)


def inside(project: Path, path: Path) -> str:
    """*path* relative to the project's folder, with forward slashes. Raises HimaliaError when it lies outside."""
    try:
        return path.resolve().relative_to(project.resolve()).as_posix()
    except ValueError as error:
        raise HimaliaError(
            None, f"{path} does not lie in the project", f"its folder is {project}", "Move the notebook there."
        ) from error


def _below_root(project: Path, path: PurePosixPath) -> Path | None:
    """The file of a path that is relative to the root of a Jupyter server, which a kernel is not told.

    The root is the project's folder or one above it: then the path begins as the project's own ends.
    """
    for count in range(len(path.parts) - 1, 0, -1):
        if project.parts[-count:] == path.parts[:count]:
            found = project.joinpath(*path.parts[count:])
            if found.is_file():
                return found
    return project / path


class Executed:
    """The cells that ran in this kernel, as their text was when they ran last."""

    def __init__(self) -> None:
        self._cells: dict[str, tuple[str, float]] = {}

    def note(self, info: Any) -> None:
        """For IPython's event ``pre_run_cell``."""
        cell = getattr(info, "cell_id", None)
        if cell:
            self._cells.pop(cell, None)  # the newest is the last
            self._cells[str(cell)] = (str(info.raw_cell), time.time())

    def unsaved(self, notebook: Path) -> list[str]:
        """What ran after *notebook* was saved and is not in the file: ``["cell 3", "a new cell"]``.

        Edits of cells that have not run since are unknown to a kernel. Raises HimaliaError when the file cannot be
        read as a notebook.
        """
        saved_at = notebook.stat().st_mtime
        saved = {str(cell.get("id")): (number, text) for number, cell, text in saved_cells(notebook)}
        texts = {text for _, text in saved.values()}
        found = []
        for cell, (text, ran_at) in self._cells.items():
            if ran_at <= saved_at or text.rstrip() in texts or _is_ours(text):
                continue
            found.append(f"cell {saved[cell][0]}" if cell in saved else "a new cell")
        return sorted(set(found))


def saved_cells(notebook: Path) -> Iterator[tuple[int, dict[str, Any], str]]:
    """Number (from 1), cell and source of each code cell. Raises HimaliaError when the file is no notebook."""
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        for number, cell in enumerate(cells, 1):
            if cell["cell_type"] == "code":
                source = cell["source"]
                yield number, cell, (source if isinstance(source, str) else "".join(source)).rstrip()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise HimaliaError(
            None, f"{notebook.name} cannot be read as a notebook", f"{error}", "Save it again in JupyterLab."
        ) from error


def own_magics(notebook: Path) -> list[int]:
    """Numbers (from 1) of the saved cells with a line `%stage …`, but a plain one, or `%pipeline run`: in a stage they
    end it.
    """
    return [number for number, _, text in saved_cells(notebook) if _starts_runs(text)]


def _starts_runs(text: str) -> bool:
    lines = [line.split() for line in text.splitlines()]
    return any((line[:1] == ["%stage"] and len(line) > 1) or line[:2] == ["%pipeline", "run"] for line in lines)


def _is_ours(text: str) -> bool:
    """Whether a cell holds nothing but these magics: that it is not saved makes no difference to a run."""
    lines = [line for line in text.splitlines() if line.strip()]
    return all(line.split()[0] in ("%stage", "%pipeline") for line in lines)
