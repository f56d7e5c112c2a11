"""What a stranger can hold of the service: so many bytes of headers, so long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from himalia_server.service.connections import HEAD_BYTES, HEAD_SECONDS, LEFTOVER_SECONDS, BoundedHttp

WHOLE = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class FakeTransport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self.closing = b"", False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Clock:
    """Timers that run out when the test says so."""

    def __init__(self) -> None:
        self.timers: list[Clock.Timer] = []

    class Timer:
        def __init__(self, seconds: float, act: Callable[[], None]) -> None:
            self.seconds, self.act, self.cancelled = seconds, act, False

        def cancel(self) -> None:
            self.cancelled = True

    def call_later(self, seconds: float, act: Callable[[], None]) -> Timer:
        self.timers.append(Clock.Timer(seconds, act))
        return self.timers[-1]

    def create_task(self, work: Any, **_: Any) -> Any:
        work.close()
        return asyncio.Future()

    def waiting(self) -> list[float]:
        return [timer.seconds for timer in self.timers if not timer.cancelled]

    def run_out(self) -> None:
        for timer in list(self.timers):
            if not timer.cancelled:
                timer.cancel()
                timer.act()


async def nothing(*_: Any) -> None:
    """An application that is never run here."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    loop = asyncio.new_event_loop()
    monkeypatch.setattr("asyncio.get_event_loop", lambda: loop)
    asyncio.set_event_loop(loop)
    return Clock()


def connect(clock: Any) -> tuple[BoundedHttp, FakeTransport]:
    config = uvicorn.Config(nothing, http=BoundedHttp, ws="none", lifespan="off")
    protocol = BoundedHttp(config, ServerState(), {}, clock)
    transport = FakeTransport()
    protocol.connection_made(transport)
    return protocol, transport


def answer(protocol: BoundedHttp) -> None:
    protocol.cycle.response_complete = True
    protocol.on_response_complete()


def test_who_says_nothing_is_hung_up_on(clock: Clock) -> None:
    _, transport = connect(clock)
    assert clock.waiting() == [HEAD_SECONDS]
    clock.run_out()
    assert (transport.closing, transport.written) == (True, b"")


def test_a_head_that_does_not_end_is_given_up(clock: Clock) -> None:
    protocol, transport = connect(clock)
    for part in (b"GET / HTTP/1.1\r\n", b"Host: a\r\n", b"X-Slow: 1\r\n"):
        protocol.data_received(part)
    assert clock.waiting() == [HEAD_SECONDS]  # not prolonged by what comes
    clock.run_out()
    assert transport.closing
    assert transport.written.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("part", [b"X: " + b"a" * 5000, b"X: a\r\n" * 800], ids=["one long", "many"])
def test_a_head_that_grows_too_large_is_refused(clock: Clock, part: bytes) -> None:
    protocol, transport = connect(clock)
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n")
    for _ in range(HEAD_BYTES // len(part) + 1):
        assert not transport.closing
        protocol.data_received(part)
    assert transport.closing
    assert transport.written.startswith(b"HTTP/1.1 431 ")
    protocol.data_received(b"more")
    assert transport.written.count(b"HTTP/1.1") == 1


def test_a_large_body_is_no_large_head_and_has_its_time(clock: Clock) -> None:
    protocol, transport = connect(clock)
    protocol.data_received(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"x" * HEAD_BYTES)
    protocol.data_received(b"x" * HEAD_BYTES)
    assert (clock.waiting(), transport.closing) == ([], False)


def test_the_rest_of_an_answered_request_must_come_in_time(clock: Clock) -> None:
    protocol, transport = connect(clock)
    protocol.data_received(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx")
    answer(protocol)
    assert LEFTOVER_SECONDS in clock.waiting()
    protocol.data_received(b"x")
    assert clock.waiting() == [LEFTOVER_SECONDS]  # uvicorn's own timer ends with each byte, this one does not
    clock.run_out()
    assert transport.closing


def test_requests_one_after_the_other_have_a_head_each(clock: Clock) -> None:
    protocol, transport = connect(clock)
    for _ in range(2 * HEAD_BYTES // len(WHOLE)):
        protocol.data_received(WHOLE)
        answer(protocol)
    assert not transport.closing
    assert HEAD_SECONDS not in clock.waiting()


def test_what_comes_behind_a_body_is_no_header(clock: Clock) -> None:
    protocol, _ = connect(clock)
    protocol.data_received(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
    protocol.data_received(b"X-Himalia-User: ada\r\n\r\n")
    assert [name for name, _ in protocol.headers] == [b"host", b"transfer-encoding"]
