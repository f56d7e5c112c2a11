"""Secrets of a project in what a stage leaves behind: outputs, log and error show *** in their place.

A net for accidents, no boundary: code can print a secret in pieces or encoded. Values shorter than SHORTEST are left
as they are, since they could be part of anything.
"""

from __future__ import annotations

import html
import json
import os
import re
import sys
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from himalia_kernels.caps import LogCap

MASK = "***"
SHORTEST = 8  # characters of a value, or of a line of one, that is masked
PIPE_BLOCK = 65536


class Mask:
    """Replaces the given values, and their usual spellings, in texts and documents."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        spellings = {spelling for value in values for spelling in _spellings(value) if len(spelling) >= SHORTEST}
        # the longest first: one value may be part of another
        parts = [re.escape(spelling) for spelling in sorted(spellings, key=len, reverse=True)]
        self._pattern = re.compile("|".join(parts)) if parts else None
        self.longest = max(map(len, spellings), default=0)

    def __bool__(self) -> bool:
        """Whether there is anything to mask."""
        return self._pattern is not None

    def text(self, text: str) -> str:
        """*text* without the values."""
        return self._pattern.sub(MASK, text) if self._pattern is not None else text

    def document(self, value: Any) -> Any:
        """The same for all texts in lists and objects; changes those in place, so that they stay what they are."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            for key in value:
                value[key] = self.document(value[key])
        elif isinstance(value, list):
            value[:] = [self.document(item) for item in value]
        return value

    def outputs(self, cell: Any) -> None:
        """Mask a cell's outputs; what one stream wrote in pieces is put together before."""
        if self._pattern is None or "outputs" not in cell:
            return
        joined: list[Any] = []
        for output in cell.outputs:
            before = joined[-1] if joined else None
            if before is not None and output.output_type == "stream" and before.get("name") == output.get("name"):
                before["text"] = _text(before["text"]) + _text(output["text"])
            else:
                joined.append(output)
        cell.outputs = [self.document(output) for output in joined]


def mask_of(grant_file: Path) -> Mask:
    """What is to be masked in a stage with this grant; nothing when it cannot be read: then no kernel starts."""
    try:
        grant = json.loads(grant_file.read_text("utf-8"))
        env: Mapping[str, str] = grant["env"]
    except (OSError, ValueError, KeyError):
        return Mask()
    return Mask(env[name] for name in grant.get("secrets") or () if name in env)


class MaskedPipe:
    """A pipe for what a kernel writes past its notebook, copied to our standard output without the values.

    With *cap*, no more is copied than that admits; the rest is read all the same.
    """

    def __init__(self, mask: Mask, cap: LogCap | None = None) -> None:
        self._mask, self._cap = mask, cap
        self._reader, self.writer = os.pipe()
        self._thread = threading.Thread(target=self._copy, name="kernel output", daemon=True)
        self._thread.start()

    def close(self, seconds: float = 2.0) -> None:
        """No more of ours is written; a process that the kernel has left may still hold the other end open."""
        os.close(self.writer)
        self._thread.join(seconds)

    def _copy(self) -> None:
        kept = ""
        while block := os.read(self._reader, PIPE_BLOCK):
            # a line at a time: a value can come in pieces; but never wait for the end of an endless line
            text = kept + block.decode(errors="replace")
            end = text.rfind("\n") + 1
            if len(text) - end > PIPE_BLOCK + self._mask.longest:
                end = len(text) - self._mask.longest
            self._write(text[:end])
            kept = text[end:]
        self._write(kept)
        os.close(self._reader)

    def _write(self, text: str) -> None:
        text = self._mask.text(text)
        if text and self._cap is not None:
            text = self._cap.admit(text)
        if text:
            sys.stdout.write(text)
            sys.stdout.flush()


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)


def _spellings(value: str) -> set[str]:
    lines = [line.strip() for line in value.splitlines()]
    texts = {value, value.strip(), *(lines if len(lines) > 1 else ())}
    shown = {spelling for text in texts for spelling in (repr(text)[1:-1], json.dumps(text)[1:-1], html.escape(text))}
    return texts | shown | {quote(text, safe="") for text in texts}
