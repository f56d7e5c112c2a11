"""Requests over HTTP, passed on to the service as a stream in both directions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from tornado import web
from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError

from himalia_server.service.problems import Invalid, Problem, Unavailable

from . import wire
from .handlers import PAGE_POLICY, Guarded, HimaliaHandler, PageHandler
from .identity import acting_for

if TYPE_CHECKING:
    import aiohttp

    from .link import Upstream

UNLIMITED = 1 << 62
"""Files are as large as they are; the service refuses what it would have to hold in memory."""
HEAD_SECONDS = 90.0
QUEUED_CHUNKS = 8
"""Parts of a body (of 64 KiB each) that wait for the service; then the browser waits."""
_READING = ("GET", "HEAD")
_XSRF_COOKIE = "mlflow-request-header-X-XSRFToken"


class _Body:
    """A request's body on its way to the service. Nobody holds more of it than `QUEUED_CHUNKS`."""

    def __init__(self) -> None:
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUED_CHUNKS)
        self._unwanted = asyncio.Event()
        self.begun = False

    async def put(self, chunk: bytes | None) -> None:
        """Add a part, None at the end; waits for room. What nobody will read is dropped."""
        put = asyncio.ensure_future(self._chunks.put(chunk))
        unwanted = asyncio.ensure_future(self._unwanted.wait())
        try:
            await asyncio.wait((put, unwanted), return_when=asyncio.FIRST_COMPLETED)
        finally:
            put.cancel()
            unwanted.cancel()

    def drop(self, _answer: object = None) -> None:
        """The service has answered, or nobody has: the rest is read from the browser and forgotten."""
        self._unwanted.set()

    async def parts(self) -> AsyncIterator[bytes]:
        """The parts as they come."""
        while True:
            chunk = await self._chunks.get()
            if chunk is None:
                return
            self.begun = True
            yield chunk


class Forward(Guarded):
    """Passes a request on, once `prepare` of the other base has let it in. To be mixed in before that base."""

    _prepared = False
    _refusal: web.HTTPError | None = None
    _body: _Body | None = None
    _asking: asyncio.Task[aiohttp.ClientResponse] | None = None
    _relaying: asyncio.Task[None] | None = None

    async def prepare(self) -> None:  # type: ignore[override]  # as Jupyter's own APIHandler has it
        """After all checks, begin to pass on; the body comes while the service reads it.

        Who is refused is told so after the body: Tornado closes a connection whose body was not read, and the browser
        would see that instead of the answer.
        """
        try:
            await super().prepare()
            if not self._finished and self.request.method != "OPTIONS":
                self._begin()
        except web.HTTPError as error:
            if self.request.method == "OPTIONS":
                raise
            self._refusal = error
        self._prepared = True

    def finish(self, *args: Any, **kwargs: Any) -> asyncio.Future[None]:
        """An answer as early as a redirect to the login ends the connection; say so."""
        if not self._prepared:
            self.set_header("Connection", "close")
        return super().finish(*args, **kwargs)

    def _begin(self) -> None:
        try:
            target = wire.upstream_target(self.request.uri or "", self.base_url)
        except wire.BadAddressError as error:
            raise web.HTTPError(400, str(error)) from error
        user = acting_for(self.identity_provider, self.current_user)
        headers = self.request.headers
        if "Transfer-Encoding" in headers or headers.get("Content-Length", "0") != "0":
            self._body = _Body()
            if isinstance(self.request.connection, HTTP1Connection):
                self.request.connection.set_max_body_size(UNLIMITED)
        if self.request.method not in _READING:
            where = target.partition("?")[0]
            self.log.info("Himalia: %s %s is request %s", self.request.method, where, self.request_id)
        self._asking = asyncio.create_task(self._ask(target, user))
        if self._body is not None:
            self._asking.add_done_callback(self._body.drop)

    async def data_received(self, chunk: bytes) -> None:
        """A part of the body."""
        if self._body is not None:
            await self._body.put(chunk)

    def on_connection_close(self) -> None:
        """The browser has gone: so does what was asked for it."""
        super().on_connection_close()
        for task in (self._asking, self._relaying):
            if task is not None:
                task.cancel()

    async def forward(self, *_path: str) -> None:
        """The answer, whatever the verb."""
        if self._refusal is not None:
            raise self._refusal
        assert self._asking is not None
        if self._body is not None:
            await self._body.put(None)
        self._relaying = asyncio.create_task(self._relay(self._asking))
        try:
            await self._relaying
        except asyncio.CancelledError:
            if not self._relaying.cancelled():
                raise  # it is us who are cancelled, not the browser that has gone

    async def _ask(self, target: str, user: str | None) -> aiohttp.ClientResponse:
        """The service's answer as soon as its headers are there.

        A service that has moved is found again, and asked again when nothing can have happened yet.
        """
        await self.link.session()  # has imported it in a thread
        import aiohttp

        for attempt in (1, 2):
            upstream = await self.link.upstream()
            try:
                answer = await self._send(upstream, target, user)
            except aiohttp.ClientError as error:
                self.link.forget(upstream)
                unsent = isinstance(error, aiohttp.ClientConnectorError) or self.request.method in _READING
                if attempt == 1 and unsent and not (self._body and self._body.begun):
                    continue
                why = type(error).__name__
                self.log.info("Himalia: the service did not answer request %s: %s", self.request_id, why)
                raise _silent(unsent) from error
            except ValueError as error:
                raise Invalid(f"The request cannot be passed on: {error}.") from error
            except TimeoutError as error:
                raise Unavailable(
                    f"The service has not answered within {HEAD_SECONDS:g} s.",
                    hint="If it stays so: himalia down, himalia up.",
                ) from error
            if answer.status != 401:
                return answer
            # The token is not the browser's, so a 401 would mislead it. A new service may have made a new one.
            answer.release()
            self.link.forget(upstream)
            if attempt == 2 or self._body is not None:
                break
        raise Unavailable(
            "The service does not take the token of this account.",
            hint="Restart the service to get a new one: himalia down, himalia up.",
        )

    async def _send(self, upstream: Upstream, target: str, user: str | None) -> aiohttp.ClientResponse:
        session = await self.link.session()
        # how long a body takes is the browser's affair; without one an answer begins soon
        patience = None if self._body is not None else HEAD_SECONDS
        async with asyncio.timeout(patience):
            return await self._request(session, upstream, target, user)

    async def _request(
        self, session: aiohttp.ClientSession, upstream: Upstream, target: str, user: str | None
    ) -> aiohttp.ClientResponse:
        from yarl import URL

        request = self.request
        return await session.request(
            request.method or "GET",
            URL(upstream.address + target, encoded=True),
            headers=wire.request_headers(request.headers) | self.forwarded_headers() | upstream.headers(user),
            data=self._body.parts() if self._body is not None else None,
            allow_redirects=False,
        )

    async def _relay(self, asking: asyncio.Task[aiohttp.ClientResponse]) -> None:
        try:
            answer = await asking
        except (Problem, OSError, RuntimeError) as error:
            self.fail(self.told(error))
            return
        try:
            self._copy_head(answer)
            await self._copy_body(answer)
        finally:
            answer.close()

    def _copy_head(self, answer: aiohttp.ClientResponse) -> None:
        self.set_status(answer.status, answer.reason or None)
        self.clear_header("Content-Type")
        content_type = answer.headers.get("Content-Type")
        if content_type is not None:
            self.set_header("Content-Type", content_type)
        for policy in answer.headers.getall("Content-Security-Policy", ()):
            if policy != PAGE_POLICY:
                self.add_header("Content-Security-Policy", policy)  # both hold: a browser takes the strictest
        for name, value in wire.response_headers(answer.headers.items(), answer.headers.get("Connection", "")):
            self.add_header(name, value)
        if "Location" in answer.headers:
            there = wire.location(answer.headers["Location"], str(answer.url), self.base_url)
            if there is not None:
                self.set_header("Location", there)

    async def _copy_body(self, answer: aiohttp.ClientResponse) -> None:
        import aiohttp

        try:
            # At once, because an answer may come slowly; and so that Tornado adds no validators of its own.
            await self.flush()
            async for chunk in answer.content.iter_any():
                self.write(chunk)
                await self.flush()
        except StreamClosedError:
            return  # the browser has gone
        except aiohttp.ClientError:
            # An end that looks complete would be a lie; the browser notices a broken connection.
            where = self.request.path
            self.log.warning("Himalia: the service's answer to %s broke off (request %s)", where, self.request_id)
            with suppress(StreamClosedError):
                self.detach().close()
            return
        self.conclude()

    def conclude(self) -> None:
        """End the answer, whose headers have gone already."""
        self.finish()


def _silent(unsent: bool) -> Problem:
    if unsent:
        return Unavailable("The service does not answer.", hint="Try again; himalia doctor shows what is wrong.")
    return Unavailable(
        "The service ended while it worked on this.", hint="Look whether it was done before you try again."
    )


@web.stream_request_body
class RestForward(Forward, HimaliaHandler):
    """`himalia/api/v1/…`: REST of the service."""

    actions: ClassVar[dict[str, str]] = {
        **dict.fromkeys(_READING, "read"),
        **dict.fromkeys(("POST", "PUT", "PATCH", "DELETE"), "write"),
    }

    get = head = post = put = patch = delete = web.authenticated(Forward.forward)

    def conclude(self) -> None:
        """End the answer; Jupyter's own finish would set a content type."""
        self.finish(set_content_type=self._headers.get("Content-Type", ""))


@web.stream_request_body
class MlflowForward(Forward, PageHandler):
    """`himalia/mlflow/<slug>/…`: MLflow's own page and what its scripts ask for."""

    actions = RestForward.actions
    get = head = post = put = patch = delete = web.authenticated(Forward.forward)

    def _copy_head(self, answer: aiohttp.ClientResponse) -> None:
        super()._copy_head(answer)
        if self.request.method == "GET" and answer.status == 200 and answer.content_type == "text/html":
            self._hand_out_xsrf_token()

    def _hand_out_xsrf_token(self) -> None:
        """MLflow's scripts send each cookie `mlflow-request-header-<name>` as the header of that name."""
        token: Any = self.xsrf_token
        self.set_cookie(
            _XSRF_COOKIE,
            quote(token.decode() if isinstance(token, bytes) else token, safe=""),
            path=f"{self.base_url}{wire.PREFIX}/mlflow/",
            samesite="Strict",
            secure=self.request.protocol == "https",
        )


@web.stream_request_body
class DashboardForward(Forward, PageHandler):
    """`himalia/dashboard/<slug>/<cluster>/…`: pages of Dask's dashboard, which only read."""

    actions: ClassVar[dict[str, str]] = dict.fromkeys(_READING, "read")
    get = head = web.authenticated(Forward.forward)
