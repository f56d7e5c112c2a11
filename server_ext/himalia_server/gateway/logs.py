"""One line of JSON a log entry, on standard error. Never a token, never a body."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from typing import Any


class Log:
    """Writes the entries of one *part* (``parent``, ``worker``) of the gateway."""

    def __init__(self, part: str) -> None:
        self._part = part

    def info(self, message: str, **values: Any) -> None:
        """Something that an operator wants to find later."""
        self._write("info", message, values)

    def warning(self, message: str, **values: Any) -> None:
        """Something went wrong and is being handled."""
        self._write("warning", message, values)

    def error(self, message: str, **values: Any) -> None:
        """Something went wrong that a person must look at."""
        self._write("error", message, values)

    def _write(self, level: str, message: str, values: dict[str, Any]) -> None:
        line = {"ts": round(time.time(), 3), "level": level, "part": self._part, "pid": os.getpid()}
        with contextlib.suppress(OSError):  # a full disk must not end the predictions
            sys.stderr.write(json.dumps({**line, "message": message, **values}) + "\n")
            sys.stderr.flush()
