"""Small notebooks, as documents."""

from __future__ import annotations

from typing import Any


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def result(data: dict[str, Any] | str) -> dict[str, Any]:
    forms = {"text/plain": data} if isinstance(data, str) else data
    return {"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": forms}


def error(ename: str, evalue: str) -> dict[str, Any]:
    return {"output_type": "error", "ename": ename, "evalue": evalue, "traceback": [f"{ename}: {evalue}"]}


def cell(
    source: str, *outputs: dict[str, Any], count: int | None = 1, metadata: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "source": source,
        "outputs": list(outputs),
        "execution_count": count,
        "metadata": metadata or {},
    }


def book(*cells: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """A notebook whose cells were executed in order, where they have a count at all."""
    return {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def shows(*texts: str) -> dict[str, Any]:
    """A notebook of one cell a text, which prints it."""
    return book(*(cell(f"print({number})", stream(text), count=number) for number, text in enumerate(texts, 1)))
