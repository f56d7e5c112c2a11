"""The notebook that is to be verified: found, read, and refused when nothing could come of it."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from ..service.problems import Invalid, nearest
from .compare import DeclarationFault, Tolerance, code_cells, declared, has_saved_outputs

PYTHON = {"python", "ipython", "python3"}
BYTES = 200_000_000
"""The largest notebook that is compared."""


def read_book(data: bytes, name: str) -> dict[str, Any]:
    """A notebook as a document of nbformat 4, sources as texts.

    Raises:
        Invalid: it is none.
    """
    try:
        return _whole(json.loads(data))
    except Exception as error:  # an older format's converter raises whatever a broken document makes it stumble over
        raise Invalid(
            f"{name} is not a notebook that can be read: {_short(error)}",
            hint="Open it in JupyterLab, or take an earlier version of it.",
            field="notebook",
        ) from error


def _whole(book: Any) -> dict[str, Any]:
    """Checked as far as it is used here; nbformat's own check takes seconds, and refuses what JupyterLab opens."""
    if not isinstance(book, dict) or not isinstance(book.get("nbformat"), int):
        raise ValueError("it has no nbformat")
    if book["nbformat"] < 4:
        import nbformat  # only for what was written before 2015

        book = json.loads(json.dumps(nbformat.reads(json.dumps(book), as_version=4)))
    if not isinstance(book.get("metadata", {}), dict) or not isinstance(book.get("cells"), list):
        raise ValueError("it has no list of cells")
    for number, cell in enumerate(book["cells"], 1):
        if not isinstance(cell, dict) or not isinstance(cell.get("metadata", {}), dict):
            raise ValueError(f"cell {number} is none")
        source = cell.get("source", "")
        cell["source"] = "".join(map(str, source)) if isinstance(source, list) else str(source)
        outputs = cell.get("outputs", [])
        if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
            raise ValueError(f"the outputs of cell {number} are none")
        if not all(isinstance(output.get("data", {}), dict) for output in outputs):
            raise ValueError(f"the outputs of cell {number} are none")
        if not isinstance(cell.get("execution_count"), int | None):
            raise ValueError(f"the execution count of cell {number} is no number")
    return dict(book)


def require_notebook(folder: Path, notebook: str) -> dict[str, Any]:
    """The notebook at a path in the project's *folder*.

    Raises:
        Invalid: there is none, it leads out of the project, or there is nothing in it to verify.
    """
    path = folder / notebook
    if not path.is_file():
        known = [one.relative_to(folder).as_posix() for one in folder.glob("*.ipynb")]
        raise Invalid(f"There is no file {notebook} in the project.", hint=nearest(notebook, known), field="notebook")
    if PurePosixPath(notebook).suffix != ".ipynb":
        raise Invalid(f"{notebook} is not a notebook.", hint="Name a file that ends in .ipynb.", field="notebook")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise Invalid(f"{notebook} leads out of the project.", field="notebook")
    if path.stat().st_size > BYTES:
        raise Invalid(
            f"{notebook} is larger than {BYTES // 1_000_000} MB.",
            hint="Clear the outputs that are not needed, and write large results into files.",
            field="notebook",
        )
    book = read_book(path.read_bytes(), notebook)
    check_book(book, notebook)
    return book


def check_book(book: dict[str, Any], notebook: str) -> None:
    """Refuse what cannot be verified.

    Raises:
        Invalid: it has no outputs, is not written in Python, or declares a tolerance that cannot be meant.
    """
    metadata = book.get("metadata", {})
    language = metadata.get("language_info", {}).get("name") or metadata.get("kernelspec", {}).get("language")
    if str(language or "python").lower() not in PYTHON:
        raise Invalid(f"{notebook} is written in {language}; the project's kernel runs Python.", field="notebook")
    if not has_saved_outputs(book):
        raise Invalid(
            f"{notebook} has no saved outputs, so there is nothing to compare with.",
            hint="Run it and save it first.",
            field="notebook",
        )
    try:
        whole = declared(metadata, Tolerance())
        for index, cell in code_cells(book):
            declared(cell.get("metadata", {}), whole, f"the metadata of cell {index + 1}")
    except DeclarationFault as fault:
        raise Invalid(f"{notebook}: {fault}", field="notebook") from fault


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
