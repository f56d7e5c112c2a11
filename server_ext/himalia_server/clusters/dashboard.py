"""The door to a cluster's dashboard: Dask's own pages, for who may see the cluster. They change nothing.

A scheduler serves them on a unix socket (see `himalia.dask_preload`); of its routes only those are let through that
read. Dask's proxy to workers' ports and its scheduler API are not.

The pages come to a browser from JupyterLab's own address, and some put names of tasks and texts of exceptions into
the page as they are. So only the scripts that the scheduler itself wrote into a page may run, each named by its hash;
what data smuggles in later may not. This does not hold against somebody who runs code *in* the scheduler: attaching
a project to a cluster declares trust in all who may connect to it.
"""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any
from urllib.parse import quote

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
    | info/main/[a-z-]+\.html | info
    | info/(?:worker|task|logs|call-stack|call-stacks)/[^\x00-\x1f\x7f]+\.html  # an address or a task's key
    | json/[A-Za-z0-9._-]+ | individual-plots\.json | sitemap\.json | health
    | statics?(?:/[A-Za-z0-9@._-]+)+
    """
)
CONNECT_SECONDS = 5.0
FIRST_SECONDS = 60.0
"""The first page has Bokeh imported, on a machine that may be busy with tasks."""
MESSAGE_BYTES = 64 << 20
_SENT = ("accept", "if-none-match", "if-modified-since", "user-agent")  # no accept-encoding: pages are read here
_KEPT = ("content-type", "etag", "last-modified", "cache-control", "location")
_DEEP = re.compile(r"(info/(?:worker|task|logs|call-stack|call-stacks))/(.+)\.html")
_INLINE = re.compile(rb"<script(?P<attributes>[^>]*)>(?P<text>.*?)</script>", re.DOTALL | re.IGNORECASE)
_MENU = b"myFunction()"
"""The one handler within Dask's pages: it opens the menu on a narrow page."""


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
    if upstream.status != 200 or upstream.content_type != "text/html":
        return _Forwarded(session, upstream, request.method == "HEAD")
    try:
        return await _page(upstream, path)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unavailable(f"The cluster's scheduler broke off: {error}.", hint="Try again shortly.") from error
    finally:
        upstream.close()
        await session.close()


async def _page(upstream: aiohttp.ClientResponse, path: str) -> Response:
    """A page of Dask's, with a policy that lets run what Dask wrote into it."""
    text = await upstream.read()
    # the pages about one worker or task think they are one level deeper than a browser sees them
    text = text.replace(b"../../../statics", b"../../statics")
    return Response(text, 200, _policy(_scripts(text) if "/" not in path else []), upstream.headers["content-type"])


def _scripts(page: bytes) -> list[bytes]:
    inline = [match["text"] for match in _INLINE.finditer(page) if b"src=" not in match["attributes"]]
    return [*inline, _MENU]


def _policy(scripts: list[bytes]) -> dict[str, str]:
    """Headers that allow these inline scripts and no others. Bokeh makes functions from texts, hence unsafe-eval."""
    hashes = "".join(f" 'sha256-{b64encode(sha256(script).digest()).decode()}'" for script in scripts)
    policy = (
        "default-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; "
        f"script-src 'self' 'unsafe-eval' 'unsafe-hashes'{hashes}; frame-src 'none'; frame-ancestors 'self'"
    )
    return {"content-security-policy": policy, "x-content-type-options": "nosniff"}


def _target(path: str, request: Request | WebSocket) -> URL:
    query = request.scope["query_string"].decode("latin-1")
    deep = _DEEP.fullmatch(path)
    # an address (tls://…) or a task's key is one part of the path, whatever it holds
    quoted = f"/{deep[1]}/{quote(deep[2], safe='')}.html" if deep else f"/{quote(path)}"
    return URL(f"http://localhost{quoted}" + (f"?{query}" if query else ""), encoded=True)


class _Forwarded(StreamingResponse):
    def __init__(self, session: aiohttp.ClientSession, upstream: aiohttp.ClientResponse, without_body: bool) -> None:
        headers = {name: upstream.headers[name] for name in _KEPT if name in upstream.headers} | _policy([])
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
