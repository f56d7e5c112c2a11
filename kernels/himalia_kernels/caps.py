"""Bounds what is kept of a stage's output: of each cell, of the notebook and of the log."""

from __future__ import annotations

import json
import threading
from typing import Any

MB = 1_000_000
CELL_TEXT = 5 * MB
CELL_DATA = 20 * MB
NOTEBOOK = 60 * MB
LOG = 20 * MB
ERROR_CHARACTERS = 20_000
PIECE = 65_536
"""Up to what length a stream's next words are added to the output before them: each by itself would cost more."""
MESSAGE_COST = 300
"""What an output takes beside its content."""
LINE_COST = 10


class OutputCap:
    """Cuts the kernel's messages to what the notebook may keep; sizes are in characters.

    ``cut_cells`` lists the cells that were cut, ``cut_bytes`` counts what was left out.
    """

    def __init__(self, cell_text: int = CELL_TEXT, cell_data: int = CELL_DATA, notebook: int = NOTEBOOK) -> None:
        self.cell_text, self.cell_data, self.notebook = cell_text, cell_data, notebook
        self.cut_cells: list[int] = []
        self.cut_bytes = 0
        self._before = 0
        self._text = self._data = 0  # of this cell, as they take room in the file
        self._shown = 0  # characters of its text
        self._displays: dict[str, tuple[int, int]] = {}  # size of the last one by that name, and how often it is shown
        self._cell = 0
        self._told = False

    def start_cell(self, cell: int) -> None:
        """The messages that follow belong to *cell*, from 1."""
        self._before += self._text + self._data
        self._cell, self._text, self._data, self._shown, self._told = cell, 0, 0, 0, False

    def admit(self, kind: str, content: dict[str, Any]) -> bool:
        """Cut *content*, of a message of type *kind*, in place. False: leave the message out."""
        if kind == "stream":
            return self._stream(content)
        if kind in {"display_data", "execute_result", "update_display_data"}:
            self._bundle(kind, content)
        elif kind == "clear_output":
            self._text = self._data = self._shown = 0
            self._told = False
            self._displays.clear()
        elif kind == "error":
            self._error(content)
        return True

    def _stream(self, content: dict[str, Any]) -> bool:
        text = content.get("text", "")
        kept = fitting(text, self._left(self.cell_text - self._text))
        self._text += room(kept)
        self._shown += len(kept)
        if len(kept) == len(text):
            return True
        self._cut(len(text) - len(kept))
        if self._told:
            return False
        self._told = True
        content["text"] = f"{kept}\n… output cut after {self._size(self._shown)}: {self._why()}\n"
        return True

    def _bundle(self, kind: str, content: dict[str, Any]) -> None:
        data = content.get("data") or {}
        size = sum(_size(value) for value in data.values()) + MESSAGE_COST
        name = (content.get("transient") or {}).get("display_id")
        before, shown = self._displays.get(name or "", (0, 0))
        if kind == "update_display_data":
            more = (size - before) * shown  # it takes the place of what is shown by that name
        else:
            more = size + (size - before) * shown
            shown += 1
        if more > self._left(self.cell_data - self._data):
            self._cut(size)
            kinds = ", ".join(sorted(data))
            text = f"… an output of {self._size(size)} ({kinds}) is left out: {self._why()}"
            content["data"], content["metadata"] = {"text/plain": text}, {}
            more, size = MESSAGE_COST, MESSAGE_COST
        self._data += more
        if name is not None:
            self._displays[name] = (size, shown)

    def _error(self, content: dict[str, Any]) -> None:
        """An error is always shown, but not at any length."""
        content["evalue"] = shorten(str(content.get("evalue", "")))
        lines = [shorten(str(line)) for line in content.get("traceback") or []]
        kept, room = [], 10 * ERROR_CHARACTERS
        for line in reversed(lines):
            room -= len(line)
            if room < 0:
                break
            kept.append(line)
        content["traceback"] = kept[::-1]

    def _left(self, of_cell: int) -> int:
        return max(0, min(of_cell, self.notebook - self._before - self._text - self._data))

    def _cut(self, size: int) -> None:
        self.cut_bytes += size
        if self._cell not in self.cut_cells:
            self.cut_cells.append(self._cell)

    def _why(self) -> str:
        whole = self._before + self._text + self._data >= self.notebook - MESSAGE_COST
        limit = f"the notebook keeps {self._size(self.notebook)} of output" if whole else "this cell wrote more"
        return f"{limit}. Write long output to a file of the stage."

    @staticmethod
    def _size(size: int) -> str:
        return f"{size / MB:.1f} MB" if size >= MB / 10 else f"{size} bytes"


class LogCap:
    """Cuts what goes to the log; ``cut`` counts the characters left out. May be used from several threads."""

    def __init__(self, limit: int = LOG) -> None:
        self.limit, self.cut = limit, 0
        self._written = 0
        self._lock = threading.Lock()

    def admit(self, text: str) -> str:
        """The part of *text* that may still be written; the first that may not is replaced by a sentence."""
        with self._lock:
            left = max(0, self.limit - self._written)
            self._written += len(text)
            if len(text) <= left:
                return text
            first = self.cut == 0
            self.cut += len(text) - left
        if not first:
            return ""
        size = OutputCap._size(self.limit)
        return f"{text[:left]}\n… log cut after {size}; the kept notebook has each cell's output up to its own limit.\n"


def shorten(text: str, limit: int = ERROR_CHARACTERS) -> str:
    """*text* without its middle where it is longer than *limit*."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} … {len(text) - 2 * half:,} characters left out … {text[-half:]}"


def room(text: str) -> int:
    """How long *text* becomes in a notebook's file, where each line is a JSON text on a line of its own."""
    return len(json.dumps(text, ensure_ascii=False)) - 2 + LINE_COST * text.count("\n")


def fitting(text: str, limit: int) -> str:
    """As much of the beginning of *text* as takes no more room than *limit*; about that."""
    text = text[:limit]
    while text and (taken := room(text)) > limit:
        text = text[: min(len(text) - 1, len(text) * limit // taken)]
    return text


def _size(value: Any) -> int:
    return room(value) if isinstance(value, str) else len(json.dumps(value))
