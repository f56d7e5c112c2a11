"""The extension and a real service that starts, stops, crashes, moves."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from aiohttp import web

from himalia_server import __version__
from himalia_server.service import lifecycle
from himalia_server.service.identity import ProcessIdentity
from himalia_server.service.lifecycle import Found
from tests.site.extension_lab import Jupyter, jupyter, message
from tests.site.fake_service import FakeService, fake_service
from tests.site.test_extension_sockets import close_code
from tests.waiting import wait_until

EVENTS = "api/events"


@pytest.fixture
def server() -> Iterator[Jupyter]:
    with jupyter() as running:
        yield running


def kill(found: Found) -> None:
    """SIGKILL, and wait for the end."""
    os.kill(found.identity.pid, signal.SIGKILL)
    wait_until(lambda: not found.identity.alive(), 20, "the end of the service")


def test_a_service_that_crashed_is_started_again_by_the_next_request(server: Jupyter) -> None:
    first = server.start_service()
    kill(first)
    with server.client() as client:
        facts = client.get("api/status").json()
        assert (facts["state"], facts["crashed"], facts["version"]) == ("stopped", True, None)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: server.get("himalia/api/v1/service"), range(8)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["pid"] for answer in answers}) == 1, "one was started, not several"
        second = server.found()
        assert second is not None
        assert second.identity != first.identity
        assert client.get("api/status").json()["crashed"] is False


def test_events_go_on_after_a_crash(server: Jupyter) -> None:
    found = server.start_service()
    with server.websocket(f"{EVENTS}?after=0") as socket:
        last = message(socket)["seq"]
        kill(found)
        assert close_code(socket) == 1012
    with server.websocket(f"{EVENTS}?after={last}") as socket:
        assert message(socket).get("seq", 0) > last
    assert server.found() is not None


def test_a_service_that_keeps_crashing_is_left_alone(server: Jupyter) -> None:
    found = server.start_service()
    for _ in range(4):
        kill(found)
        assert server.get("himalia/api/v1/service").status_code == 200
        running = server.found()
        assert running is not None
        found = running
    kill(found)
    refused = server.get("himalia/api/v1/service")
    assert (refused.status_code, refused.json()["service"]) == (503, "stopped")
    assert "himalia logs service" in refused.json()["hint"]
    with server.websocket(EVENTS) as socket:
        assert close_code(socket) == 4503
    server.start_service()
    assert server.get("himalia/api/v1/service").status_code == 200


def test_a_service_that_was_stopped_stays_so(server: Jupyter) -> None:
    found = server.start_service()
    with server.websocket(f"{EVENTS}?after={2**53 - 1}") as socket:
        assert message(socket) == {"reset": True}  # from here on it is tied to the service
        lifecycle.stop(found)
        assert close_code(socket) == 4503
    with server.client() as client:
        answer = client.get("api/v1/service")
        assert (answer.status_code, answer.json()["service"]) == (503, "stopped")
        facts = client.get("api/status").json()
        assert (facts["state"], facts["crashed"]) == ("stopped", False)
    with server.websocket(EVENTS) as socket:
        assert close_code(socket) == 4503
    assert server.found() is None


def test_a_service_that_restarts_is_followed(server: Jupyter, monkeypatch: pytest.MonkeyPatch) -> None:
    found = server.start_service()
    assert server.get("himalia/api/v1/service").json()["pid"] == found.identity.pid
    lifecycle.stop(found)
    (server.home / "remembered.json").unlink()  # another port
    for name, value in (("HOME", server.folder), ("TMPDIR", server.folder / "tmp")):
        monkeypatch.setenv(name, str(value))
    again = lifecycle.ensure_running(server.site)
    assert again.address != found.address
    assert server.get("himalia/api/v1/service").json()["pid"] == again.identity.pid


def test_several_pages_at_once_start_it_once(server: Jupyter) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: server.start_service(), range(6)))
    started = [line for line in (server.home / "logs" / "service.log").read_text().splitlines() if "started" in line]
    pid = server.get("himalia/api/v1/service").json()["pid"]
    found = server.found()
    assert found is not None
    assert found.identity.pid == pid
    assert "runs already" not in server.log() + "".join(started)


@contextmanager
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process to pose as a service's."""
    process = subprocess.Popen(["/bin/sleep", "600"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def posing(fake: FakeService, process: subprocess.Popen[bytes]) -> None:
    """Let *fake* be the service that is *process*."""
    identity = ProcessIdentity.of(process.pid)
    assert identity is not None
    fake.write_state(identity)


def test_who_listens_on_a_dead_services_port_gets_no_token(server: Jupyter) -> None:
    with sleeper() as process, fake_service(server.site) as fake:
        posing(fake, process)
        assert server.get("himalia/api/v1/x").status_code == 200
        assert len(fake.requests) == 1
        process.kill()
        process.wait()
        server.site.user_token_file.unlink()
        assert server.get("himalia/api/v1/service").json()["pid"] != process.pid, "a new one was started"
        assert len(fake.requests) == 1


def test_an_older_service_is_replaced_when_the_page_connects(server: Jupyter) -> None:
    with sleeper() as process, fake_service(server.site, version="0.0.1") as older:

        async def stop(_request: web.Request) -> web.Response:
            process.kill()
            process.wait()
            server.site.user_token_file.unlink()
            server.site.state_file.unlink()
            return web.json_response({}, status=202)

        older.routes["/api/v1/service/stop"] = stop
        posing(older, process)
        assert server.get("himalia/api/v1/x").status_code == 200, "an older one still answers requests"
        with server.websocket(f"{EVENTS}?after=0") as socket:
            assert message(socket)["seq"] == 1
        assert server.get("himalia/api/status").json()["version"] == __version__


def test_the_token_of_a_real_service_stays_on_the_server(server: Jupyter) -> None:
    found = server.start_service()
    token = found.token()
    with server.client() as client:
        for path in (
            "api/status",
            "api/v1/service",
            "api/v1/projects",
            "api/v1/no",
            "mlflow/no/",
            "dashboard/a/b/status",
        ):
            for method in ("GET", "POST", "DELETE"):
                answer = client.request(method, path)
                assert token not in answer.text + str(answer.headers), path
                assert found.address not in answer.text + str(answer.headers), path
        with server.websocket(f"{EVENTS}?after=0") as socket:
            assert token not in str(message(socket))
        kill(found)
        assert token not in client.post("api/v1/projects", json={"name": "x"}).text
    assert token not in server.log()


def test_a_service_that_hangs_is_told_apart_from_one_that_is_stopped(
    server: Jupyter, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = server.start_service()
    monkeypatch.setenv("HIMALIA_HOME", str(server.home))
    monkeypatch.setattr(lifecycle, "HANGING_SECONDS", 0.5)
    os.kill(found.identity.pid, signal.SIGSTOP)
    try:
        assert lifecycle.look()["state"] == "starting"
        with pytest.raises(lifecycle.ServiceError, match="lives but does not answer"):
            lifecycle.ensure_running(server.site)
    finally:
        os.kill(found.identity.pid, signal.SIGCONT)
    assert lifecycle.look()["state"] == "running"
