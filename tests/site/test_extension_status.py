"""The server extension in a real Jupyter server: who may ask how the service is, who may start it."""

from __future__ import annotations

import getpass
from collections.abc import Iterator

import pytest

from himalia import __version__
from himalia_server.service import lifecycle
from himalia_server.service.site import Site
from tests.site.extension_lab import BASE_URL, HOST, TOKEN, Jupyter, jupyter

STATUS = "api/status"

READERS_ONLY = """
from jupyter_server.auth import Authorizer


class ReadersOnly(Authorizer):
    def is_authorized(self, handler, user, action, resource):
        return resource != "himalia" or action == "read"


c.ServerApp.authorizer_class = ReadersOnly
"""
NO_HIMALIA = READERS_ONLY.replace('or action == "read"', "")


def test_an_authorizer_is_asked_for_each_verb_anew() -> None:
    with jupyter(READERS_ONLY) as server, server.client() as client:
        for _ in range(2):
            assert client.get(STATUS).status_code == 200
            refused = client.post(STATUS)
            assert refused.status_code == 403
            assert "may not write himalia" in refused.json()["message"]
        assert not server.home.exists(), "a refused start must start nothing"


def test_an_authorizer_can_refuse_everything() -> None:
    with jupyter(NO_HIMALIA) as server, server.client() as client:
        assert client.get(STATUS).status_code == 403
        assert client.post(STATUS).status_code == 403


def test_a_start_that_fails_says_why() -> None:
    with jupyter() as server, server.client() as client:
        server.home.mkdir(mode=0o700)
        identity = server.home / "site.json"
        identity.write_text("{")
        answer = client.post(STATUS)
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert str(server.home) in answer.json()["detail"]
        identity.unlink()


@pytest.fixture(scope="module")
def server() -> Iterator[Jupyter]:
    """A Jupyter server on which everybody who is signed in may do everything, as by default."""
    with jupyter() as running:
        yield running


def test_the_extension_tells_and_starts(server: Jupyter) -> None:
    with server.client() as client:
        before = client.get(STATUS)
        assert (before.status_code, before.json()["state"]) == (200, "stopped")
        facts = before.json()
        assert (facts["version"], facts["site"], facts["crashed"]) == (None, None, False)
        assert not server.home.exists(), "a look must not make a site"

        started = client.post(STATUS)
        assert (started.status_code, started.json()["state"]) == (200, "running"), started.text
        site = Site.open(server.home)
        assert started.json() == {
            "state": "running",
            "version": __version__,
            "extension": __version__,
            "site": site.id,
            "root": str(server.folder),
            "user": getpass.getuser(),
            "crashed": False,
        }
        assert client.get(STATUS).json() == started.json()

        first = lifecycle.find(site)
        assert client.post(STATUS).status_code == 200
        again = lifecycle.find(site)
        assert first is not None
        assert again is not None
        assert again.identity == first.identity, "a second start must not start a second service"


def test_the_address_and_the_token_stay_on_the_server(server: Jupyter) -> None:
    with server.client() as client:
        facts = client.post(STATUS).json()
        assert set(facts) == {"state", "version", "extension", "site", "root", "user", "crashed"}


@pytest.mark.parametrize("token", [None, "another token"])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE"])
def test_who_is_not_signed_in_learns_nothing(server: Jupyter, method: str, token: str | None) -> None:
    with server.client(token=token) as client:
        answer = client.request(method, STATUS)
    assert answer.status_code == 403
    assert "state" not in answer.text


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "HEAD"])
def test_there_are_no_other_verbs(server: Jupyter, method: str) -> None:
    with server.client() as client:
        assert client.request(method, STATUS).status_code == 405


def test_it_lies_below_the_base_url(server: Jupyter) -> None:
    with server.client() as client:
        assert client.get(f"http://{HOST}/himalia/api/status").status_code == 404


def test_a_browser_needs_the_xsrf_token_to_start(server: Jupyter) -> None:
    with server.client(token=None) as client:
        client.get(f"http://{HOST}{BASE_URL}api/me", params={"token": TOKEN})
        client.get(f"http://{HOST}{BASE_URL}nowhere")  # Jupyter's error page sets the XSRF cookie
        assert client.get(STATUS).status_code == 200, "the cookie signs in"
        assert client.post(STATUS).status_code == 403
        xsrf = {"X-XSRFToken": client.cookies["_xsrf"]}
        assert client.post(STATUS, headers=xsrf).status_code == 200
