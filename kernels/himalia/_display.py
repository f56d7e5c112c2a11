"""How results show: a table of text in a terminal, of HTML in a notebook."""

from __future__ import annotations

import html
import os
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Generic, Protocol, TypeVar


class Row(Protocol):
    """What a listing can show."""

    def _cells(self) -> Sequence[str]: ...


R = TypeVar("R", bound=Row)


def size(count: int | None) -> str:
    """A number of bytes for people, in binary units: ``3.5 GiB``."""
    if count is None:
        return "–"
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def moment(seconds: float | None) -> str:
    """A time for people, in this computer's zone, from UTC seconds since the epoch."""
    return "–" if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def duration(start: float | None, end: float | None) -> str:
    """From *start* to *end*, both UTC seconds: ``3.2 s``, ``4 min 5 s``; – when one is missing."""
    if start is None or end is None:
        return "–"
    seconds = max(0.0, end - start)
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"


def one_line(text: str, limit: int) -> str:
    """*text* without its line breaks, and of *limit* characters at most."""
    short = " ".join(text.split())
    return short if len(short) <= limit else short[: limit - 1] + "…"


def text_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns aligned with spaces."""
    lines = [tuple(headers), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def html_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A plain table that takes the theme's style; every cell is escaped."""
    head = "".join(f"<th>{html.escape(header)}</th>" for header in headers)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def html_card(title: str, facts: Iterable[tuple[str, str]], below: str = "") -> str:
    """A title and a list of facts; *below* is HTML that is put under them as it is."""
    rows = "".join(
        f'<tr><th style="text-align:left">{html.escape(name)}</th>'
        f'<td style="text-align:left">{html.escape(value)}</td></tr>'
        for name, value in facts
        if value
    )
    return f"<div><strong>{html.escape(title)}</strong><table><tbody>{rows}</tbody></table>{below}</div>"


class Listing(list[R], Generic[R]):
    """A list that shows as a table."""

    def __init__(self, items: Iterable[R], headers: Sequence[str], empty: str) -> None:
        super().__init__(items)
        self._headers = headers
        self._empty = empty

    def __repr__(self) -> str:
        return text_table(self._headers, [item._cells() for item in self]) if self else self._empty

    def _repr_html_(self) -> str:
        if not self:
            return f"<p>{html.escape(self._empty)}</p>"
        return html_table(self._headers, [item._cells() for item in self])

    def _repr_pretty_(self, printer: object, cycle: bool) -> None:
        # IPython has a printer of its own for lists, which would not ask __repr__
        printer.text(repr(self))  # type: ignore[attr-defined]


def in_front_end() -> bool:
    """Whether a person looks at this kernel in a notebook: not a terminal, not papermill, not a stage.

    Jupyter's server names the session of a kernel that a document opened; nothing else does.
    """
    if os.environ.get("HIMALIA_STAGE") or not os.environ.get("JPY_SESSION_NAME"):
        return False
    ipykernel = sys.modules.get("ipykernel.kernelapp")
    return ipykernel is not None and bool(ipykernel.IPKernelApp.initialized())
