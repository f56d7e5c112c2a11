"""Tell the service which cell runs, without ever holding up a cell.

What is posted is ``{"cell": 3, "cells": 9, "label": "Join"}``: the cell (from 1) that was started last. In detail there
are also ``cells_done`` (how many ended well), ``running`` (whether that cell still runs) and ``ended``: the cells that
ended since the last post that arrived, each ``{"cell": 2, "seconds": 0.71, "status": "succeeded"}``.
"""

from __future__ import annotations

import logging
import threading
from http.client import HTTPException
from pathlib import Path
from typing import Any

from himalia._http import send

log = logging.getLogger(__name__)
POST_SECONDS = 3.0
MOST_ENDED = 500
"""How many ends one post tells."""


class ProgressReporter:
    """Posts the latest progress from a thread of its own; what it has no time for is passed over, but for ends."""

    def __init__(self, url: str, token_file: Path | None, detail: bool = False) -> None:
        self._url = url
        self._token_file = token_file
        self._detail = detail
        self._state: dict[str, Any] = {}
        self._extra: dict[str, Any] = {"cells_done": 0, "running": False}
        self._ended: list[dict[str, Any]] = []
        self._news = False
        self._closed = False
        self._failed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="himalia-progress", daemon=True)
        self._thread.start()

    def report(self, cell: int, cells: int, label: str | None) -> None:
        """Cell *cell* of *cells*, from 1, runs now."""
        with self._changed:
            self._state = {"cell": cell, "cells": cells, "label": label}
            self._extra["running"] = True
            self._tell()

    def ended(self, cell: int, seconds: float, status: str) -> None:
        """Cell *cell* has ended after *seconds*."""
        if not self._detail:
            return
        with self._changed:
            self._extra["running"] = False
            self._extra["cells_done"] += status == "succeeded"
            self._ended.append({"cell": cell, "seconds": round(seconds, 3), "status": status})
            self._tell()

    def _tell(self) -> None:
        self._news = True
        self._changed.notify()

    def close(self) -> None:
        """Send what is left; returns after a second at the latest."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(1.0)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._news or self._closed)
                if not self._news:
                    return
                self._news = False
                ended = self._ended[:MOST_ENDED]
                body = self._state | (self._extra | {"ended": ended} if self._detail else {})
            if self._post(body):
                with self._changed:
                    del self._ended[: len(ended)]
                    # what did not fit is sent at once
                    self._news = self._news or bool(self._ended)

    def _post(self, body: dict[str, Any]) -> bool:
        """Whether the service took it."""
        try:
            token = self._token_file.read_text("ascii").strip() if self._token_file else None
            reply = send("POST", self._url, token=token, body=body, timeout=POST_SECONDS)
        except (OSError, HTTPException, ValueError) as error:
            self._fail(str(error))
            return False
        if reply.status >= 300:
            self._fail(f"the service answered {reply.status}")
        return reply.status < 300

    def _fail(self, reason: str) -> None:
        if not self._failed:
            log.warning("progress is not reported: %s", reason)
        self._failed = True
