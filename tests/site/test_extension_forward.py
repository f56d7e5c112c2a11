"""What passes between the browser and the service through a real Jupyter server, and what does not.

The service is a stand-in that shows what it gets.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import select
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from himalia_server import __version__
from himalia_server.locking import exclusive
from himalia_server.service.identity import ProcessIdentity
from himalia_server.service.site import Site, write_private
from tests.site.extension_lab import BASE_URL, ORIGIN, TOKEN, Jupyter, jupyter
from tests.site.fake_service import FAKE_TOKEN, FakeService, fake_service
from tests.waiting import wait_until

PAGE = f"{ORIGIN}{BASE_URL}himalia/mlflow/a/"


@pytest.fixture(scope="module")
def server() -> Iterator[Jupyter]:
    with jupyter() as running:
        yield running
        assert FAKE_TOKEN not in running.log(), "the service's token came into Jupyter's log"


@pytest.fixture
def service(server: Jupyter) -> Iterator[FakeService]:
    with fake_service(server.site) as fake:
        yield fake


@pytest.fixture
def client(server: Jupyter) -> Iterator[httpx.Client]:
    """A client that looks for the service's token in every answer."""

    def look(response: httpx.Response) -> None:
        response.read()
        assert FAKE_TOKEN not in response.text
        assert FAKE_TOKEN not in str(response.headers)

    with server.client(event_hooks={"response": [look]}) as client:
        yield client


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_every_verb_passes(service: FakeService, client: httpx.Client, method: str) -> None:
    answer = client.request(method, "api/v1/some/where?a=%2F&b", content=b"body" if method != "GET" else None)
    assert answer.status_code == 200
    assert answer.json() == {"method": method, "size": 4 if method != "GET" else 0}
    assert service.last()["target"] == "/api/v1/some/where?a=%2F&b"


def test_head_passes(service: FakeService, client: httpx.Client) -> None:
    answer = client.head("api/v1/x")
    assert (answer.status_code, answer.content) == (200, b"")
    assert service.last()["method"] == "HEAD"


def test_the_service_learns_who_asks_and_nothing_of_the_browser(service: FakeService, client: httpx.Client) -> None:
    sent = {
        "Cookie": "secret=1",
        "Origin": ORIGIN,
        "Referer": PAGE,
        "X-Himalia-User": "somebody",
        "X-Forwarded-For": "10.1.2.3",
        "X-Request-ID": "abc-1",
        "X-XSRFToken": "x",
        "Accept": "application/json",
    }
    assert client.get(f"api/v1/x?token={TOKEN}&a=1", headers=sent).status_code == 200
    assert service.last()["target"] == "/api/v1/x?a=1"
    got = {name.lower(): value for name, value in service.last()["headers"].items()}
    assert got.pop("authorization") == f"Bearer {FAKE_TOKEN}"
    assert got.pop("host") == service.address.removeprefix("http://")
    assert "10.1.2.3" not in got.pop("x-forwarded-for")
    assert got.pop("x-forwarded-proto") == "http"
    assert got.pop("x-forwarded-prefix") == f"{BASE_URL}himalia"
    assert got.pop("x-request-id") == "abc-1"
    assert {*got} <= {"accept", "accept-encoding", "user-agent"}
    assert TOKEN not in str(got)


def test_headers_of_the_answer(service: FakeService, client: httpx.Client) -> None:
    async def answer(_request: web.Request) -> web.Response:
        headers = [
            *(("Set-Cookie", "a=b"), ("Access-Control-Allow-Origin", "http://evil"), ("X-Frame-Options", "DENY")),
            *(("Cache-Control", "max-age=60"), ("ETag", '"1"'), ("X-Request-ID", "r1"), ("WWW-Authenticate", "Bearer")),
            *(("Content-Security-Policy", "sandbox; frame-ancestors 'self'"), ("X-Content-Type-Options", "nosniff")),
        ]
        return web.Response(body=b"file", headers=headers, content_type="text/plain")

    service.routes["/api/v1/file"] = service.routes["/mlflow/a/file"] = answer
    for path in ("api/v1/file", "mlflow/a/file"):
        reply = client.get(path)
        assert reply.text == "file"
        assert reply.headers["Content-Type"].startswith("text/plain")
        assert (reply.headers["Cache-Control"], reply.headers["ETag"]) == ("max-age=60", '"1"')
        assert (reply.headers["X-Request-ID"], reply.headers["X-Content-Type-Options"]) == ("r1", "nosniff")
        assert "sandbox; frame-ancestors 'self'" in reply.headers.get_list("Content-Security-Policy")
        assert all("frame-ancestors 'self'" in policy for policy in reply.headers.get_list("Content-Security-Policy"))
        assert "evil" not in reply.headers.get("Access-Control-Allow-Origin", "")
        assert not {"x-frame-options", "www-authenticate"} & {*reply.headers}
        assert "a=b" not in str(reply.headers.get_list("Set-Cookie"))


def test_an_answer_without_a_type_or_a_body_stays_so(service: FakeService, client: httpx.Client) -> None:
    async def nothing(_request: web.Request) -> web.Response:
        return web.Response(status=204)

    async def same(request: web.Request) -> web.Response:
        assert request.headers["If-None-Match"] == '"1"'
        return web.Response(status=304, headers={"ETag": '"1"'})

    service.routes |= {"/api/v1/nothing": nothing, "/api/v1/same": same}
    assert (client.delete("api/v1/nothing").status_code, client.delete("api/v1/nothing").content) == (204, b"")
    reply = client.get("api/v1/same", headers={"If-None-Match": '"1"'})
    assert (reply.status_code, reply.headers["ETag"]) == (304, '"1"')


def test_an_error_passes_as_it_is(service: FakeService, client: httpx.Client) -> None:
    async def conflict(_request: web.Request) -> web.Response:
        body = json.dumps({"title": "t", "status": 409, "detail": "d", "hint": "h"})
        return web.Response(status=409, text=body, content_type="application/problem+json")

    service.routes["/api/v1/x"] = conflict
    reply = client.post("api/v1/x", json={})
    assert (reply.status_code, reply.json()["hint"]) == (409, "h")
    assert reply.headers["Content-Type"].startswith("application/problem+json")


def test_a_redirect_stays_below_the_base_url(service: FakeService, client: httpx.Client) -> None:
    async def away(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": request.query["to"]})

    service.routes["/mlflow/a"] = away
    for there in ("a/", "/mlflow/a/", f"{service.address}/mlflow/a/"):
        reply = client.get("mlflow/a", params={"to": there})
        assert (reply.status_code, reply.headers["Location"]) == (307, f"{BASE_URL}himalia/mlflow/a/")
    assert "Location" not in client.get("mlflow/a", params={"to": "http://elsewhere/mlflow/a/"}).headers


@pytest.mark.parametrize(
    "path", ["api/v1/%2e%2e/health", "api/v1/a%2f..%2f..%2fhealth", "mlflow/a/..%5cx", "mlflow/%252e%252e/x"]
)
def test_a_step_out_of_the_prefix_is_refused(service: FakeService, client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 400
    assert service.requests == []


def test_big_bodies_are_streamed_both_ways(server: Jupyter, service: FakeService, client: httpx.Client) -> None:
    block = os.urandom(1 << 20)
    blocks = 120

    async def big(_request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(_request)
        for _ in range(blocks):
            await reply.write(block)
        return reply

    service.routes["/mlflow/a/big"] = big
    whole = hashlib.sha256()
    for _ in range(blocks):
        whole.update(block)
    before = peak_memory(server)
    answer = client.put("mlflow/a/up", content=(block for _ in range(blocks)))
    assert answer.status_code == 200
    assert (service.last()["size"], service.last()["sha256"]) == (blocks << 20, whole.hexdigest())
    got = hashlib.sha256()
    with server.client() as plain, plain.stream("GET", "mlflow/a/big") as reply:
        for chunk in reply.iter_raw():
            got.update(chunk)
    assert got.digest() == whole.digest()
    assert peak_memory(server) - before < 60 << 20, "a body was held in memory"


def peak_memory(server: Jupyter) -> int:
    """Bytes that the Jupyter server has had at most."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def test_an_answer_before_the_end_of_the_body_arrives(service: FakeService, client: httpx.Client) -> None:
    async def refuse(_request: web.Request) -> web.Response:
        return web.Response(status=413, text="too much")

    service.routes["/api/v1/x"] = refuse
    reply = client.post("api/v1/x", content=(b"x" * (1 << 20) for _ in range(30)))
    assert (reply.status_code, reply.text) == (413, "too much")


def test_an_answer_comes_as_it_is_made(server: Jupyter, service: FakeService) -> None:
    more = asyncio.Event()

    async def slowly(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(request)
        await reply.write(b"one")
        await more.wait()
        await reply.write(b"two")
        return reply

    service.routes["/api/v1/slow"] = slowly
    with server.client() as plain, plain.stream("GET", "api/v1/slow") as reply:
        parts = reply.iter_raw()
        assert next(parts) == b"one"
        service.loop.call_soon_threadsafe(more.set)
        assert b"".join(parts) == b"two"


@pytest.mark.parametrize("headers_first", [True, False])
def test_who_has_gone_is_not_served_any_more(server: Jupyter, service: FakeService, headers_first: bool) -> None:
    async def forever(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        if headers_first:
            await reply.prepare(request)
            await reply.write(b"one")
        await asyncio.Event().wait()
        return reply

    service.routes["/api/v1/slow"] = forever
    with server.client() as plain:
        if headers_first:
            with plain.stream("GET", "api/v1/slow") as reply:
                assert next(reply.iter_raw()) == b"one"
        else:
            with pytest.raises(httpx.ReadTimeout):
                plain.get("api/v1/slow", timeout=1)
    assert service.gone.wait(20), "the request went on at the service"


def test_an_answer_that_breaks_off_does_not_look_complete(server: Jupyter, service: FakeService) -> None:
    async def breaks(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(request)
        await reply.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return reply

    service.routes["/api/v1/x"] = breaks
    with server.client() as plain, pytest.raises(httpx.RemoteProtocolError):
        plain.get("api/v1/x")


def test_a_service_that_moved_is_followed(server: Jupyter, client: httpx.Client) -> None:
    for _ in range(3):
        with fake_service(server.site) as fake:
            assert client.post("api/v1/x", content=b"x").status_code == 200
            assert len(fake.requests) == 1


def test_a_service_that_comes_while_another_is_waited_for_is_found(server: Jupyter, client: httpx.Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(2) as pool:
        site = server.site
        site.prepare()
        hangs = {"address": f"http://127.0.0.1:{silent.getsockname()[1]}", "version": __version__, "site": site.id}
        write_private(site.state_file, json.dumps(ProcessIdentity.current().to_dict() | hangs))
        first = pool.submit(client.post, "api/v1/x")
        assert select.select([silent], [], [], 20)[0], "nobody asked the silent service"
        with fake_service(site) as fake:
            second = pool.submit(client.post, "api/v1/x")
            assert (first.result().status_code, second.result().status_code) == (200, 200)
            assert len(fake.requests) == 2


def test_a_service_that_does_not_prove_itself_gets_no_token(server: Jupyter, client: httpx.Client) -> None:
    with fake_service(server.site) as stranger:
        stranger.site = Site(stranger.site.home, stranger.site.id, "another secret")
        answer = client.get("api/v1/x")
        # it lives, so it may be a service that hangs: whoever starts one is told so
        assert (answer.status_code, answer.json()["service"]) == (503, "starting")
        assert stranger.requests == []


@pytest.mark.parametrize("path", ["api/v1/x", "mlflow/a/", "dashboard/a/b/status"])
def test_without_a_service_it_says_so(server: Jupyter, client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 503
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.headers["Retry-After"]
    document = answer.json()
    assert (document["status"], document["service"]) == (503, "stopped")
    assert "himalia up" in document["hint"]
    person = client.get(path, headers={"Accept": "text/html"})
    assert person.status_code == 503
    assert "himalia up" in person.text or path.startswith("api")


def test_while_it_starts_it_says_so(server: Jupyter, client: httpx.Client) -> None:
    with exclusive(server.site.home / "start.lock", timeout=5):
        answer = client.get("api/v1/x")
        assert client.get("api/status").json()["state"] == "starting"
    assert (answer.status_code, answer.json()["service"]) == (503, "starting")
    assert client.get("api/v1/x").json()["service"] == "stopped"


def test_a_newer_service_is_refused(server: Jupyter, client: httpx.Client) -> None:
    with fake_service(server.site, version="999.0") as newer:
        for answer in (client.get("api/v1/x"), client.post("api/v1/x", json={}), client.post("api/status")):
            assert answer.status_code == 409, answer.text
            assert answer.headers["Content-Type"].startswith("application/problem+json")
            assert "Upgrade" in answer.json()["hint"]
        assert client.get("api/status").json()["version"] == "999.0"
        assert newer.requests == []


def test_a_token_that_is_refused_is_no_sign_out(server: Jupyter, service: FakeService, client: httpx.Client) -> None:
    write_private(server.site.user_token_file, "a stale one")
    answer = client.get("api/v1/x")
    assert answer.status_code == 503
    assert "a stale one" not in answer.text
    write_private(server.site.user_token_file, FAKE_TOKEN)
    assert client.get("api/v1/x").status_code == 200, "a new token is read"


def test_pages_do_not_keep_an_idle_server_alive(server: Jupyter, service: FakeService, client: httpx.Client) -> None:
    before = server.last_activity()
    for path in ("api/status", "api/v1/x", "mlflow/a/", "dashboard/a/b/status"):
        assert client.get(path).status_code == 200
        assert client.head(path).status_code in (200, 405)
    assert client.post("mlflow/a/ajax-api/2.0/mlflow/runs/search", json={}).status_code == 200
    with server.websocket("api/events") as socket:
        wait_until(lambda: service.sockets == 1, 20, "the socket at the service")
        assert socket.ping().wait(20)
    assert server.last_activity() == before
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        before = server.last_activity()
        assert client.request(method, "api/v1/x").status_code == 200
        assert server.last_activity() > before
