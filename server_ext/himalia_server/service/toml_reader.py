"""TOML that others have written, read without letting it use up the machine."""

from __future__ import annotations

import re
import tomllib
from typing import Any

PARTS = 40
"""Of one written key, `a.b.c` has three. The standard library takes memory in the square of them: a line of 200 kB, all
of it one key, costs 20 GB."""
_PART = r"""(?:(?<![A-Za-z0-9_-])[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.){0,200}+"|'[^'\n]{0,200}+')"""
_LONG = re.compile(rf"{_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{PARTS}}}")


def read_toml(text: str) -> dict[str, Any]:
    """What *text* says.

    Raises:
        tomllib.TOMLDecodeError: it is no TOML, or its keys, lists, tables or numbers are too long or nested too deeply.
    """
    if found := _LONG.search(text):
        line = text.count("\n", 0, found.start()) + 1
        column = found.start() - text.rfind("\n", 0, found.start())
        raise tomllib.TOMLDecodeError(f"A key has more than {PARTS} parts (at line {line}, column {column})")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise tomllib.TOMLDecodeError("lists or tables are nested too deeply") from None
    except ValueError as error:  # a number of thousands of digits; a date that is none
        raise tomllib.TOMLDecodeError(str(error).partition(";")[0]) from None
