"""Addresses and headers between browser and service."""

from __future__ import annotations

import pytest

from himalia_server.extension import wire

BASE = "/user/ada/"


@pytest.mark.parametrize(
    ("uri", "target"),
    [
        ("api/v1/projects", "/api/v1/projects"),
        ("api/v1/projects?limit=1&cursor=a%2Fb+c", "/api/v1/projects?limit=1&cursor=a%2Fb+c"),
        ("mlflow/a/", "/mlflow/a/"),
        ("mlflow/a/get-artifact?path=..%2Fx&run=1", "/mlflow/a/get-artifact?path=..%2Fx&run=1"),
        ("mlflow/a/a%20b;c=1/%C3%A9", "/mlflow/a/a%20b;c=1/%C3%A9"),
        ("mlflow/a/one%2Ftwo", "/mlflow/a/one%2Ftwo"),
        ("mlflow/a/x..y/.hidden/...", "/mlflow/a/x..y/.hidden/..."),
        ("dashboard/a/b/status?", "/dashboard/a/b/status"),
        ("api/v1/x?token=secret&a=1&_xsrf=2%7C3", "/api/v1/x?a=1"),
        ("api/v1/x?%74oken=secret", "/api/v1/x"),
        ("api/v1/x?page_token=1&tokens=2", "/api/v1/x?page_token=1&tokens=2"),
    ],
)
def test_an_address_passes_as_it_was_sent(uri: str, target: str) -> None:
    assert wire.upstream_target(f"{BASE}himalia/{uri}", BASE) == target


@pytest.mark.parametrize(
    "path",
    [
        *("api/v1/../health", "api/v1/..", "api/v1/./x", "mlflow/a/../../api/v1/service"),
        *("api/v1/%2e%2e/health", "api/v1/%2E./x", "api/v1/.%2e/x", "api/v1/%2e/x", "api/v1/..%2fhealth"),
        *("api/v1/a%2f..%2f..%2fhealth", "api/v1/%252e%252e/health", "api/v1/%25252e%25252e%25252fhealth"),
        *("api/v1/..\\health", "api/v1/%5c..%5chealth", "api/v1/a%5cb", "api/v1/%255c"),
        *("api/v1/a%00b", "api/v1/a%0d%0ab", "api/v1/a%7f", "api/v1/é", "api/v1/a b"),
        *("health", "api/v2/x", "api/status", "mlflowx/a", "openapi.json", ""),
        "api/v1/%" + "25" * 9 + "2e",
    ],
)
def test_an_address_that_would_leave_the_prefix_is_refused(path: str) -> None:
    with pytest.raises(wire.BadAddressError):
        wire.upstream_target(f"{BASE}himalia/{path}", BASE)


def test_a_query_with_raw_characters_is_refused() -> None:
    with pytest.raises(wire.BadAddressError):
        wire.upstream_target(f"{BASE}himalia/api/v1/x?a=é", BASE)


@pytest.mark.parametrize(
    "uri", ["/user/bob/himalia/api/v1/x", "/himalia/api/v1/x", "http://host/user/ada/himalia/api/v1/x"]
)
def test_an_address_of_another_base_url_is_refused(uri: str) -> None:
    with pytest.raises(wire.BadAddressError):
        wire.upstream_target(uri, BASE)


def test_nothing_that_identifies_the_browser_is_sent() -> None:
    browser = {
        "Accept": "a",
        "Content-Type": "b",
        "Range": "bytes=0-1",
        "X-Request-ID": "c",
        "Cookie": "_xsrf=1",
        "Authorization": "token secret",
        "X-Himalia-User": "somebody",
        "X-XSRFToken": "1",
        "Origin": "http://here",
        "Referer": "http://here/?token=secret",
        "Host": "here",
        "Connection": "close, X-Thing",
        "X-Thing": "1",
        "X-Forwarded-For": "10.0.0.1",
        "X-MLflow-Workspace": "other",
        "Upgrade": "h2c",
        "Expect": "100-continue",
        "Transfer-Encoding": "chunked",
    }
    assert wire.request_headers(browser) == {
        "Accept": "a",
        "Content-Type": "b",
        "Range": "bytes=0-1",
        "X-Request-ID": "c",
    }


def test_what_belongs_to_the_connection_or_to_the_service_stays_there() -> None:
    kept = [("Cache-Control", "no-store"), ("ETag", '"a"'), ("Vary", "a"), ("Vary", "b"), ("Content-Encoding", "gzip")]
    dropped = [
        *(("Set-Cookie", "a=b"), ("Connection", "X-Named"), ("X-Named", "1"), ("Transfer-Encoding", "chunked")),
        *(("Access-Control-Allow-Origin", "*"), ("Authorization", "Bearer x"), ("WWW-Authenticate", "Bearer")),
        *(("Location", "/x"), ("Server", "uvicorn"), ("X-Frame-Options", "DENY"), ("X-Himalia-User", "a")),
    ]
    assert wire.response_headers([*kept, *dropped], "keep-alive, x-named") == kept


@pytest.mark.parametrize(
    ("value", "there"),
    [
        ("/mlflow/a/", "/user/ada/himalia/mlflow/a/"),
        ("a/", "/user/ada/himalia/mlflow/a/"),
        ("http://127.0.0.1:9/mlflow/a/?x=1#y", "/user/ada/himalia/mlflow/a/?x=1#y"),
        ("//127.0.0.1:9/dashboard/a/b/status", "/user/ada/himalia/dashboard/a/b/status"),
        ("http://elsewhere/mlflow/a/", None),
        ("//elsewhere/mlflow/a/", None),
        ("http://127.0.0.1:99/mlflow/a/", None),
        ("/health", None),
        ("javascript:alert(1)", None),
    ],
)
def test_a_redirect_stays_below_the_base_url(value: str, there: str | None) -> None:
    assert wire.location(value, "http://127.0.0.1:9/mlflow/a", BASE) == there
