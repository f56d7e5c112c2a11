"""The door to a cluster's dashboard: Dask's own pages, for who may see the cluster. They change nothing.

A scheduler serves them on a unix socket (see `himalia.dask_preload`); of its routes only those are let through that
read. Dask's proxy to workers' ports and its scheduler API are not.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from yarl import URL

from ..service.problems import NotFound, Unavailable

ALLOWED = re.compile(
    r"""(?x)
    [a-z0-9-]*                                          # a Bokeh document: status, workers, individual-…
    | [a-z0-9-]+/(?:ws|autoload\.js|metadata)           # what its page asks for
    | info(?:/[A-Za-z0-9%:._~(),' -]+)*\.html | info
    | json/[A-Za-z0-9._-]+ | individual-plots\.json | sitemap\.json | health
    | statics?(?:/[A-Za-z0-9@._-]+)+
    """
)
CONNECT_SECONDS = 5.0
FIRST_SECONDS = 60.0
"""The first page has Bokeh imported, on a machine that may be busy with tasks."""
MESSAGE_BYTES = 64 << 20
_SENT = ("accept", "accept-encoding", "if-none-match", "if-modified-since", "user-agent")
_KEPT = ("content-type", "content-encoding", "content-length", "etag", "last-modified", "cache-control", "location")
_PAGE_HEADERS = {
    # names of tasks and lines of logs are users' text: nothing they smuggle in may talk to other hosts
    "content-security-policy": "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; frame-ancestors 'self'",
    "x-content-type-options": "nosniff",
}


def _session(socket: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(socket),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=FIRST_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )


def check_path(path: str) -> None:
    """Refuse a path of the scheduler's server that is none of the dashboard.

    Raises:
        NotFound: it is not.
    """
    if not ALLOWED.fullmatch(path) or ".." in path:
        raise NotFound(f"The dashboard has no page {path[:80]!r}.", hint="The first page is 'status'.")


async def forward(request: Request, socket: str, path: str) -> Response:
    """Answer a GET or HEAD with the scheduler's page.

    Raises:
        NotFound: no page of the dashboard. Unavailable: the scheduler does not answer.
    """
    check_path(path)
    headers = {name: request.headers[name] for name in _SENT if name in request.headers}
    session = _session(socket)
    try:
        upstream = await session.request(request.method, _target(path, request), headers=headers, allow_redirects=False)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        await session.close()
        raise Unavailable(f"The cluster's scheduler does not answer: {error}.", hint="Try again shortly.") from error
    except BaseException:
        await session.close()
        raise
    return _Forwarded(session, upstream, request.method == "HEAD")


def _target(path: str, request: Request | WebSocket) -> URL:
    query = request.scope["query_string"].decode("latin-1")
    quoted = URL.build(scheme="http", host="localhost", path=f"/{path}").raw_path
    return URL(f"http://localhost{quoted}" + (f"?{query}" if query else ""), encoded=True)


class _Forwarded(StreamingResponse):
    def __init__(self, session: aiohttp.ClientSession, upstream: aiohttp.ClientResponse, without_body: bool) -> None:
        headers = {name: upstream.headers[name] for name in _KEPT if name in upstream.headers} | _PAGE_HEADERS
        location = headers.get("location", "")
        if location.startswith("/"):
            # the scheduler does not know where it is mounted; its pages refer to each other relatively
            headers["location"] = "." + location if upstream.url.path.count("/") == 1 else ".." + location
        super().__init__(_chunks(upstream, without_body), upstream.status, headers)
        self._session, self._upstream = session, upstream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._upstream.close()
            await self._session.close()


async def _chunks(upstream: aiohttp.ClientResponse, without_body: bool) -> AsyncIterator[bytes]:
    if without_body:
        return
    async for chunk in upstream.content.iter_chunked(1 << 16):
        yield chunk


async def bridge(websocket: WebSocket, socket: str, path: str) -> None:
    """Connect a page's WebSocket with the scheduler's, until one of them ends."""
    check_path(path)
    offered = [word.strip() for word in websocket.headers.get("sec-websocket-protocol", "").split(",") if word.strip()]
    async with _session(socket) as session:
        try:
            upstream = await session.ws_connect(
                _target(path, websocket), protocols=offered, max_msg_size=MESSAGE_BYTES, autoping=True
            )
        except (aiohttp.ClientError, TimeoutError, OSError):
            await websocket.close(1013, "the cluster's scheduler does not answer")
            return
        async with upstream:
            # by hand, because Bokeh offers a token as a second protocol and gets the first back
            await websocket.accept(subprotocol=upstream.protocol)
            ways = [asyncio.create_task(_down(upstream, websocket)), asyncio.create_task(_up(websocket, upstream))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)


async def _down(upstream: aiohttp.ClientWebSocketResponse, websocket: WebSocket) -> None:
    async for message in upstream:
        if message.type is aiohttp.WSMsgType.TEXT:
            await websocket.send_text(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            await websocket.send_bytes(message.data)
    await websocket.close(1012, "the scheduler ended the connection")


async def _up(websocket: WebSocket, upstream: aiohttp.ClientWebSocketResponse) -> None:
    try:
        while True:
            message: dict[str, Any] = dict(await websocket.receive())
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") is not None:
                await upstream.send_str(message["text"])
            elif message.get("bytes") is not None:
                await upstream.send_bytes(message["bytes"])
    except (WebSocketDisconnect, ConnectionError):
        return
