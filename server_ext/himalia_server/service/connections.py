"""HTTP connections that end: every account of the machine can open one, so what a stranger holds is bounded."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 << 10
"""Of a request's first line and headers."""
HEAD_SECONDS = 20.0
"""From a connection's begin, or a request's first byte, to the end of its headers."""
LEFTOVER_SECONDS = 30.0
"""In which the rest of a request has to come that is answered already (refused, say)."""


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, which by itself waits for ever for the end of a request's headers and keeps all of them."""

    _patience: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_head = True
    _in_message = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A connection begins; a head has to come."""
        super().connection_made(transport)
        self._wait(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; refuse a head that grows too large."""
        if self.transport.is_closing():
            return
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_BYTES:
            self._refuse("431 Request Header Fields Too Large", f"The headers have more than {HEAD_BYTES} bytes.")

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._in_message = True
        self._wait(HEAD_SECONDS)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; what comes behind a body (trailers) is none."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body is whole; the next head may come."""
        self._in_message, self._in_head, self._head_bytes = False, True, 0
        self._stop_waiting()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Answered; what is left of the request is read and dropped, but not for ever."""
        super().on_response_complete()
        if self._in_message and not self._in_head:
            self._wait(LEFTOVER_SECONDS)

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._patience = self.loop.call_later(seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._patience = None
        if self._in_message and self._in_head:
            self._refuse("408 Request Timeout", "The request came too slowly.")
        elif not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, status: str, text: str) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:  # else it would come amid another answer
            head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\nConnection: close"
            self.transport.write(f"{head}\r\n\r\n{text}".encode())
        self.transport.close()
