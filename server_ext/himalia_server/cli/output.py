"""What the command line prints: tables for people, JSON for scripts, progress for both."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click


class Failure(click.ClickException):
    """An error for a person: what happened, why, what to do."""

    def __init__(self, message: str, hint: str | None = None, code: int = 1) -> None:
        super().__init__(message)
        self.hint = hint
        setattr(self, "exit_code", code)  # noqa: B010 - click declares it for the class

    def show(self, file: Any = None) -> None:
        """Print to standard error."""
        click.echo(f"himalia: {self.message}", err=True)
        if self.hint:
            click.echo(f"  → {self.hint}", err=True)


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(document, indent=2, default=str))


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """What is written within goes into *target*, which a person has named.

    Raises:
        Failure: it cannot be written there.
    """
    try:
        yield
    except OSError as error:
        if not target.absolute().parent.is_dir():
            raise Failure(
                f"{target} cannot be written: there is no folder {target.absolute().parent}.",
                "Make it, or name a file in another folder with --output.",
            ) from error
        raise Failure(
            f"{target} cannot be written: {error.strerror or error}.", "Name a file where you may write, with --output."
        ) from error


def several(count: int, what: str) -> str:
    """'1 file', '2 files', '1,000 files'."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> str:
    """Columns aligned by spaces; the last one is cut at the terminal's edge."""
    cells = [list(header), *[["" if cell is None else str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    width = shutil.get_terminal_size((120, 24)).columns if sys.stdout.isatty() else 10_000
    lines = ["  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join(line[:width] for line in lines)


def ago(then: float | None) -> str:
    """'12 s ago', '3 h ago'; empty for None. *then*: UTC seconds since the epoch."""
    if then is None:
        return ""
    passed = max(0.0, time.time() - then)
    for limit, unit in ((90, "s"), (90 * 60, "min"), (48 * 3600, "h"), (float("inf"), "d")):
        if passed < limit:
            size = {"s": 1, "min": 60, "h": 3600, "d": 86400}[unit]
            return f"{passed / size:.0f} {unit} ago"
    return ""


def size(count: float) -> str:
    """Bytes as '12 B', '12 KiB', '512 MiB' or '2.0 GiB'."""
    if count < 2**10:
        return f"{count:.0f} B"
    if count >= 2**30:
        return f"{count / 2**30:.1f} GiB"
    return f"{count / 2**20:.0f} MiB" if count >= 2**20 else f"{count / 2**10:.0f} KiB"


class Progress:
    """Numbered steps with live text: rewritten in place on a terminal, plain lines elsewhere, silent with `quiet`."""

    FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

    def __init__(self, total: int, *, quiet: bool = False) -> None:
        self.total, self.number, self.quiet = total, 0, quiet
        self.live = sys.stderr.isatty() and not quiet
        self.title, self.text, self._began = "", "", time.monotonic()
        self._lock = threading.Lock()
        self._ticker: threading.Thread | None = None
        self._stop = threading.Event()

    def step(self, title: str) -> None:
        """Begin the next step."""
        self.number += 1
        self.title, self.text, self._began = title, "", time.monotonic()
        if self.live and self._ticker is None:
            self._ticker = threading.Thread(target=self._tick, daemon=True)
            self._ticker.start()
        elif not self.live and not self.quiet:
            click.echo(f"[{self.number}/{self.total}] {title} …", err=True)

    def update(self, text: str) -> None:
        """What the step is doing now."""
        if text == self.text:
            return
        self.text = text
        if not self.live and not self.quiet:
            click.echo(f"      {text}", err=True)

    def done(self, text: str) -> None:
        """The step has ended well."""
        took = time.monotonic() - self._began
        mark = click.style("✔", fg="green") if self.live else "ok"
        with self._lock:
            self._clear()
            if not self.quiet:
                head = f"{mark} {self.title}: " if self.live else "      "
                click.echo(f"{head}{text} ({took:.1f} s)", err=True)
            self.title = ""

    def close(self) -> None:
        """No more steps."""
        self._stop.set()
        with self._lock:
            self._clear()
            self.title = ""

    def _clear(self) -> None:
        if self.live:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()

    def _tick(self) -> None:
        frame = 0
        while not self._stop.wait(0.1):
            with self._lock:
                if not self.title:
                    continue
                frame = (frame + 1) % len(self.FRAMES)
                took = time.monotonic() - self._began
                line = f"{self.FRAMES[frame]} [{self.number}/{self.total}] {self.title}  {self.text}  {took:.0f} s"
                width = shutil.get_terminal_size((120, 24)).columns
                sys.stderr.write("\r\x1b[2K" + line[: width - 1])
                sys.stderr.flush()
