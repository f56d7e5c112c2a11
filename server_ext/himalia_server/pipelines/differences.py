"""How one text differs from another, line by line, for people: bounded in what it costs and in what it shows."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from itertools import islice

LINES = 200
"""Lines of a difference that are shown."""
WIDTH = 400
"""Letters of a line that are shown."""
COMPARED = 2000
"""Lines, of either text, from the first that differs to the last: comparing more takes too long."""
_CONTEXT = 3
_HUNK = re.compile(r"@@ -(\d+)(,\d+)? \+(\d+)(,\d+)? @@")


def text_difference(old: str, new: str) -> tuple[str | None, bool, str | None]:
    """The difference of two texts that are not the same, in the unified form without its head.

    Returns it, whether more differs than it shows, and what else there is to say. None: there is none to show.
    """
    before, after = _lines(old), _lines(new)
    if before == after:
        return None, False, "only the ends of its lines differ"
    same = _same(before, after)
    rest = min(len(before), len(after)) - same
    end = _same(before[: -rest - 1 : -1], after[: -rest - 1 : -1]) if rest else 0
    first, last = max(same - _CONTEXT, 0), max(end - _CONTEXT, 0)
    before, after = before[first : len(before) - last], after[first : len(after) - last]
    more = max(len(before), len(after))
    # where one of them has nothing of its own, there is nothing to search
    if min(len(before), len(after)) > 2 * _CONTEXT and more > COMPARED:
        return None, False, f"too much lies between the first line that differs and the last: {more:,} lines"
    # the lines are counted from the first that is compared
    found = islice(difflib.unified_diff(before, after, lineterm="", n=_CONTEXT), 2, LINES + 3)
    lines = [_shifted(line, first) if line.startswith("@@") else line for line in found]
    shown = [_short(line) for line in lines[:LINES]]
    note = f"lines are shown to their letter {WIDTH}" if shown != lines[:LINES] else None
    return "\n".join(shown), len(lines) > LINES, note


def _lines(text: str) -> list[str]:
    lines = text.replace("\r\n", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def _same(one: Sequence[str], two: Sequence[str]) -> int:
    """How many lines are the same at the beginning."""
    pairs = enumerate(zip(one, two, strict=False))
    return next((number for number, (a, b) in pairs if a != b), min(len(one), len(two)))


def _shifted(head: str, by: int) -> str:
    found = _HUNK.fullmatch(head)
    assert found is not None
    old, old_count, new, new_count = found.groups(default="")
    return f"@@ -{int(old) + by}{old_count} +{int(new) + by}{new_count} @@"


def _short(line: str) -> str:
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"
