"""The door: nothing but /health is reached without a valid token, whether the path exists or not."""

from __future__ import annotations

import asyncio

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from .auth import bearer, identify
from .context import Context
from .journal import audit
from .problems import Unauthenticated

OPEN = {"/health"}


class Gatekeeper:
    """ASGI middleware that finds out who calls (`request.state.principal`), or refuses with 401 and an audit row."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self.app, self.context = app, context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in or refuse."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in OPEN:
            await self.app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        principal = await asyncio.to_thread(identify, self.context, bearer(connection))
        if principal is None:
            await asyncio.to_thread(self._record, scope)
            await self._refuse(scope, receive, send)
            return
        scope.setdefault("state", {})["principal"] = principal
        await self.app(scope, receive, send)

    def _record(self, scope: Scope) -> None:
        with self.context.database.write() as session:
            detail = {"method": scope.get("method", "WEBSOCKET")}
            path = scope["path"][:200]
            audit(session, actor="?", purpose="none", action="sign-in", subject=path, outcome="denied", detail=detail)

    @staticmethod
    async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 4401, "reason": "a valid token is needed"})
            return
        problem = Unauthenticated(
            "This needs a valid token, in the header 'Authorization: Bearer …'.",
            hint="The himalia command and JupyterLab add it by themselves; `himalia doctor` shows whether they can.",
        )
        headers = {"WWW-Authenticate": "Bearer"}
        if scope["path"].startswith("/mlflow/"):
            document = {"error_code": "UNAUTHENTICATED", "message": problem.detail}
            await JSONResponse(document, 401, headers=headers)(scope, receive, send)
            return
        document = problem.to_dict()
        await JSONResponse(document, 401, headers=headers, media_type="application/problem+json")(scope, receive, send)
