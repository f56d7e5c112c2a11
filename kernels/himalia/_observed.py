"""Keeps record of the files below a stage's work folder that its kernel's code opens.

Where HIMALIA_OBSERVED names a file, a line is appended to it for each path the first time it is opened in that way:
``r`` or ``w``, a space, and the absolute path as a JSON text. ``!`` says that something may be missing. Only Python's
own opens are seen here, those of forked children included; the stage's process watches the folder as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any

VARIABLE = "HIMALIA_OBSERVED"
ROOT_VARIABLE = "HIMALIA_OBSERVED_ROOT"
LEFT_OUT = frozenset({".git", ".himalia", "__pycache__"})
CACHE = "__pycache__"


def start() -> None:
    """Keep record from now on, if this is the kernel of a stage. Cannot be ended: Python keeps its audit hooks."""
    place, root = os.environ.pop(VARIABLE, None), os.environ.pop(ROOT_VARIABLE, None)
    if not place or not root:
        return
    record = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    Recorder(record, root).begin()


class Recorder:
    """Writes to the descriptor *record* what is opened below *root*."""

    def __init__(self, record: int, root: str) -> None:
        self._record = record
        self._roots = tuple({root.rstrip(os.sep) + os.sep, os.path.realpath(root) + os.sep})
        self._seen: set[tuple[str, str]] = set()
        self._failed = False

    def begin(self) -> None:
        """Add the audit hook."""
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        # called for everything that is audited: the usual answer comes first
        if event == "open":
            flags = args[2]
            if isinstance(args[0], int) or not isinstance(flags, int):
                return
            access = flags & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR)
            modes = "w" if access == os.O_WRONLY or flags & os.O_TRUNC else "r" if access == os.O_RDONLY else "rw"
        elif event in ("os.rename", "os.link", "sqlite3.connect"):
            modes = "r"
        else:
            return
        try:
            for mode in modes:
                self._note(mode, args[0])
        except Exception:
            # never in the way of the user's code; the stage is told that its record is not complete
            if not self._failed:
                self._failed = True
                with contextlib.suppress(OSError):
                    os.write(self._record, b"!\n")

    def _note(self, mode: str, given: Any) -> None:
        path = os.fspath(given)
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if path.startswith("file:"):
            path = path[5:].partition("?")[0]  # sqlite's way to name a file
        if (mode, path) in self._seen:
            return  # only absolute paths are kept
        full = os.path.abspath(path)
        root = next((root for root in self._roots if full.startswith(root)), None)
        if root is None:
            return
        full = source_of(full)
        if (mode, full) in self._seen or not LEFT_OUT.isdisjoint(full[len(root) :].split(os.sep)):
            return
        self._seen.add((mode, full))
        os.write(self._record, f"{mode} {json.dumps(full)}\n".encode("ascii"))


def source_of(path: str) -> str:
    """The module whose compiled code *path* is; any other path as it is."""
    if not path.endswith(".pyc"):
        return path
    folder, name = os.path.split(path)
    if os.path.basename(folder) == CACHE:
        return os.path.join(os.path.dirname(folder), name.partition(".")[0] + ".py")
    source = path[:-1]
    return source if os.path.exists(source) else path  # a module may come without its source
