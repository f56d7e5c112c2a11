"""Texts compared line by line, with a tolerance for the numbers in them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from .results import Tolerance

# not a part of a name (x1) or of a version (3.11.2); the groups are atomic so that none is cut in the middle
NUMBER = re.compile(r"(?<![\w.])[-+−]?(?>\d++(?:\.\d*+)?|\.\d++)(?>[eE][-+]?\d++)?(?![\d.]*\.\d)")
_SPACES = re.compile(r"[ \t\u00a0]+")
_AROUND = re.compile(r" ?# ?")
# pads a column and draws a table's border: both change their width with the numbers
_RULER = re.compile(r"[-─═━=_]{4,}")


@dataclass(frozen=True)
class Parting:
    """The first place where two texts part. *line* counts from 1; None: one text has no such line."""

    line: int
    saved: str | None
    now: str | None


def compare_texts(saved: str, now: str, tolerance: Tolerance) -> tuple[Parting | None, float]:
    """The first line that is not the same within *tolerance*, and the largest relative difference before it.

    White space around numbers does not count: columns are padded to the width of what they hold.
    """
    left, right = _lines(saved), _lines(now)
    worst = 0.0
    for place in range(max(len(left), len(right))):
        a = left[place] if place < len(left) else None
        b = right[place] if place < len(right) else None
        if a == b:
            continue
        apart = None if a is None or b is None else line_distance(a, b, tolerance)
        if apart is None:
            return Parting(place + 1, a, b), worst
        worst = max(worst, apart)
    return None, worst


def line_distance(saved: str, now: str, tolerance: Tolerance) -> float | None:
    """The largest relative difference of two lines' numbers; None: the lines differ otherwise, or too much."""
    if _skeleton(saved) != _skeleton(now):
        return None
    worst = 0.0
    for a, b in zip(NUMBER.findall(saved), NUMBER.findall(now), strict=True):
        if a == b:
            continue
        apart = distance(a, b, tolerance)
        if apart is None:
            return None
        worst = max(worst, apart)
    return worst


def distance(saved: str, now: str, tolerance: Tolerance) -> float | None:
    """The relative difference of two numbers as they are written; None: it is above *tolerance*."""
    if _whole(saved) and _whole(now) and not tolerance.integers:
        return 0.0 if int(saved.replace("−", "-")) == int(now.replace("−", "-")) else None
    return close(float(saved.replace("−", "-")), float(now.replace("−", "-")), tolerance)


def close(saved: float, now: float, tolerance: Tolerance) -> float | None:
    """The relative difference of two numbers; None: it is above *tolerance*."""
    if saved == now or (math.isnan(saved) and math.isnan(now)):
        return 0.0
    if not (math.isfinite(saved) and math.isfinite(now)):
        return None
    size, apart = max(abs(saved), abs(now)), abs(saved - now)
    return apart / size if apart <= tolerance.atol + tolerance.rtol * size else None


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().split("\n")] if text.strip() else []


def _whole(text: str) -> bool:
    return text.lstrip("+-−").isdigit() and len(text) < 4000  # int() refuses longer ones


def _skeleton(line: str) -> str:
    """The line with its numbers left out, and the white space that depends upon their width."""
    return _AROUND.sub("#", _SPACES.sub(" ", _RULER.sub("----", NUMBER.sub("#", line))))
