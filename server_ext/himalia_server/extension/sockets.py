"""WebSockets between the browser and the service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from tornado import web
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

from himalia_server import __version__
from himalia_server.service.problems import Problem

from . import wire
from .handlers import SocketHandler
from .identity import acting_for
from .link import NewerService, NotRunning, Upstream

if TYPE_CHECKING:
    import aiohttp

    ClientSocket = aiohttp.ClientWebSocketResponse[Literal[True]]

STOPPED, NEWER, REFUSED, RESTARTS, AWAY, FAULT = 4503, 4409, 4401, 1012, 1001, 1011
"""Close codes; `himalia/api/events` documents its own."""
_UNSENDABLE = {1004, 1005, 1006, 1015}
BIGGEST_AFTER = 2**63 - 1


class Bridge(SocketHandler):
    """A browser's socket and the service's, tied together.

    Nothing is queued on the way: a message is read only when the one before has left for the other side, so that who
    is slow slows the sender down.
    """

    target: str
    """Path and query at the service."""
    _other: ClientSocket | None = None
    _running: asyncio.Task[None] | None = None

    async def dial(self, find: Callable[[], Awaitable[Upstream]], protocols: Sequence[str] = ()) -> Upstream:
        """Open the service's socket at `target`. A service that has moved is found again.

        Raises:
            aiohttp.WSServerHandshakeError: it refuses. aiohttp.ClientError: it does not answer. What *find* raises.
        """
        session = await self.link.session()  # has imported it in a thread
        import aiohttp

        upstream = await find()
        try:
            self._other = await self._connect(session, upstream, protocols)
        except aiohttp.WSServerHandshakeError as error:
            if error.status in (401, 403):
                self.link.forget(upstream)  # perhaps there is a new token
            raise
        except aiohttp.ClientError:
            self.link.forget(upstream)
            upstream = await find()
            self._other = await self._connect(session, upstream, protocols)
        return upstream

    async def _connect(
        self, session: aiohttp.ClientSession, upstream: Upstream, protocols: Sequence[str]
    ) -> ClientSocket:
        from yarl import URL

        user = acting_for(self.identity_provider, self.current_user)
        headers = self.forwarded_headers() | upstream.headers(user)
        url = URL(upstream.address + self.target, encoded=True)
        return await session.ws_connect(url, headers=headers, protocols=protocols, max_msg_size=0)

    def start(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run *work* for as long as the browser is there."""

        async def run() -> None:
            self.link.bridges.add(self)
            try:
                await work()
            except (WebSocketClosedError, StreamClosedError):
                return  # the browser has gone
            except Exception:
                self.log.exception("Himalia: a WebSocket broke (request %s)", self.request_id)
                self.close(FAULT)
            finally:
                await self._hang_up()

        self._running = asyncio.create_task(run())

    def on_close(self) -> None:
        """The browser has gone."""
        if self._running is not None:
            self._running.cancel()

    async def shut_down(self) -> None:
        """This server ends."""
        self.close(RESTARTS, "The Jupyter server stops.")
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def copy(self, other: ClientSocket) -> None:
        """Pass on what the service sends until it closes."""
        import aiohttp

        async for message in other:
            if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                await self.write_message(message.data, binary=message.type == aiohttp.WSMsgType.BINARY)

    async def _hang_up(self) -> None:
        other, self._other = self._other, None
        if other is not None:
            with suppress(OSError, RuntimeError, TimeoutError):
                await other.close(code=AWAY)


class EventsSocket(Bridge):
    """`himalia/api/events?after=N`: what happens at the site, as it happens."""

    async def prepare(self) -> None:  # type: ignore[override]
        """Refuse a bad number before the upgrade."""
        await super().prepare()
        after = self.get_query_argument("after", None)
        if after is not None and not (after.isascii() and after.isdigit() and int(after) <= BIGGEST_AFTER):
            raise web.HTTPError(400, "'after' is the number of an event.")
        self.target = "/api/v1/events/socket" + (f"?after={after}" if after is not None else "")

    @web.authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]  # as Jupyter's own sockets
        """Upgrade."""
        await super().get(*args, **kwargs)

    def open(self, *_path: str) -> None:
        """Tie it to the service."""
        self.start(self._follow)

    def on_message(self, message: str | bytes) -> None:
        """Nothing that the browser says matters here."""

    async def _follow(self) -> None:
        await self.link.session()
        import aiohttp

        try:
            upstream = await self.dial(self._service)
        except NewerService as problem:
            return self._end(NEWER, problem)
        except NotRunning as problem:
            return self._end(STOPPED if problem.service == "stopped" else RESTARTS, problem)
        except aiohttp.WSServerHandshakeError as error:
            return self.close(REFUSED if error.status in (401, 403) else FAULT)
        except aiohttp.ClientError:
            return self.close(RESTARTS, "the service does not answer")
        except (Problem, OSError, RuntimeError) as error:
            self.log.warning("Himalia: %s", error)
            return self._end(STOPPED, error)
        other = self._other
        assert other is not None
        await self.copy(other)
        if other.close_code == REFUSED:
            return self.close(REFUSED)
        stopped = await self.link.ended(upstream) == "stopped"
        return self.close(STOPPED if stopped else RESTARTS)

    async def _service(self) -> Upstream:
        upstream = await self.link.upstream()
        return upstream if upstream.found.version == __version__ else await self.link.ensure()

    def _end(self, code: int, error: Exception) -> None:
        # a close reason may have 123 bytes
        self.close(code, str(error).encode(errors="replace")[:120].decode(errors="ignore"))


class DashboardSocket(Bridge):
    """`himalia/dashboard/<slug>/<cluster>/<page>/ws`: what keeps a page of Dask's dashboard up to date (Bokeh)."""

    async def prepare(self) -> None:  # type: ignore[override]
        """Check the address."""
        await super().prepare()
        try:
            self.target = wire.upstream_target(self.request.uri or "", self.base_url)
        except wire.BadAddressError as error:
            raise web.HTTPError(400, str(error)) from error

    @web.authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]  # as Jupyter's own sockets
        """Upgrade once the dashboard has agreed, with the subprotocol that it has chosen."""
        if self.request.headers.get("Upgrade", "").lower() != "websocket":
            raise web.HTTPError(400, "This is the address of a WebSocket.")
        await self.link.session()
        import aiohttp

        offered = self.request.headers.get("Sec-WebSocket-Protocol", "")
        protocols = [name.strip() for name in offered.split(",") if name.strip()]
        try:
            await self.dial(self.link.upstream, protocols)
        except aiohttp.WSServerHandshakeError as error:
            raise web.HTTPError(error.status if 400 <= error.status < 600 else 502) from error
        except aiohttp.ClientError as error:
            raise web.HTTPError(502, "The dashboard does not answer.") from error
        except Problem as problem:
            raise web.HTTPError(problem.status, problem.detail) from problem
        except (OSError, RuntimeError) as error:
            self.log.warning("Himalia: %s", error, exc_info=True)
            raise web.HTTPError(503, "The service cannot be used.") from error
        try:
            await super().get(*args, **kwargs)
        finally:
            if self.ws_connection is None:
                await self._hang_up()

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """The one that the dashboard has chosen; Bokeh offers a session's token as another one."""
        return self._other.protocol if self._other is not None else None

    def open(self, *_path: str) -> None:
        """Both sides are there."""
        self.start(self._carry)

    async def on_message(self, message: str | bytes) -> None:
        """Pass on; the next message is read when this one has left."""
        other = self._other
        if other is not None and not other.closed:
            with suppress(OSError, RuntimeError):
                await (other.send_bytes(message) if isinstance(message, bytes) else other.send_str(message))

    async def _carry(self) -> None:
        other = self._other
        assert other is not None
        await self.copy(other)
        code = other.close_code or AWAY
        self.close(AWAY if code in _UNSENDABLE else code)
