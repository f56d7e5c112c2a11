"""Structured logs: one JSON object a line, rotated by size."""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import re
import traceback
from contextvars import ContextVar
from pathlib import Path
from typing import Any

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The request that is worked on, or that had this thread started: from the browser to the children one id."""
REQUEST_VARIABLE = "HIMALIA_REQUEST"
"""Tells it to children of the service, and so to their requests to the service (`himalia._http`)."""
DECENT = re.compile(r"[A-Za-z0-9-]{1,64}")
INNER_FRAMES = 8
_PLAIN = set(vars(logging.makeLogRecord({})))


def decent_id(sent: str | None) -> str:
    """The id of a request: what its sender chose, when that can do no harm in logs and headers, else a new one."""
    return sent if sent and DECENT.fullmatch(sent) else os.urandom(8).hex()


class JsonFormatter(logging.Formatter):
    """Time (UTC), level, logger, message, request id, and whatever was passed as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, Any] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (current := request_id.get()) is not None:
            line["request"] = current
        line |= {key: value for key, value in vars(record).items() if key not in _PLAIN and key != "message"}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name is logging's
        """The innermost frames; those of the web framework say nothing."""
        return "".join(traceback.format_exception(*ei, limit=-INNER_FRAMES))


class _PrivateHandler(logging.handlers.RotatingFileHandler):
    def _open(self) -> Any:
        return os.fdopen(os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a")


def configure(path: Path, megabytes: int) -> None:
    """Send the service's log to *path*, with three older parts of *megabytes* each."""
    handler = _PrivateHandler(path, maxBytes=megabytes << 20, backupCount=3)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)


def last_line(path: Path) -> str | None:
    """The last line of a log that says something; None when there is none."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else None
