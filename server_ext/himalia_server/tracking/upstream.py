"""Connections of the service's event loop to MLflow's unix socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from yarl import URL

_CHUNK_BYTES = 256 << 10
# Less than the server's (see _serve.py): the side that sends should be the one that lets go of a connection.
_KEEPALIVE_S = 20.0
_CONNECT_S = 5.0
_READ_S = 600.0
_OUR_HEADERS = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


class UnreachableError(Exception):
    """MLflow is starting or dead: no socket, nobody listening, or the connection broke before an answer."""


class Upstream:
    """A pool of connections to MLflow. The pool is opened by the first request."""

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(str(self._socket_path), limit=0, keepalive_timeout=_KEEPALIVE_S),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_READ_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=_OUR_HEADERS,
                trust_env=False,
            )
        return self._session

    async def request(
        self, method: str, target: URL, headers: Mapping[str, str], body: bytes | AsyncIterator[bytes] | None
    ) -> aiohttp.ClientResponse:
        """Send a request and return MLflow's answer with its body still to be read.

        Raises UnreachableError, or ClientDisconnect when the one who sent *body* went away.
        """
        source = _WatchedBody(body) if isinstance(body, AsyncIterator) else None
        try:
            return await self._open().request(
                method,
                target,
                headers=headers,
                data=source.chunks() if source is not None else body,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if source is not None and source.client_left:
                raise ClientDisconnect from error
            raise UnreachableError(str(error)) from error

    async def json(self, method: str, target: URL, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """Send a request without a body; return status and JSON object."""
        plain = {name: value for name, value in headers.items() if name != "accept-encoding"}
        response = await self.request(method, target, plain, None)
        try:
            answer = json.loads(await response.read())
        except (aiohttp.ClientError, ValueError, TimeoutError) as error:
            raise UnreachableError(f"MLflow's answer to {target.path} broke off: {error}") from error
        finally:
            response.release()
        if not isinstance(answer, dict):
            raise UnreachableError(f"MLflow's answer to {target.path} is no JSON object")
        return response.status, answer

    async def run_exists(self, project: str, run_id: str) -> bool:
        """Whether *run_id* is a run of the project's workspace."""
        status, _ = await self._ask(project, f"/api/2.0/mlflow/runs/get?run_id={quote(run_id, safe='')}")
        return status == 200

    async def logged_model_status(self, project: str, model_id: str) -> str | None:
        """The status of a logged model (`LOGGED_MODEL_READY`, …), or None when the workspace lacks it."""
        status, answer = await self._ask(project, f"/api/2.0/mlflow/logged-models/{quote(model_id, safe='')}")
        return str(answer["model"]["info"]["status"]) if status == 200 else None

    async def _ask(self, project: str, path: str) -> tuple[int, dict[str, Any]]:
        status, answer = await self.json(
            "GET", URL(f"http://localhost{path}", encoded=True), {"x-mlflow-workspace": project}
        )
        if status >= 500:
            raise UnreachableError(f"MLflow answered {status} to {path}")
        return status, answer


class _WatchedBody:
    """A client's body on its way to MLflow, which remembers whether it was the client that broke off."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self.client_left = False

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._body:
                yield chunk
        except ClientDisconnect:
            self.client_left = True
            raise


class UpstreamResponse(StreamingResponse):
    """MLflow's answer, passed on chunk by chunk; lets go of the connection however it ends."""

    def __init__(
        self,
        upstream: aiohttp.ClientResponse,
        headers: list[tuple[str, str]],
        held: AsyncExitStack,
        without_body: bool,
    ) -> None:
        super().__init__(_nothing() if without_body else upstream.content.iter_chunked(_CHUNK_BYTES))
        self.status_code = upstream.status
        self.raw_headers = [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in headers]
        self._upstream = upstream
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self.drop()

    async def drop(self) -> None:
        """Let go of the connection; what is unread is not passed on."""
        # close, not release: an unread rest would otherwise be drained into memory
        if self._upstream.content.at_eof():
            self._upstream.release()
        else:
            self._upstream.close()
        await self._held.aclose()


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""
