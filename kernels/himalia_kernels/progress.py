"""Tell the service which cell runs, without ever holding up a cell."""

from __future__ import annotations

import logging
import threading
from http.client import HTTPException
from pathlib import Path
from typing import Any

from himalia._http import send

log = logging.getLogger(__name__)
POST_SECONDS = 3.0


class ProgressReporter:
    """Posts the latest progress from a thread of its own; what it has no time for is passed over."""

    def __init__(self, url: str, token_file: Path | None) -> None:
        self._url = url
        self._token_file = token_file
        self._latest: dict[str, Any] | None = None
        self._closed = False
        self._failed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="himalia-progress", daemon=True)
        self._thread.start()

    def report(self, cell: int, cells: int, label: str | None) -> None:
        """Cell *cell* of *cells*, from 1, runs now."""
        with self._changed:
            self._latest = {"cell": cell, "cells": cells, "label": label}
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
                self._changed.wait_for(lambda: self._latest is not None or self._closed)
                body, self._latest = self._latest, None
                if body is None:
                    return
            self._post(body)

    def _post(self, body: dict[str, Any]) -> None:
        try:
            token = self._token_file.read_text("ascii").strip() if self._token_file else None
            reply = send("POST", self._url, token=token, body=body, timeout=POST_SECONDS)
        except (OSError, HTTPException, ValueError) as error:
            self._fail(str(error))
        else:
            if reply.status >= 300:
                self._fail(f"the service answered {reply.status}")

    def _fail(self, reason: str) -> None:
        if not self._failed:
            log.warning("progress is not reported: %s", reason)
        self._failed = True
