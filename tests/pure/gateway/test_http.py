"""HTTP/1.1 on a real socket pair: order, keep-alive, limits and malformed input."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine

import pytest

from himalia_server.gateway.config import Limits
from himalia_server.gateway.connection import MAX_HEAD, Connection
from himalia_server.gateway.exchange import Exchange


class Echo:
    """Answers with the body; ``/later`` when told to; ``/refused`` without its body."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.later: list[Exchange] = []
        self.arrived = asyncio.Event()

    def begin(self, exchange: Exchange) -> None:
        if exchange.path == "/refused":
            exchange.refused = (401, b"{}", ())

    def complete(self, exchange: Exchange) -> None:
        if exchange.path == "/later":
            self.later.append(exchange)
            self.arrived.set()
        else:
            exchange.respond(200, b"".join(exchange.body) or b"none")

    async def has(self, count: int) -> None:
        while len(self.later) < count:
            self.arrived.clear()
            await asyncio.wait_for(self.arrived.wait(), 5)


class Client:
    """The client's end of a connection."""

    def __init__(self, limits: Limits) -> None:
        self.application = Echo(limits)
        self.connections: set[Connection] = set()

    async def open(self) -> None:
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: Connection(self.application, self.connections), theirs)
        self.reader, self.writer = await asyncio.open_connection(sock=ours)

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def response(self, head_only: bool = False) -> tuple[int, dict[str, str], bytes]:
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = b"" if head_only else await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(head[0].split()[1]), headers, body

    async def closed(self) -> bool:
        return await asyncio.wait_for(self.reader.read(), 5) == b""


Scenario = Callable[[Client], Coroutine[None, None, None]]


def run(scenario: Scenario, limits: Limits | None = None) -> None:
    async def main() -> None:
        client = Client(limits or Limits())
        await client.open()
        try:
            await scenario(client)
        finally:
            client.writer.close()

    asyncio.run(main())


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: h", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def test_keep_alive_and_request_id() -> None:
    async def scenario(client: Client) -> None:
        for number in range(3):
            await client.send(post("/", b"x%d" % number, f"X-Request-Id: id-{number}"))
            status, headers, body = await client.response()
            assert (status, body, headers["x-request-id"]) == (200, b"x%d" % number, f"id-{number}")
            assert "connection" not in headers

    run(scenario)


def test_a_harmful_request_id_is_replaced() -> None:
    async def scenario(client: Client) -> None:
        await client.send(post("/", b"x", 'X-Request-Id: a"b{}'))
        assert len((await client.response())[1]["x-request-id"]) == 24

    run(scenario)


def test_pipelined_responses_keep_their_order() -> None:
    async def scenario(client: Client) -> None:
        await client.send(post("/later", b"1") + post("/", b"2") + post("/later", b"3") + post("/", b"4"))
        await client.application.has(2)
        for exchange in reversed(client.application.later):  # the last one is answered first
            exchange.respond(200, b"late " + b"".join(exchange.body))
        bodies = [(await client.response())[2] for _ in range(4)]
        assert bodies == [b"late 1", b"2", b"late 3", b"4"]

    run(scenario)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_request_in_small_pieces(size: int) -> None:
    async def scenario(client: Client) -> None:
        data = post("/", b"hello") + b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        data += b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n"
        await client.send(*(data[at : at + size] for at in range(0, len(data), size)))
        assert (await client.response())[2] == b"hello"
        assert (await client.response())[2] == b"abcde"

    run(scenario)


def test_head_has_the_length_but_no_body() -> None:
    async def scenario(client: Client) -> None:
        await client.send(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n" + post("/", b"x"))
        assert (await client.response(head_only=True))[1]["content-length"] == "4"
        assert (await client.response())[2] == b"x"

    run(scenario)


def test_connection_close_and_http_1_0() -> None:
    async def scenario(client: Client) -> None:
        await client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert (await client.response())[1]["connection"] == "keep-alive"
        await client.send(post("/", b"x", "Connection: close") + post("/", b"never read"))
        assert (await client.response())[1]["connection"] == "close"
        assert await client.closed()

    run(scenario)


def test_expect_continue() -> None:
    async def scenario(client: Client) -> None:
        head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        await client.send(head)
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"ok")
        assert (await client.response())[2] == b"ok"
        await client.send(post("/later", b"") + head)
        await client.application.has(1)
        client.application.later[0].respond(200, b"first")
        assert (await client.response())[2] == b"first"
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"

    run(scenario)


def test_a_refused_request_is_not_asked_for_its_body() -> None:
    async def scenario(client: Client) -> None:
        await client.send(b"POST /refused HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
        status, headers, _ = await client.response()
        assert (status, headers["connection"]) == (401, "close")

    run(scenario)


def test_a_refused_request_keeps_the_connection_when_its_body_is_small() -> None:
    async def scenario(client: Client) -> None:
        await client.send(post("/refused", b"x" * 100) + post("/", b"next"))
        assert (await client.response())[0] == 401
        assert (await client.response())[2] == b"next"

    run(scenario)


@pytest.mark.parametrize(
    "request_head",
    [
        b"Content-Length: 1000000\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"Content-Length: 101\r\n\r\n",
    ],
)
def test_a_large_body_is_refused_and_the_response_can_be_read(request_head: bytes) -> None:
    async def scenario(client: Client) -> None:
        await client.send(b"POST / HTTP/1.1\r\nHost: h\r\n" + request_head)
        await client.send(b"65\r\n" + b"x" * 101)
        status, headers, body = await client.response()
        assert (status, headers["connection"]) == (413, "close")
        assert b"100 bytes" in body
        await client.send(b"x" * 100_000)
        assert await client.closed()

    run(scenario, Limits(body_bytes=100))


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GARBAGE\r\n\r\n",
        b"CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n",
        b"GET / HTTP/1.1\r\nNo colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ],
)
def test_malformed_requests_get_400_and_the_connection_ends(data: bytes) -> None:
    async def scenario(client: Client) -> None:
        await client.send(post("/", b"fine") + data)
        assert (await client.response())[2] == b"fine"
        status, headers, body = await client.response()
        assert (status, headers["connection"]) == (400, "close")
        assert b'"error_code":"BAD_REQUEST"' in body

    run(scenario)


def test_heads_and_trailers_are_bounded() -> None:
    async def head(client: Client) -> None:
        await client.send(b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * (MAX_HEAD + 10))
        assert (await client.response())[0] == 431

    async def trailer(client: Client) -> None:
        await client.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\nX: ")
        await client.send(b"x" * MAX_HEAD, b"x" * 1000)
        assert (await client.response())[0] == 400

    run(head)
    run(trailer)


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"GET / HTTP/1.1\r\nHo", 408), (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nx", 408)],
)
def test_slow_requests_are_ended(sent: bytes, status: int) -> None:
    async def scenario(client: Client) -> None:
        await client.send(sent)
        now = asyncio.get_running_loop().time()
        while client.reader.at_eof() is False and not client.reader._buffer:  # type: ignore[attr-defined]
            for connection in list(client.connections):
                connection.check(now + 10)
            await asyncio.sleep(0)
        assert (await client.response())[0] == status

    run(scenario, Limits(header_seconds=5, body_seconds=5))


def test_idle_connections_are_closed_but_not_waiting_ones() -> None:
    async def scenario(client: Client) -> None:
        await client.send(post("/later", b""))
        await client.application.has(1)
        (connection,) = client.connections
        connection.check(asyncio.get_running_loop().time() + 1000)
        client.application.later[0].respond(200, b"still here")
        assert (await client.response())[2] == b"still here"
        connection.check(asyncio.get_running_loop().time() + 1000)
        assert await client.closed()

    run(scenario)


def test_half_closed_clients_get_their_answer() -> None:
    async def scenario(client: Client) -> None:
        await client.send(post("/later", b""))
        client.writer.write_eof()
        await client.application.has(1)
        await asyncio.sleep(0)
        client.application.later[0].respond(200, b"answer")
        assert (await client.response())[2] == b"answer"
        assert await client.closed()

    run(scenario)


def test_an_upgrade_is_not_taken() -> None:
    ask = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")

    async def scenario(client: Client) -> None:
        data = post("/", b"body", *ask)
        await client.send(data[:-2], data[-2:])
        status, headers, body = await client.response()
        assert (status, headers["connection"], body) == (200, "close", b"body")

    run(scenario)


def test_draining_closes_after_the_last_response() -> None:
    async def scenario(client: Client) -> None:
        await client.send(post("/later", b""))
        await client.application.has(1)
        for connection in client.connections:
            connection.drain()
        client.application.later[0].respond(200, b"last")
        _, headers, body = await client.response()
        assert (headers["connection"], body) == ("close", b"last")
        assert await client.closed()

    run(scenario)
