"""HTTP/1.1 on one connection: parsing, order of pipelined responses, limits, time-outs."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol, cast

import httptools

from himalia_server.gateway.config import Limits
from himalia_server.gateway.exchange import Exchange

MAX_HEAD = 64 * 1024
MAX_PIPELINED = 32
MAX_DISCARDED = 64 * 1024
"""A refused request's body is read and thrown away up to this size, so that its connection can go on."""
MAX_FRAMING = 8
"""Bytes of chunk sizes, chunk extensions and trailers that are accepted for a byte of body."""
HOP_BY_HOP = frozenset(["connection", "upgrade", "http2-settings"])
LINGER_SECONDS = 2.0


class Application(Protocol):
    """Decides about requests."""

    @property
    def limits(self) -> Limits:
        """The limits that are in force now."""

    def begin(self, exchange: Exchange) -> None:
        """Look at a request's head; set `Exchange.refused` to answer without its body."""

    def complete(self, exchange: Exchange) -> None:
        """Answer a request, now or later."""


class Connection(asyncio.Protocol):
    """One client. ``closing`` makes each response the last one of its connection (while draining)."""

    def __init__(self, application: Application, connections: set[Connection]) -> None:
        self._application = application
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._exchanges: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._head_bytes = 0
        self._body_bytes = 0
        self._framed_bytes = 0
        self._in_body = False
        self._deaf = False
        """No more requests are read: the last response is being prepared or sent."""
        self._continue_due = False
        self._paused = False
        self._upgraded = False
        self._deadline = 0.0
        self.closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)
        self._deadline = self._loop.time() + self._application.limits.idle_seconds

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._transport = None
        for exchange in self._exchanges:
            exchange.abandoned()
        self._exchanges.clear()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._in_body:
            self._framed_bytes += len(data)
        else:
            if self._head_bytes == 0 and self._current is None:
                self._deadline = self._loop.time() + self._application.limits.header_seconds
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
            return
        except (httptools.HttpParserError, UnicodeDecodeError) as error:
            self._reject(400, "BAD_REQUEST", f"This is not HTTP/1.1: {error}.")
        if not self._in_body and self._head_bytes > MAX_HEAD:
            self._reject(431, "BAD_REQUEST", f"The request's head is larger than {MAX_HEAD} bytes.")
        elif self._in_body and self._framed_bytes > MAX_HEAD + MAX_FRAMING * self._body_bytes:
            self._reject(400, "BAD_REQUEST", "The body's chunks are mostly framing.")
        elif self._current is None:
            self._head_bytes = 0

    def eof_received(self) -> bool:
        """The client sends no more; answers that are under way are still sent."""
        if self._current is not None or not self._exchanges:
            return False
        self._deaf = True
        self._exchanges[-1].close = True
        return True

    # Callbacks of httptools, in the order of a request's parts

    def on_message_begin(self) -> None:
        if not self._deaf:
            self._current = Exchange(self._flush)
            self._body_bytes = self._framed_bytes = 0

    def on_url(self, url: bytes) -> None:
        if self._current is not None:
            self._current.path += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._current is not None and not self._in_body:  # no trailers
            self._current.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        exchange = self._current
        if exchange is None or self._deaf:
            return
        self._head_bytes = 0
        self._in_body = True
        self._deadline = self._loop.time() + self._application.limits.body_seconds
        exchange.method = self._parser.get_method().decode("latin-1")
        if self._parser.should_upgrade():
            return
        exchange.identify()
        version = self._parser.get_http_version()
        persistent = self._parser.should_keep_alive() and not self._upgraded
        exchange.close = self.closing or not persistent
        exchange.keep_alive_1_0 = persistent and version == "1.0"
        if version == "1.1" and "host" not in exchange.headers:
            self._reject(400, "BAD_REQUEST", "The request lacks the header Host.")
            return
        self._exchanges.append(exchange)
        self._application.begin(exchange)
        announced = int(exchange.headers.get("content-length", 0))
        if exchange.refused is not None:
            long = announced > MAX_DISCARDED or "transfer-encoding" in exchange.headers
            if long or "expect" in exchange.headers:
                self._last(exchange)
                exchange.respond(*exchange.refused)
            return
        self._check_size(exchange, announced)
        if not self._deaf and "expect" in exchange.headers:
            self._expect(exchange)

    def on_body(self, body: bytes) -> None:
        exchange = self._current
        if exchange is None or self._deaf:
            return
        self._body_bytes += len(body)
        if exchange.refused is None:
            exchange.body.append(body)
            self._check_size(exchange, self._body_bytes)

    def on_message_complete(self) -> None:
        if self._parser.should_upgrade():
            return
        exchange, self._current = self._current, None
        self._in_body = False
        if exchange is None or self._deaf:
            return
        self._deadline = self._loop.time() + self._application.limits.idle_seconds
        self._deaf = exchange.close
        if exchange.refused is not None:
            exchange.respond(*exchange.refused)
        else:
            self._application.complete(exchange)
        self._pause_if_many()

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Read a request that asks for another protocol again, as one that does not, as RFC 9110 allows.

        The parser stops at its head; some clients (Java's) ask for HTTP/2 in each first request.
        """
        exchange, self._current, self._in_body = self._current, None, False
        if self._deaf or exchange is None:
            return
        if exchange.method == "CONNECT" or self._upgraded:
            self._reject(400, "BAD_REQUEST", "This server is no proxy.")
            return
        self._upgraded = True
        headers = {name: value for name, value in exchange.headers.items() if name not in HOP_BY_HOP}
        lines = [f"{exchange.method} {exchange.path} HTTP/1.1", *(f"{n}: {v}" for n, v in headers.items())]
        self._parser = httptools.HttpRequestParser(self)
        self.data_received("\r\n".join([*lines, "", ""]).encode("latin-1") + rest)

    # Responses

    def _last(self, exchange: Exchange) -> None:
        """Make the response to *exchange* the last one of this connection, and read no more."""
        self._deaf = True
        exchange.close = True

    def _check_size(self, exchange: Exchange, size: int) -> None:
        """Refuse a body that is too large at once, without reading it."""
        limit = self._application.limits.body_bytes
        if size > limit:
            self._last(exchange)
            exchange.body.clear()
            exchange.fail(413, "BAD_REQUEST", f"The body is larger than {limit} bytes; send fewer rows a request.")

    def _expect(self, exchange: Exchange) -> None:
        """Tell a client that waits for it to send the body."""
        if exchange.headers["expect"].lower() == "100-continue":
            self._continue_due = True
            self._continue()
        else:
            self._last(exchange)
            exchange.fail(417, "BAD_REQUEST", "The only expectation that is met is 100-continue.")

    def _continue(self) -> None:
        """Send 100 Continue once all earlier requests are answered."""
        waits_for = self._exchanges[0] if self._exchanges else None
        if self._continue_due and waits_for is self._current and self._transport is not None:
            self._continue_due = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _reject(self, status: int, code: str, message: str) -> None:
        """Answer what cannot be understood, after the answers to what came before it; then close."""
        if self._deaf:
            return
        exchange = self._current or Exchange(self._flush)
        if exchange not in self._exchanges:
            self._exchanges.append(exchange)
        if not exchange.request_id:
            exchange.identify()
        self._last(exchange)
        exchange.fail(status, code, message)

    def _flush(self) -> None:
        """Send the responses that are there, in the order of their requests."""
        if self._transport is None:
            return
        while self._exchanges and self._exchanges[0].response is not None:
            exchange = self._exchanges.popleft()
            self._transport.write(cast(bytes, exchange.response))
            if exchange.close:
                self._finish()
                return
        if not self._exchanges:
            self._deadline = self._loop.time() + self._application.limits.idle_seconds
        self._continue()
        self._resume_if_few()

    def _finish(self) -> None:
        """Close after the last response. What the client still sends is read for a moment, so that the
        system does not reset the connection before the client has read the response."""
        assert self._transport is not None
        self._exchanges.clear()
        self._deaf = True
        if self._current is None and not self._paused:
            self._transport.close()
            return
        self._resume_if_few()
        self._deadline = self._loop.time() + LINGER_SECONDS
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _pause_if_many(self) -> None:
        if len(self._exchanges) >= MAX_PIPELINED and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _resume_if_few(self) -> None:
        if self._paused and len(self._exchanges) < MAX_PIPELINED and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        """The client does not read its responses: read no more requests from it."""
        if self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._resume_if_few()

    def check(self, now: float) -> None:
        """Close a connection that is idle or too slow. Called about once a second, with the loop's time."""
        if now < self._deadline or self._transport is None:
            return
        if (self._deaf or self._paused) and not self._exchanges:
            self._transport.abort()
        elif self._in_body or self._head_bytes:
            self._reject(408, "DEADLINE_EXCEEDED", "The request was sent too slowly.")
        elif not self._exchanges:
            self._transport.close()

    def drain(self) -> None:
        """Close now when idle, else after the responses that are under way."""
        self.closing = True
        if self._exchanges:
            self._exchanges[-1].close = True
        elif self._current is None and self._head_bytes == 0 and self._transport is not None:
            self._transport.close()
