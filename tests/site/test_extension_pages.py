"""MLflow's and Dask's pages through a real Jupyter server: who may open them, and who may write through them.

The service is a stand-in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

import httpx
import pytest
from aiohttp import web

from tests.site.extension_lab import BASE_URL, HOST, ORIGIN, TOKEN, Jupyter, jupyter
from tests.site.fake_service import FakeService, fake_service

PAGE = f"{ORIGIN}{BASE_URL}himalia/mlflow/a/"


@pytest.fixture(scope="module")
def server() -> Iterator[Jupyter]:
    with jupyter() as running:
        yield running


@pytest.fixture
def service(server: Jupyter) -> Iterator[FakeService]:
    with fake_service(server.site) as fake:
        yield fake


@contextmanager
def signed_in(server: Jupyter) -> Iterator[httpx.Client]:
    """A browser with Jupyter's login cookie."""
    with server.client(token=None) as browser:
        browser.get(f"http://{HOST}{BASE_URL}api/me", params={"token": TOKEN})
        yield browser


def xsrf(browser: httpx.Client) -> str:
    """The XSRF token that MLflow's page was handed, as its scripts read it."""
    return unquote(next(c.value or "" for c in browser.cookies.jar if c.name == "mlflow-request-header-X-XSRFToken"))


def test_mlflows_scripts_can_write_and_other_pages_cannot(server: Jupyter, service: FakeService) -> None:
    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="<html>", content_type="text/html")

    service.routes["/mlflow/a/"] = page
    with signed_in(server) as browser:
        assert browser.get("mlflow/a/").status_code == 200
        cookie = next(c for c in browser.cookies.jar if c.name == "mlflow-request-header-X-XSRFToken")
        assert (cookie.path, cookie.has_nonstandard_attr("HttpOnly")) == (f"{BASE_URL}himalia/mlflow/", False)
        token = {"X-XSRFToken": xsrf(browser)}
        ours = {"Sec-Fetch-Site": "same-origin", "Origin": ORIGIN, "Referer": PAGE}
        target = "mlflow/a/ajax-api/2.0/mlflow/runs/update"
        assert browser.post(target, headers=ours | token).status_code == 200
        assert browser.post(target, headers=token).status_code == 200, "an old browser sends no Sec-Fetch-Site"
        written = len(service.requests)
        # Without the token nothing helps: a page of another user's server on the same domain can send all of this.
        others = {"Referer": f"{ORIGIN}/user/bob/lab"}
        for headers in (
            {},
            ours,
            ours | others,
            {"Sec-Fetch-Site": "same-origin"},
            {"Referer": PAGE},
            {"Origin": ORIGIN},
        ):
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                assert browser.request(method, target, headers=headers).status_code == 403, headers
        assert browser.post(target, headers={"X-XSRFToken": "2|00000000|0|0"}).status_code == 403
        evil = {"Origin": "http://evil.example"}
        for headers in (evil, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "null"}):
            assert browser.post(target, headers=ours | token | headers).status_code == 403, headers
        assert len(service.requests) == written
        assert browser.post("api/v1/x", headers=ours).status_code == 403, "REST: Jupyter's own check"
        assert browser.post("api/v1/x", headers=ours | token).status_code == 200


def test_a_page_without_a_login_leads_to_it(server: Jupyter, service: FakeService) -> None:
    with server.client(token=None) as nobody:
        for path in ("mlflow/a/", "dashboard/a/b/status"):
            answer = nobody.get(path)
            assert (answer.status_code, answer.headers["Location"].split("?")[0]) == (302, f"{BASE_URL}login")
        assert nobody.post("mlflow/a/x").status_code == 403
    assert service.requests == []


def test_the_dashboards_pages_only_read(server: Jupyter, service: FakeService) -> None:
    with server.client() as client:
        assert client.get("dashboard/a/b/status").status_code == 200
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert client.request(method, "dashboard/a/b/status").status_code == 405
    assert len(service.requests) == 1


def test_scripts_get_errors_that_they_can_read(server: Jupyter, service: FakeService) -> None:
    with signed_in(server) as browser:
        refused = browser.post("mlflow/a/ajax-api/2.0/mlflow/runs/update", headers={"Accept": "*/*"})
        assert (refused.status_code, refused.headers["Content-Type"]) == (403, "application/problem+json")
        assert "_xsrf" in refused.json()["message"]
        assert TOKEN not in refused.text
        person = browser.get("mlflow/%2e%2e/", headers={"Accept": "text/html"})
        assert person.status_code == 400
        assert person.headers["Content-Type"].startswith("text/html")
