"""Where things stand in the text of a manifest, also of one that is just being typed.

A reader of TOML tells neither places nor anything of a text with a fault; this one goes on after a fault, and tells
for each key and each item of a list where it stands, and at the end of a text what is being written there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ...service.toml_reader import PARTS

Path = tuple[str | int, ...]
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}\n#]+")
_BLANK = re.compile(r"[ \t\r]*")
_NEXT_PAIR = re.compile(r"""[A-Za-z0-9_."'-]+[ \t]*=""")


@dataclass(frozen=True)
class Spot:
    """A key, a header or an item: from `begin` to `end` (characters of the text). `header`: of a table."""

    path: Path
    begin: int
    end: int
    header: bool = False


@dataclass(frozen=True)
class Cursor:
    """What is being written at the end of a text: of the `path`, the part that begins at `begin`.

    `quote`: the quotation mark that is still open.
    """

    kind: Literal["key", "header", "value"]
    path: Path
    begin: int
    quote: str


class _End(Exception):
    """The text ends here."""


class _Fault(Exception):
    """No TOML; go on with the next line."""


class _Scan:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.spots: list[Spot] = []
        self.cursor: Cursor | None = None
        self.ends: list[int] = []
        """Where the values of keys end."""

    def run(self) -> None:
        table: Path = ()
        try:
            while True:
                self._over("key", table)
                try:
                    if self.text[self.at] == "[":
                        table = self._header()
                    else:
                        self._pair(table)
                    self._line_end()
                except _Fault:
                    found = self.text.find("\n", self.at)
                    self.at = len(self.text) if found < 0 else found
                    if found < 0:
                        raise _End from None
        except _End:
            pass

    def _over(self, kind: Literal["key", "value"], path: Path) -> None:
        """To the next header, pair or item, over lines and comments; at the end of the text *kind* is what follows."""
        while True:
            self._blanks()
            if self.at >= len(self.text):
                self.cursor = Cursor(kind, path, self.at, "")
                raise _End
            if self.text[self.at] == "#":
                self._comment()
            elif self.text[self.at] == "\n":
                self.at += 1
            else:
                return

    def _comment(self) -> None:
        found = self.text.find("\n", self.at)
        if found < 0:
            self.at = len(self.text)
            raise _End
        self.at = found

    def _line_end(self) -> None:
        self._blanks()
        if self.at >= len(self.text):
            raise _End
        if self.text[self.at] == "#":
            self._comment()
        if self.text[self.at] != "\n":
            raise _Fault

    def _blanks(self) -> None:
        blank = _BLANK.match(self.text, self.at)
        self.at = blank.end() if blank else self.at

    def _header(self) -> Path:
        begin = self.at
        brackets = 2 if self.text.startswith("[[", self.at) else 1
        self.at += brackets
        self._blanks()
        path = self._keys("header", ())
        self._blanks()
        if not self.text.startswith("]" * brackets, self.at):
            raise _Fault
        self.at += brackets
        self.spots.append(Spot(path, begin, self.at, True))
        return path

    def _pair(self, table: Path) -> None:
        begin = self.at
        path = self._keys("key", table)
        self.spots.append(Spot(path, begin, begin + len(self.text[begin : self.at].rstrip())))
        self._blanks()
        if self.at >= len(self.text):
            raise _End
        if self.text[self.at] != "=":
            raise _Fault
        self.at += 1
        self._value(path)
        self.ends.append(self.at)

    def _keys(self, kind: Literal["key", "header"], table: Path) -> Path:
        path = table
        while True:
            if len(path) > len(table) + PARTS:
                raise _Fault
            begin = self.at
            if self.at < len(self.text) and self.text[self.at] in "\"'":
                path += (self._text(path, kind),)
            else:
                bare = _BARE.match(self.text, self.at)
                self.at = bare.end() if bare else self.at
                if self.at >= len(self.text):
                    self.cursor = Cursor(kind, path, begin, "")
                    raise _End
                if bare is None:
                    raise _Fault
                path += (bare[0],)
            self._blanks()
            if self.at < len(self.text) and self.text[self.at] == ".":
                self.at += 1
                self._blanks()
                continue
            return path

    def _value(self, path: Path) -> None:
        self._blanks()
        begin = self.at
        if self.at >= len(self.text):
            self.cursor = Cursor("value", path, begin, "")
            raise _End
        first = self.text[self.at]
        if first in "\"'":
            self._text(path, "value")
        elif first == "[":
            self._items(path)
        elif first == "{":
            self._inline(path)
        else:
            scalar = _SCALAR.match(self.text, self.at)
            if scalar is None:
                raise _Fault
            self.at = scalar.end()
            if self.at >= len(self.text):
                self.cursor = Cursor("value", path, begin, "")
                raise _End

    def _text(self, path: Path, kind: Literal["key", "header", "value"]) -> str:
        """A text in quotation marks."""
        quote = self.text[self.at]
        quote = quote * 3 if self.text.startswith(quote * 3, self.at) else quote
        self.at += len(quote)
        begin = self.at
        while not self.text.startswith(quote, self.at):
            if self.at >= len(self.text):
                self.cursor = Cursor(kind, path, begin, quote)
                raise _End
            if self.text[self.at] == "\n" and len(quote) == 1:
                raise _Fault
            self.at += 2 if self.text[self.at] == "\\" and quote[0] == '"' else 1
        found = self.text[begin : self.at]
        self.at += len(quote)
        return found

    def _items(self, path: Path) -> None:
        self.at += 1
        number = 0
        while True:
            self._over("value", (*path, number))
            if self.text[self.at] == "]":
                self.at += 1
                return
            if self.text[self.at] == ",":
                self.at += 1
                number += 1
                continue
            if _NEXT_PAIR.match(self.text, self.at) and self.text[self.at] not in "\"'":
                raise _Fault  # the list was not closed, and the next key begins
            begin = self.at
            self._value((*path, number))
            self.spots.append(Spot((*path, number), begin, self.at))

    def _inline(self, path: Path) -> None:
        self.at += 1
        while True:
            self._blanks()
            if self.at >= len(self.text):
                self.cursor = Cursor("key", path, self.at, "")
                raise _End
            if self.text[self.at] == "}":
                self.at += 1
                return
            if self.text[self.at] == ",":
                self.at += 1
                continue
            self._pair(path)


def spots(text: str) -> list[Spot]:
    """All keys, headers and items, in the order of the text."""
    scan = _Scan(text)
    scan.run()
    return sorted(scan.spots, key=lambda spot: spot.begin)


def line_after(text: str, table: Path) -> int | None:
    """Where the line below the last key of a table begins; None: the table has no header of its own, or no key."""
    scan = _Scan(text)
    scan.run()
    headers = sorted((spot for spot in scan.spots if spot.header), key=lambda spot: spot.begin)
    number = next((number for number, spot in enumerate(headers) if spot.path == table), None)
    if number is None:
        return None
    until = headers[number + 1].begin if number + 1 < len(headers) else len(text)
    last = max((end for end in scan.ends if headers[number].end < end < until), default=None)
    newline = text.find("\n", last) if last is not None else -1
    return newline + 1 if newline >= 0 else None


def cursor(text: str) -> Cursor | None:
    """What is being written at the end of *text*; None in a comment, or after something that is complete."""
    scan = _Scan(text)
    scan.run()
    return scan.cursor


def find(found: list[Spot], path: Path) -> Spot | None:
    """Where *path* stands, or what is nearest above it."""
    best: Spot | None = None
    for spot in found:
        if path[: len(spot.path)] == spot.path and (best is None or len(spot.path) > len(best.path)):
            best = spot
    return best


def place(text: str, at: int) -> tuple[int, int]:
    """Line and column, both from 1, of a character."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def character(text: str, line: int, column: int) -> int:
    """The character at a line and a column (both from 1); the nearest one when there is none."""
    lines = text.split("\n")
    row = min(line, len(lines)) - 1
    return sum(len(entry) + 1 for entry in lines[:row]) + min(column - 1, len(lines[row]))
