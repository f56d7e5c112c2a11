"""Structured logs: one JSON object a line, rotated by size."""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import traceback
from contextvars import ContextVar
from pathlib import Path
from typing import Any

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
INNER_FRAMES = 8
_PLAIN = set(vars(logging.makeLogRecord({})))


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
