"""WebSockets through a real Jupyter server. The service is a stand-in."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import psutil
import pytest
from aiohttp import web
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from tests.site.extension_lab import ORIGIN, Jupyter, jupyter, message
from tests.site.fake_service import FAKE_TOKEN, FakeService, fake_service
from tests.waiting import wait_until

EVENTS = "api/events"
BOKEH = "dashboard/a/b/status/ws"


@pytest.fixture(scope="module")
def server() -> Iterator[Jupyter]:
    with jupyter() as running:
        yield running
        assert FAKE_TOKEN not in running.log(), "the service's token came into Jupyter's log"


@pytest.fixture
def service(server: Jupyter) -> Iterator[FakeService]:
    with fake_service(server.site) as fake:
        fake.routes["/api/v1/events/socket"] = Events(fake).answer
        yield fake


class Events:
    """The service's event socket: sends *count* events, then heartbeats when told, and closes when told."""

    def __init__(self, service: FakeService) -> None:
        self.service = service

    async def answer(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.service.sockets += 1
        try:
            await socket.send_json({"seq": int(request.query.get("after", "0")) + 1, "topic": "project.created"})
            await socket.send_json({"heartbeat": True})
            async for _message in socket:
                pass
        finally:
            self.service.sockets -= 1
        return socket


def close_code(socket: ClientConnection) -> int:
    """The code of the end that is awaited."""
    with suppress(ConnectionClosed):
        while True:
            socket.recv(timeout=60)
    assert FAKE_TOKEN not in (socket.close_reason or "")
    return socket.close_code or 1006


def test_events_come_as_they_are(server: Jupyter, service: FakeService) -> None:
    with server.websocket(f"{EVENTS}?after=41") as socket:
        assert message(socket) == {"seq": 42, "topic": "project.created"}
        assert message(socket) == {"heartbeat": True}
    assert service.last()["target"] == "/api/v1/events/socket?after=41"
    got = {name.lower(): value for name, value in service.last()["headers"].items()}
    assert got["authorization"] == f"Bearer {FAKE_TOKEN}"
    assert not {"cookie", "origin", "x-himalia-user"} & {*got}
    with server.websocket(EVENTS) as socket:
        message(socket)
    assert service.last()["target"] == "/api/v1/events/socket"


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "٣", str(2**63), "1%0d%0aX-Other:1"])
def test_a_number_that_is_none_is_refused(server: Jupyter, service: FakeService, after: str) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        server.websocket(f"{EVENTS}?after={after}").close()
    assert refusal.value.response.status_code == 400


@pytest.mark.parametrize("path", [EVENTS, BOKEH])
def test_who_may_not_is_refused_before_the_upgrade(server: Jupyter, service: FakeService, path: str) -> None:
    for token, origin in ((None, None), ("wrong", None), (None, ORIGIN), (None, "http://evil.example")):
        with pytest.raises(InvalidStatus) as refusal:
            server.websocket(path, token=token, origin=origin).close()
        assert refusal.value.response.status_code == 403
    assert service.requests == []


@pytest.mark.parametrize("path", [EVENTS, BOKEH])
def test_a_browser_on_another_page_is_refused(server: Jupyter, service: FakeService, path: str) -> None:
    with server.client(token=None) as browser:
        browser.get(f"{ORIGIN}{server.base_url}api/me", params={"token": "a-token-of-this-test"})
        cookies = {"Cookie": "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies.jar)}
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        with pytest.raises(InvalidStatus) as refusal:
            server.websocket(path, token=None, headers=cookies | headers).close()
        assert refusal.value.response.status_code == 403, headers
    assert service.requests == []
    server.websocket(path, token=None, headers=cookies | {"Origin": ORIGIN}).close()


def test_who_leaves_leaves_nothing(server: Jupyter, service: FakeService) -> None:
    process = psutil.Process(server.process.pid)
    server.websocket(EVENTS).close()
    wait_until(lambda: service.sockets == 0, 20, "the end at the service")
    before = process.num_fds()
    for _ in range(3):
        with ExitStack() as stack:
            for _ in range(25):
                message(stack.enter_context(server.websocket(EVENTS)))
            assert service.sockets == 25
        wait_until(lambda: service.sockets == 0, 20, "the ends at the service")
    wait_until(lambda: process.num_fds() <= before + 3, 20, "the connections to be closed")


def test_a_browser_that_vanishes_leaves_nothing(server: Jupyter, service: FakeService) -> None:
    socket = server.websocket(EVENTS)
    message(socket)
    socket.socket.close()
    wait_until(lambda: service.sockets == 0, 20, "the end at the service")


def test_without_a_service_the_page_need_not_try_again(server: Jupyter) -> None:
    with server.websocket(EVENTS) as socket:
        assert close_code(socket) == 4503


def test_a_newer_service_is_told(server: Jupyter) -> None:
    with fake_service(server.site, version="999.0") as newer:
        with server.websocket(EVENTS) as socket:
            assert close_code(socket) == 4409
        assert newer.requests == []


def test_a_service_that_refuses_is_told(server: Jupyter, service: FakeService) -> None:
    async def refuse(_request: web.Request) -> web.Response:
        return web.Response(status=403)

    service.routes["/api/v1/events/socket"] = refuse
    with server.websocket(EVENTS) as socket:
        assert close_code(socket) == 4401


def test_a_service_that_is_there_but_ends_the_socket_is_asked_again(server: Jupyter, service: FakeService) -> None:
    async def end(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.close(code=1012)
        return socket

    service.routes["/api/v1/events/socket"] = end
    with server.websocket(EVENTS) as socket:
        assert close_code(socket) == 1012


def test_a_slow_browser_slows_the_service_down(server: Jupyter, service: FakeService) -> None:
    sent = 0
    block = json.dumps({"data": "x" * (1 << 20)})

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for _ in range(200):
            await socket.send_str(block)
            sent += 1
        await socket.close()
        return socket

    service.routes["/api/v1/events/socket"] = flood
    with server.websocket(EVENTS, max_queue=1, max_size=None) as socket:
        assert len(socket.recv(timeout=30)) == len(block)
        steady = threading.Event()

        def still() -> bool:
            before = sent
            steady.wait(1)
            return sent == before

        wait_until(still, 60, "the flood to stop while nobody reads")
        assert sent < 60, "what nobody reads is piled up"
        for _ in range(199):
            socket.recv(timeout=30)
    assert sent == 200


def test_bokehs_socket_passes_both_ways(server: Jupyter, service: FakeService) -> None:
    with server.websocket(
        f"{BOKEH}?a=1", subprotocols=["bokeh", "token.of.bokeh"], origin=ORIGIN, max_size=None
    ) as socket:
        assert socket.subprotocol == "bokeh"
        for part in ("text", b"\x00\xff", "ü", os.urandom(5 << 20)):
            socket.send(part)
            assert socket.recv(timeout=30) == part
        assert service.last()["target"] == "/dashboard/a/b/status/ws?a=1"
        got = {name.lower(): value for name, value in service.last()["headers"].items()}
        assert [name.strip() for name in got["sec-websocket-protocol"].split(",")] == ["bokeh", "token.of.bokeh"]
        assert not {"cookie", "origin"} & {*got}
        socket.send("close 4321")
        assert close_code(socket) == 4321
    wait_until(lambda: service.sockets == 0, 20, "the end at the service")
    socket = server.websocket(BOKEH)
    wait_until(lambda: service.sockets == 1, 20, "the socket at the service")
    socket.close()
    wait_until(lambda: service.sockets == 0, 20, "the end at the service")


@pytest.mark.parametrize("status", [403, 404])
def test_a_dashboard_that_refuses_is_no_socket(server: Jupyter, service: FakeService, status: int) -> None:
    async def refuse(_request: web.Request) -> web.Response:
        return web.Response(status=status)

    service.routes["/dashboard/a/b/status/ws"] = refuse
    with pytest.raises(InvalidStatus) as refusal:
        server.websocket(BOKEH).close()
    assert refusal.value.response.status_code == status


def test_without_a_service_there_is_no_dashboard(server: Jupyter) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        server.websocket(BOKEH).close()
    assert refusal.value.response.status_code == 503


def test_a_socket_wants_an_upgrade(server: Jupyter, service: FakeService) -> None:
    with server.client() as client:
        assert client.get(EVENTS).status_code == 400
        assert client.get(BOKEH).status_code == 400
        assert client.post(EVENTS).status_code == 405
    assert service.requests == []


def test_when_jupyter_stops_the_page_tries_again() -> None:
    with jupyter() as server, fake_service(server.site) as fake:
        fake.routes["/api/v1/events/socket"] = Events(fake).answer
        with server.websocket(EVENTS) as socket, server.websocket(BOKEH) as other:
            message(socket)
            server.terminate()
            assert close_code(socket) in (1001, 1012)
            assert close_code(other) in (1001, 1012)
        assert server.process.wait(30) == 0
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), fake.loop).result(5)
        wait_until(lambda: fake.sockets == 0, 20, "the ends at the service")
