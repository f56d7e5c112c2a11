"""What of a notebook decides what it does: its code cells, without comments, layout, markdown, outputs and counts."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .modules import imported

SKIPPED_TAG = "skip-execution"
INJECTED_TAG = "injected-parameters"
PARAMETERS_TAG = "parameters"
PYTHON = {"python", "ipython", "python3"}


class NotebookUnfit(ValueError):
    """The text is no notebook of format 4."""


@dataclass(frozen=True)
class Code:
    """The code of one notebook.

    `cells`: per code cell that runs, a digest of what it does; `sources`: the same cells as they are written;
    `numbers`: their places among all cells, from 0; `injected`: places in `cells` of what papermill once put in, which
    it replaces when parameters are given; `parameters`: the place of the parameters cell; `language`: in lower case;
    `imports`: the names that the cells import, each once.
    """

    cells: tuple[str, ...]
    sources: tuple[str, ...]
    numbers: tuple[int, ...]
    injected: tuple[int, ...]
    parameters: int | None
    language: str
    imports: tuple[str, ...]

    def meanings(self, given: bool) -> tuple[str, ...]:
        """What is run when parameters are *given*, or are not."""
        return tuple(cell for number, cell in enumerate(self.cells) if not given or number not in self.injected)


class CodeReader:
    """Reads notebooks and modules by digest, each once. Thread-safe: what is read twice is the same."""

    def __init__(self, read: Callable[[str], bytes], size: int = 4096) -> None:
        self._read = read
        self.notebook = lru_cache(size)(self._notebook)
        self.imports = lru_cache(size)(self._imports)

    def _notebook(self, digest: str) -> Code:
        """The code of the notebook with that digest.

        Raises:
            NotebookUnfit: it is none.
        """
        return notebook_code(self._read(digest))

    def _imports(self, digest: str, package: str) -> tuple[str, ...]:
        """The names that a Python file imports as a part of *package* ("": of none); of what is not Python none."""
        tree = _parsed(self._read(digest).decode("utf-8", "replace"))
        return tuple(dict.fromkeys(imported(tree, package))) if tree is not None else ()


def notebook_code(data: bytes) -> Code:
    """Read a notebook.

    Raises:
        NotebookUnfit: it is no notebook.
    """
    try:
        document = json.loads(data)
        cells = document["cells"]
        metadata = document.get("metadata", {})
        language = _language(metadata)
        chosen = [(number, cell, _source(cell)) for number, cell in enumerate(cells) if cell["cell_type"] == "code"]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise NotebookUnfit(f"it is no notebook of format 4 ({type(error).__name__}: {error})") from error
    digests: list[str] = []
    sources: list[str] = []
    numbers: list[int] = []
    imports: dict[str, None] = {}
    injected: list[int] = []
    parameters: int | None = None
    for number, cell, source in chosen:
        tags = cell.get("metadata", {}).get("tags") or ()
        if not source.strip() or SKIPPED_TAG in tags:
            continue
        tree = _parsed(source) if language in PYTHON else None
        if language in PYTHON and tree is None:
            tree = _parsed(_without_magics(source))
        meaning = ast.dump(tree, annotate_fields=False) if tree is not None else _squeezed(source)
        if tree is not None and not tree.body:
            continue  # nothing but comments
        if PARAMETERS_TAG in tags and parameters is None:
            parameters = len(digests)
        if INJECTED_TAG in tags:
            injected.append(len(digests))
        digests.append(hashlib.sha256(meaning.encode("utf-8", "surrogatepass")).hexdigest()[:32])
        sources.append(source)
        numbers.append(number)
        imports |= dict.fromkeys(imported(tree) if tree is not None else ())
    return Code(tuple(digests), tuple(sources), tuple(numbers), tuple(injected), parameters, language, tuple(imports))


def _language(metadata: Mapping[str, Any]) -> str:
    info = metadata.get("language_info", {}).get("name") or metadata.get("kernelspec", {}).get("language")
    return str(info or "python").lower()


def _source(cell: Mapping[str, Any]) -> str:
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def _parsed(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _without_magics(source: str) -> str:
    """The cell as IPython runs it."""
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        return str(TransformerManager().transform_cell(source))
    except SyntaxError:
        return source


def _squeezed(source: str) -> str:
    """For what is not Python, or not Python of our version: all but blank lines and spaces at their ends."""
    return "\n".join(line.rstrip() for line in source.splitlines() if line.strip())
