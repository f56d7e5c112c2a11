"""The door: nothing but /health is reached without a valid token, whether the path exists or not."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from . import tokens
from .auth import METRICS, bearer, forwarded_person, identify
from .context import Context
from .journal import audit
from .problems import Forbidden, Problem, Unauthenticated, Unavailable, Unreadable
from .replies import reply

OPEN = {"/health"}
METRICS_PATH = "/api/v1/metrics"
WINDOW = 10.0
"""Seconds in which refused callers are counted, not listed."""


class Denials:
    """Audit rows of refused callers. The first of a while is written at once, the rest of it as one row with their
    number, so that a flood of requests is no flood of rows."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._lock = threading.Lock()
        self._since = 0.0
        self._count = 0
        self._paths: set[str] = set()

    def record(self, method: str, path: str) -> None:
        """A caller without a valid token was refused."""
        with self._lock:
            if time.monotonic() - self._since < WINDOW:
                self._count += 1
                if len(self._paths) < 10:
                    self._paths.add(path)
                return
        self.flush()
        with self._lock:
            self._since = time.monotonic()
        self._write(path, {"method": method})

    def flush(self) -> None:
        """Write what was only counted."""
        with self._lock:
            count, paths = self._count, sorted(self._paths)
            self._count, self._paths = 0, set()
        if count:
            self._write(", ".join(paths), {"count": count})

    def _write(self, subject: str, detail: dict[str, Any]) -> None:
        with self.context.database.write() as session:
            audit(
                session, actor="?", purpose="none", action="sign-in", subject=subject, outcome="denied", detail=detail
            )


class Gatekeeper:
    """ASGI middleware that finds out who calls (`request.state.principal`), or refuses with 401 and an audit row."""

    def __init__(self, app: ASGIApp, context: Context, denials: Denials) -> None:
        self.app, self.context, self.denials = app, context, denials
        # of its own: whatever hangs in other threads, callers are still told who they are
        self._threads = ThreadPoolExecutor(4, "gatekeeper")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in or refuse."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in OPEN:
            await self.app(scope, receive, send)
            return
        if "\0" in scope["path"]:
            # no store takes it, not even for the audit log; nothing is looked up, so nothing is told
            await self._close(
                scope, receive, send, Unreadable("The address holds a NUL character (%00).", hint="Leave it out.")
            )
            return
        connection = HTTPConnection(scope)
        who = (bearer(connection), forwarded_person(connection))
        loop = asyncio.get_running_loop()
        principal = await loop.run_in_executor(self._threads, identify, self.context, *who)
        if principal is None and await loop.run_in_executor(self._threads, self._is_late, who[0]):
            problem = Unavailable("Tokens are being renewed: the clock was set, or the machine slept.")
            await self._close(scope, receive, send, problem, {"Retry-After": "1"})
            return
        if principal is None:
            method = scope.get("method", "WEBSOCKET")
            await asyncio.to_thread(self.denials.record, method, scope["path"][:200])
            await self._refuse(scope, receive, send)
            return
        if principal.purpose == METRICS and scope["path"] != METRICS_PATH:
            refusal = Forbidden(f"The token for metrics reads {METRICS_PATH} and nothing else.")
            await self._close(scope, receive, send, refusal)
            return
        scope.setdefault("state", {})["principal"] = principal
        await self.app(scope, receive, send)

    def _is_late(self, token: str | None) -> bool:
        """Whether a token would be valid, had it been renewed in time; now it is."""
        if token is None:
            return False
        with self.context.database.read() as session:
            late = tokens.is_late(session, token)
        if late:
            self.context.due.set()
        return late

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = Unauthenticated(
            "This needs a valid token, in the header 'Authorization: Bearer …'.",
            hint="The himalia command and JupyterLab add it by themselves; `himalia doctor` shows whether they can.",
        )
        await self._close(scope, receive, send, problem, {"WWW-Authenticate": "Bearer"})

    @staticmethod
    async def _close(
        scope: Scope, receive: Receive, send: Send, problem: Problem, headers: dict[str, str] | None = None
    ) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 4000 + problem.status, "reason": problem.title})
            return
        await reply(scope["path"], problem, headers)(scope, receive, send)
