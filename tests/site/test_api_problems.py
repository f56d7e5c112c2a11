"""What no schema describes: broken bodies, strange addresses, too much of everything. Each answer is a problem."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.site.lab import Lab
from tests.site.test_api_fuzz import problem

JSON = {"Content-Type": "application/json"}
RUNS = "/projects/tiny/runs"
NESTED = 50_000


def refused(lab: Lab, method: str, path: str, status: int, **kwargs: Any) -> dict[str, Any]:
    """The problem that a request is answered with."""
    reply = lab.request(method, path, **kwargs)
    assert reply.status_code == status, (reply.status_code, reply.text[:300])
    problem(method, reply.status_code, reply.headers, reply.text)
    document: dict[str, Any] = reply.json()
    return document


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not JSON"),
        (b"", "no body"),
        (b'{"params": ' * NESTED + b"1" + b"}" * NESTED, "too deeply"),
        (b"[" * NESTED + b"]" * NESTED, "too deeply"),
        (b'{"params": {"make": {"n": ' + b"9" * 5000 + b"}}}", "digits"),
        (b'{"params": "\xff\xfe"}', "UTF-8"),
        (b"\xff\xfe{\x00}\x00", ""),
        (b"[]", "not an object"),
        (b"null", ""),
        (b"12", "not an object"),
        (b'{"params": {"make": {"n": 1e999}}}', "params"),
        (b'{"params": {"make": {"n": NaN}}}', "params"),
        (b'{"params": {"make": {"n": "\\ud800"}}}', "params"),
        (b'{"params": {"\\ud800": {}}}', "no stage"),
        (b'{"params": {"\\u0000": {}}}', "no stage"),
        (b'{"params": {"make": {"n": ' + b"[" * 400 + b"]" * 400 + b"}}}", "nested at most"),
        (b'{"parms": {}}', "no field 'parms'"),
    ],
    ids=lambda value: value[:24].decode("latin-1") if isinstance(value, bytes) else None,
)
def test_a_body_that_cannot_be_used(lab: Lab, body: bytes, said: str) -> None:
    reply = lab.request("POST", RUNS, content=body, headers=JSON)
    if reply.status_code == 201:  # an empty object in UTF-16 is one
        assert body.startswith(b"\xff\xfe")
        return
    assert reply.status_code in (400, 422), reply.text[:300]
    problem("POST", reply.status_code, reply.headers, reply.text)
    assert said in reply.json()["detail"]
    assert reply.json().get("hint") or reply.json().get("field")


def test_a_field_that_is_written_wrongly_is_recognised(lab: Lab) -> None:
    document = refused(lab, "POST", RUNS, 422, json={"parms": {}})
    assert document["hint"] == "Did you mean 'params'?"
    assert document["field"] == "parms"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "nonsense", "image/json"])
def test_a_body_that_is_not_said_to_be_json(lab: Lab, kind: str) -> None:
    document = refused(lab, "POST", RUNS, 415, content=b"{}", headers={"Content-Type": kind})
    assert "application/json" in document["hint"]


def test_a_body_may_have_two_mebibytes(lab: Lab) -> None:
    for content in (b" " * ((2 << 20) + 1), iter([b" " * (1 << 20)] * 3)):  # its length told, and not told
        document = refused(lab, "POST", RUNS, 413, content=content, headers=JSON)
        assert "2 MiB" in document["detail"]
    assert refused(lab, "POST", RUNS, 422, content=b"[" + b" " * ((2 << 20) - 2) + b"]", headers=JSON)


def test_an_address_that_is_none(lab: Lab) -> None:
    for path in (
        "/nowhere",
        "/projects/",
        "/projects/tiny/",
        "/api/v2/projects",
        "/api",
        "//",
        "/api/v1/%2e%2e/health",
    ):
        document = refused(lab, "GET", path, 404)
        assert document["hint"]
    assert refused(lab, "GET", "/projects/tiny%00", 400)["detail"]
    assert refused(lab, "GET", "/projects/tiny%0a", 422)["field"] == "slug"
    assert refused(lab, "GET", f"/projects/{'x' * 64}", 422)["field"] == "slug"
    assert refused(lab, "GET", "/projects/%F0%9F%98%80", 404)
    assert refused(lab, "GET", "/projects/%ff%fe", 404)
    reply = lab.request("GET", "/projects/tiny%00", token="")
    assert reply.status_code == 400
    assert "tiny" not in reply.text


def test_another_method_is_told_the_right_ones(lab: Lab) -> None:
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
        reply = lab.request(method, "/projects")
        assert reply.status_code == 405, method
        assert reply.headers["allow"] == "GET, POST", method
        problem(method, reply.status_code, reply.headers, reply.text)
    assert lab.request("TRACE", "/projects/tiny").headers["allow"] == "GET, DELETE"


def test_below_mlflow_problems_have_the_form_of_mlflow(lab: Lab) -> None:
    for path, token, status, code in (
        ("/mlflow/nowhere/api/2.0/mlflow/experiments/search", None, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("/mlflow/tiny/", "", 401, "UNAUTHENTICATED"),
        (f"/mlflow/{'x' * 99}/", None, 422, "INVALID_PARAMETER_VALUE"),
        ("/mlflow/tiny%00/", None, 400, "INVALID_PARAMETER_VALUE"),
    ):
        reply = lab.request("GET", path, token=token)
        assert (reply.status_code, reply.json()["error_code"]) == (status, code), reply.text
        assert reply.json()["message"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=1e3", "limit"),
        (f"limit={'9' * 5000}", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=", "cursor"),
        ("cursor=%00", "cursor"),
        ("cursor=%f0%9f%98%80", "cursor"),
        (f"cursor={'a' * 33}", "cursor"),
    ],
)
@pytest.mark.parametrize("path", ["/projects", RUNS])
def test_a_bad_page_is_told(lab: Lab, path: str, query: str, field: str) -> None:
    document = refused(lab, "GET", f"{path}?{query}", 422)
    assert document["field"] == field
    assert field == "limit" or "leave it out for the first page" in document["detail"]


@pytest.mark.parametrize(
    "path", ["/audit?cursor=9223372036854775808", "/events?after=9223372036854775808", "/events?after=-1"]
)
def test_a_number_that_no_row_can_have_is_told(lab: Lab, path: str) -> None:
    assert refused(lab, "GET", path, 422)["field"] in ("cursor", "after")


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/projects", {"name": "x" * 201, "template": "blank"}, "name"),
        ("POST", "/projects", {"name": "a\0b", "template": "blank"}, "name"),
        ("POST", "/projects", {"name": "\ud800", "template": "blank"}, "name"),
        ("POST", "/projects", {"name": "nul", "path": "/a\0b"}, "path"),
        ("POST", "/projects", {"name": "long", "path": "/" + "x" * 900}, "path"),
        ("POST", "/projects", {"name": "half", "path": "/\ud800"}, "path"),
        ("POST", "/projects/tiny/kernels", {"kernel_id": "k" * 65, "pid": 1}, "kernel_id"),
        ("POST", "/projects/tiny/kernels", {"kernel_id": "../k", "pid": 1}, "kernel_id"),
        ("POST", "/projects/tiny/kernels", {"kernel_id": "k", "pid": 10**30}, "pid"),
        ("POST", "/projects/tiny/kernels", {"kernel_id": "k", "pid": 2**31 - 1}, "pid"),
        ("POST", "/projects/tiny/kernels", {"kernel_id": "k", "pid": True}, "pid"),
        ("POST", "/projects/tiny/clusters", {"name": "x" * 64}, "name"),
        ("POST", "/projects/tiny/clusters", {"name": "-x"}, "name"),
        ("POST", "/projects/tiny/clusters", {"name": "x\n"}, "name"),
        ("POST", "/projects/tiny/clusters", {"name": "x", "workers": "2"}, "workers"),
        ("POST", "/projects/tiny/clusters", {"name": "x", "workers": 257}, "workers"),
        ("POST", "/projects/tiny/clusters", {"name": "x", "profile": "p" * 64}, "profile"),
        ("POST", "/projects/tiny/clusters", {"name": "x", "profile": "p\0"}, "profile"),
        ("POST", "/projects/tiny/clusters", {"name": "x", "memory_limit": "9" * 31 + "B"}, "memory_limit"),
        ("POST", "/projects/tiny/clusters", {"name": "x", "memory_limit": "much"}, "memory_limit"),
        ("PATCH", "/projects/tiny/clusters/x", {"workers": False}, "workers"),
        ("POST", "/projects/tiny/deployments", {"name": "x", "model": "tiny"}, "model"),
        ("POST", "/projects/tiny/deployments", {"name": "x", "model": "models:/a\0@b"}, "model"),
        ("POST", "/projects/tiny/deployments", {"name": "x", "model": "models:/" + "a" * 251}, "model"),
        ("POST", "/projects/tiny/deployments/x/confirm", {"version": 3}, "version"),
        ("POST", "/projects/tiny/deployments/x/confirm", {"version": "1" * 10}, "version"),
        ("POST", "/projects/tiny/deployments/x/tokens", {"label": "a\0b"}, "label"),
        ("POST", "/projects/tiny/deployments/x/tokens", {"label": "x" * 101}, "label"),
        ("POST", "/projects/tiny/deployments/x/tokens", {"label": "x", "days": 0}, "days"),
        ("PUT", f"/projects/tiny/models/{'m' * 201}/aliases/a", {"version": "1"}, "name"),
        ("PUT", "/projects/tiny/models/m/aliases/A", {"version": "1"}, "alias"),
    ],
)
def test_what_the_store_has_no_room_for_is_told(lab: Lab, method: str, path: str, body: Any, field: str) -> None:
    """Columns of PostgreSQL have a length, and take no NUL."""
    document = refused(lab, method, path, 422, content=json.dumps(body).encode(), headers=JSON)
    assert document["field"] == field, document


def test_names_that_only_a_lookup_sees(lab: Lab) -> None:
    for path in ("runs/x", "runs/x/stages/y/log", "clusters/x", "deployments/x", "deployments/x/tokens"):
        for name in ("ü", "x" * 63, "%25", "a'b--"):
            assert refused(lab, "GET", "/projects/tiny/" + path.replace("x", name), 404)["detail"]
    assert refused(lab, "DELETE", "/projects/tiny/kernels/none", 404)["detail"]


def test_a_request_that_is_no_http_ends_the_connection_only(lab: Lab) -> None:
    place = urlsplit(lab.url)
    assert place.hostname
    for raw in (b"GET / HTTP/1.1\r\nHost: x\r\nX: \0\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"G\r\n\r\n"):
        with socket.create_connection((place.hostname, place.port or 0), timeout=30) as connection:
            connection.sendall(raw)
            assert connection.recv(20).startswith((b"HTTP/1.1 4", b""))
    assert lab.get("/service")["site"]
