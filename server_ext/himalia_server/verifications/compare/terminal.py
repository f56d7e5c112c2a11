"""What a terminal shows of a text that moves its cursor: progress bars overwrite their own line."""

from __future__ import annotations

import re

ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]")
_UP = re.compile(r"\x1b\[(\d*)A")


def shown(text: str) -> str:
    """*text* as it stands at the end: carriage returns, backspaces and `cursor up` are carried out, colours are gone.

    A line's older, longer text stays visible behind the newer one on a terminal; bars blank it with spaces, so the
    longer remainder is kept just as a terminal keeps it.
    """
    if "\r" not in text and "\b" not in text and "\x1b" not in text:
        return text
    text = text.replace("\r\n", "\n")
    if _UP.search(text):
        text = _with_moves(text)
    return "\n".join(_line(ANSI.sub("", line)) for line in text.split("\n"))


def _line(line: str) -> str:
    if "\b" in line:
        line = _backspaced(line)
    if "\r" not in line:
        return line
    end = ""
    for piece in line.split("\r"):
        end = piece + end[len(piece) :]
    return end.rstrip()


def _backspaced(line: str) -> str:
    kept: list[str] = []
    for letter in line:
        if letter == "\b":
            if kept and kept[-1] != "\r":
                kept.pop()
        else:
            kept.append(letter)
    return "".join(kept)


def _with_moves(text: str) -> str:
    """Carry out `cursor up`, with which several bars rewrite the lines above them."""
    lines, row = [""], 0
    for piece in re.split(r"(\n|\x1b\[\d*A)", text):
        if piece == "\n":
            row += 1
            if row == len(lines):
                lines.append("")
        elif move := _UP.fullmatch(piece):
            row = max(0, row - int(move[1] or 1))
        elif piece:
            # what is written on a line that was left stands over it from its start
            lines[row] = f"{lines[row]}\r{piece}" if lines[row] else piece
    return "\n".join(lines)
