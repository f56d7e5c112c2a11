"""A walk over every route of the extension: who must not get in does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection

from himalia_server.extension import HimaliaExtension
from tests.site.extension_lab import ORIGIN, TWO_USERS, Jupyter, jupyter, message
from tests.site.fake_service import FakeService, fake_service
from tests.site.test_extension_status import NO_HIMALIA, READERS_ONLY

READ = ("GET", "HEAD")
CHANGE = ("POST", "PUT", "PATCH", "DELETE")
SAMPLES = {
    r"/himalia/api/status": "api/status",
    r"/himalia/api/v1/.*": "api/v1/projects",
    r"/himalia/mlflow/.*": "mlflow/a/x",
    r"/himalia/dashboard/.*": "dashboard/a/b/status",
}
SOCKETS = {r"/himalia/api/events": "api/events", r"/himalia/dashboard/.*/ws": "dashboard/a/b/status/ws"}
HUB = TWO_USERS + "c.ServerApp.disable_check_xsrf = True\n"


@contextmanager
def both(config: str = "", **settings: Any) -> Iterator[tuple[Jupyter, FakeService]]:
    with jupyter(config, **settings) as server, fake_service(server.site) as service:
        yield server, service


def upgrade(server: Jupyter, path: str, token: str | None, headers: dict[str, str] | None = None) -> int:
    """The status of the answer to a WebSocket's upgrade."""
    try:
        server.websocket(path, token=token, headers=headers).close()
    except InvalidStatus as refusal:
        return refusal.response.status_code
    return 101


def until_quiet(socket: ClientConnection) -> list[dict[str, Any]]:
    """What has come, and comes within two seconds."""
    events = []
    with suppress(TimeoutError):
        while True:
            events.append(message(socket, timeout=2))
    return events


def test_the_walk_misses_no_route() -> None:
    extension = HimaliaExtension()
    extension.initialize_handlers()
    assert {route[0] for route in extension.handlers} == {*SAMPLES, *SOCKETS}


@pytest.mark.parametrize("unauthenticated", [False, True])
def test_nobody_gets_in_without_a_login(unauthenticated: bool) -> None:
    with both(unauthenticated=unauthenticated) as (server, service):
        for token in (None, "wrong"):
            with server.client(token=token) as client:
                for path in SAMPLES.values():
                    for method in (*READ, *CHANGE, "OPTIONS"):
                        answer = client.request(method, path, content=b"{}" if method in CHANGE else None)
                        to_login = answer.status_code == 302 and "/login" in answer.headers["Location"]
                        preflight = method == "OPTIONS" and answer.status_code in (200, 204) and not answer.content
                        refused = answer.status_code in (403, 405)
                        assert refused or preflight or (to_login and method in READ), (method, path, answer)
                        assert refused or preflight or not path.startswith("api/")
            for path in SOCKETS.values():
                assert upgrade(server, path, token) == 403
        assert service.requests == []


def test_who_may_only_read_changes_nothing() -> None:
    with both(READERS_ONLY) as (server, service), server.client() as client:
        for path in SAMPLES.values():
            assert client.get(path).status_code == 200
            seen = len(service.requests)
            for method in CHANGE:
                assert client.request(method, path).status_code in (403, 405)
            assert len(service.requests) == seen
        for path in SOCKETS.values():
            assert upgrade(server, path, "a-token-of-this-test") == 101


def test_who_may_nothing_gets_nothing() -> None:
    with both(NO_HIMALIA) as (server, service), server.client() as client:
        for path in SAMPLES.values():
            for method in (*READ, *CHANGE):
                assert client.request(method, path).status_code in (403, 405)
        for path in SOCKETS.values():
            assert upgrade(server, path, "a-token-of-this-test") == 403
        assert service.requests == []


def test_the_service_learns_for_whom_it_is() -> None:
    with both(HUB, environment={"JUPYTERHUB_USER": "ada"}) as (server, service):
        for who, named in (("ada", None), ("bob", "bob")):
            with server.client(token=None, who=who) as client:
                assert client.get("api/status").json()["user"] == who or who == "ada"
                for path in (path for path in SAMPLES.values() if path != "api/status"):
                    for method in ("GET", "POST"):
                        client.request(method, path, headers={"X-Himalia-User": "carol"})
                        assert service.last()["headers"].get("X-Himalia-User") == named
            for path in SOCKETS.values():
                headers = {"Cookie": f"who={who}", "X-Himalia-User": "carol", "Origin": ORIGIN}
                service.requests.clear()
                assert upgrade(server, path, None, headers) == 101
                if path != "api/events":
                    assert service.last()["headers"].get("X-Himalia-User") == named
        for who in ("", "a/b"):
            with server.client(token=None, who=who) as client:
                seen = len(service.requests)
                assert client.get("api/v1/projects").status_code == 403
                assert len(service.requests) == seen


@pytest.fixture(scope="module")
def hub() -> Iterator[Jupyter]:
    with jupyter(HUB, environment={"JUPYTERHUB_USER": "ada"}) as server:
        yield server


def test_a_guest_sees_nothing_of_the_owner(hub: Jupyter) -> None:
    folder = hub.home / "projects" / "mine"
    with hub.client(token=None, who="ada") as ada, hub.client(token=None, who="bob") as bob:
        assert ada.post("api/status").status_code == 200
        folder.mkdir(parents=True)
        (folder / "himalia.toml").write_text('[project]\nname = "mine"\n')
        with hub.websocket("api/events?after=0", token=None, headers={"Cookie": "who=bob"}) as events:
            made = ada.post("api/v1/projects", json={"name": "mine", "path": str(folder)})
            assert made.status_code == 201, made.text
            assert [project["slug"] for project in ada.get("api/v1/projects").json()["items"]] == ["mine"]
            assert bob.get("api/v1/projects").json()["items"] == []
            for path in (
                "api/v1/projects/mine",
                "api/v1/projects/mine/runs",
                "mlflow/mine/",
                "dashboard/mine/x/status",
            ):
                assert bob.get(path).status_code == 404, path
            assert bob.delete("api/v1/projects/mine").status_code == 404
            assert bob.post("api/v1/service/stop", json={}).status_code == 403
            assert bob.get("api/v1/audit").status_code == 403
            assert bob.post("api/status", json={}).status_code == 403
            assert bob.get("api/v1/service").json()["user"] == "bob"
            assert upgrade(hub, "dashboard/mine/x/status/ws", None, {"Cookie": "who=bob"}) in (403, 404)
            with hub.websocket("api/events?after=0", token=None, headers={"Cookie": "who=ada"}) as own:
                while message(own)["topic"] != "project.created":
                    pass
            assert all(event["project"] is None for event in until_quiet(events))
        assert ada.get("api/v1/projects/mine").status_code == 200
