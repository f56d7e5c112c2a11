"""Every route: without a credential, with another project's, with a weaker one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.site.lab import Lab

VALUES = {
    "slug": "tiny",
    "name": "thing",
    "run_id": "r",
    "stage": "make",
    "alias": "champion",
    "key_id": "k",
    "user": "u",
    "publisher": "tiny",
    "component": "nothing",
    "sweep_id": "s",
    "verification": "v",
    "number": "1",
    "digest": "sha256:" + "0" * 64,
}
QUERIES = {"/runs/compare": "?runs=a&runs=b", "/pipeline/parameters": "?notebook=make.ipynb"}
READS = {"GET"}
SITE_ROUTES = ("/templates", "/service", "/audit", "/events", "/projects", "/openapi.json")
BODIES: dict[str, Any] = {
    "/clusters": {"name": "thing"},
    "/deployments": {"name": "thing", "model": "models:/x@y"},
    "/tokens": {"label": "x"},
    "/confirm": {"version": "1"},
    "/predict": {"dataframe_split": {"columns": [], "data": []}},
    "/runs": {},
    "/progress": {"cell": 1, "cells": 2},
    "/claim": {"ticket": "0" * 16, "claimant": "0" * 32, "worker": "w", "address": "tls://w"},
    "/kernels": {"kernel_id": "k", "pid": 1},
    "aliases/{alias}": {"version": "1"},
    "/clusters/{name}": {"workers": 1},
    "/environment": {},
    "/environments/prune": {},
    "/service/stop": {},
    "/projects": {"name": "other"},
    "/templates": {"source": "/nowhere"},
    "/manifest/check": {"text": ""},
    "/manifest/complete": {"text": "", "line": 1, "column": 1},
    "/manifest": {"base_digest": "sha256:" + "0" * 64, "edits": [{"op": "remove", "path": ["stages"]}]},
    "/project-locations": {"path": "/nowhere"},
    "/clone": {"name": "another"},
    "/path": {"path": "/nowhere"},
    "/members/{user}": {"role": "viewer"},
    "/secrets/{name}": {"value": "x"},
    "/components": {"name": "nothing", "version": "1"},
    "/uses/{publisher}/{component}": {"version": "1"},
    "/verifications": {"notebook": "make.ipynb"},
    "/sweeps": {},
    "/pipeline/plan": {},
    "/runs/{run_id}/resume": {},
    "/schedules": {"name": "thing", "target": {"kind": "pipeline"}, "cron": "@yearly", "zone": "UTC"},
    "/schedules/{name}": {"overlap": "skip"},
    "/schedules/preview": {"cron": "@yearly", "zone": "UTC"},
    "/notifiers": {"name": "thing", "target": {"kind": "email", "to": ["ann@example.org"]}},
    "/notices/read": {"until": "00000000"},
}
OPERATORS = ("/deployments", "/tokens", "aliases/")


def routes(lab: Lab) -> Iterator[tuple[str, str, Any]]:
    """Method, path and a valid body of every documented operation."""
    document = lab.get("/openapi.json")
    for template, operations in document["paths"].items():
        for method in operations:
            path = template.format(**({"kernel_id": "k"} | VALUES))
            path += next((query for end, query in QUERIES.items() if template.endswith(end)), "")
            body = next((value for end, value in BODIES.items() if template.endswith(end)), None)
            yield method.upper(), path, body if method in ("post", "put", "patch") else None


def test_the_walk_sees_all_rooms(lab: Lab) -> None:
    paths = {path for _, path, _ in routes(lab)}
    assert len(paths) >= 20
    for room in ("projects/tiny", "clusters", "runs", "deployments", "models", "events", "audit", "service"):
        assert any(room in path for path in paths), room


@pytest.mark.parametrize("token", ["", "him_wrong", "x" * 500])
def test_nothing_without_a_valid_token(lab: Lab, token: str) -> None:
    others = [("GET", "/api/v1/openapi.json", None), ("GET", "/nowhere", None), ("GET", "/mlflow/tiny/", None)]
    for method, path, body in [*routes(lab), *others]:
        reply = lab.request(method, path, token=token, json=body)
        assert reply.status_code == 401, (method, path, reply.text)
        assert "tiny" not in reply.text


def test_a_body_that_is_not_json_is_not_even_read_without_a_token(lab: Lab) -> None:
    assert lab.request("POST", "/projects", token="", content=b"{").status_code == 401


def test_health_reveals_nothing(lab: Lab) -> None:
    assert lab.request("GET", "/health", token="").json() == {"status": "ok"}


def test_another_projects_tokens_see_nothing_of_this_one(lab: Lab) -> None:
    lab.project("elsewhere", {}, {})
    for purpose in ("user", "kernel", "stage"):
        token = lab.token("elsewhere", "owner", purpose)
        for method, path, body in routes(lab):
            if "/projects/tiny" not in path:
                continue
            reply = lab.request(method, path, token=token, json=body)
            assert reply.status_code in (403, 404), (purpose, method, path, reply.text)
            assert reply.status_code == 404 or purpose != "user", (purpose, method, path, reply.text)
        assert [p["slug"] for p in lab.get("/projects", token=token)["items"]] == ["elsewhere"]
        mlflow = "/mlflow/tiny/api/2.0/mlflow/experiments/search?max_results=10"
        assert lab.request("GET", mlflow, token=token).status_code == 404


def test_a_viewer_changes_nothing(lab: Lab) -> None:
    token = lab.token("tiny", "viewer")
    for method, path, body in routes(lab):
        if "/projects/tiny" not in path or path.endswith("/notices/read"):  # one's own marks
            continue
        reply = lab.request(method, path, token=token, json=body)
        others = ("/export", "/connection", "/tokens", "/secrets", "/notifiers", f"/objects/{VALUES['digest']}")
        if (method in READS or path.endswith("/pipeline/plan")) and not path.endswith(others):
            assert reply.status_code in (200, 404, 503), (method, path, reply.text)
        else:
            assert reply.status_code == 403, (method, path, reply.text)


@pytest.mark.parametrize(("purpose", "role"), [("kernel", "owner"), ("stage", "owner"), ("user", "contributor")])
def test_a_kernel_cannot_do_an_operators_work(lab: Lab, purpose: str, role: str) -> None:
    token = lab.token("tiny", role, purpose, limit="contributor")
    tried = 0
    for method, path, body in routes(lab):
        operators = any(word in path for word in OPERATORS) and method != "GET"
        if path.endswith(("/deployments", "/predict")):
            continue  # the first is a request then, see below; the second changes nothing
        if operators or (method == "DELETE" and path.endswith("/projects/tiny")):
            tried += 1
            assert lab.request(method, path, token=token, json=body).status_code == 403, (method, path)
    assert tried >= 6
    reply = lab.request("POST", "/projects/tiny/deployments", token=token, json={"name": "x", "model": "models:/x/1"})
    assert reply.status_code in (404, 503), reply.text
    if purpose != "user":
        reply = lab.request("POST", "/projects/tiny/kernels", token=token, json={"kernel_id": "k", "pid": 1})
        assert reply.status_code == 403
        assert lab.request("POST", "/projects", token=token, json={"name": "mine"}).status_code == 403


def test_the_site_is_for_its_admin(lab: Lab) -> None:
    token = lab.token("tiny", "owner")
    assert lab.request("POST", "/service/stop", token=token, json={}).status_code == 403
    assert lab.request("GET", "/audit", token=token).status_code == 403


def test_an_auditor_reads_all_and_changes_nothing(lab: Lab) -> None:
    token = lab.token(None, "auditor")
    assert lab.request("GET", "/audit", token=token).status_code == 200
    assert lab.request("GET", "/projects/tiny", token=token).json()["role"] == "viewer"
    assert lab.request("POST", "/projects/tiny/runs", token=token, json={}).status_code == 403
    assert lab.request("POST", "/service/stop", token=token, json={}).status_code == 403


def test_denials_are_in_the_audit_log_and_the_log_is_whole(lab: Lab) -> None:
    token = lab.token("tiny", "viewer")
    lab.request("POST", "/projects/tiny/runs", token=token, json={})
    rows = lab.get("/audit?limit=50")["items"]
    denied = [row for row in rows if row["outcome"] == "denied" and row["action"] == "run.start"]
    assert denied
    assert denied[0]["actor"] == "user-viewer-tiny"
    assert lab.get("/audit/check")["whole"] is True


def test_the_event_socket_needs_a_token(lab: Lab) -> None:
    address = lab.url.replace("http", "ws") + "/api/v1/events/socket?after=0"
    with pytest.raises((InvalidStatus, ConnectionClosed)), connect(address) as socket:
        socket.recv(timeout=5)


def test_events_are_replayed_over_socket_and_stream(lab: Lab) -> None:
    token = lab.found.token() if lab.found else ""
    header = {"Authorization": f"Bearer {token}"}
    address = lab.url.replace("http", "ws") + "/api/v1/events/socket?after=0"
    with connect(address, additional_headers=header) as socket:
        first = json.loads(socket.recv(timeout=10))
    with lab.http.stream("GET", f"{lab.url}/api/v1/events?after=0", headers=header) as reply:
        lines = (line for line in reply.iter_lines() if line.startswith("data: "))
        assert json.loads(next(lines)[6:]) == first
    assert first["seq"] >= 1


def test_events_of_a_project_reach_only_its_members(lab: Lab) -> None:
    token = lab.token("other", "owner")
    header = {"Authorization": f"Bearer {token}"}
    last = lab.get("/service")["last_event"]
    with connect(
        lab.url.replace("http", "ws") + f"/api/v1/events/socket?after={last}", additional_headers=header
    ) as socket:
        for slug in ("tiny", "other"):
            folder = lab.get(f"/projects/{slug}")["path"]
            assert folder
            lab.request("POST", f"/projects/{slug}/kernels", json={"kernel_id": f"k-{slug}", "pid": 1})
        event = json.loads(socket.recv(timeout=10))
        assert event["project"] == "other"


def test_a_cursor_from_the_future_is_reset(lab: Lab) -> None:
    header = {"Authorization": f"Bearer {lab.found.token() if lab.found else ''}"}
    address = lab.url.replace("http", "ws") + "/api/v1/events/socket?after=99999999"
    with connect(address, additional_headers=header) as socket:
        assert json.loads(socket.recv(timeout=10)) == {"reset": True}


def test_problems_are_documents(lab: Lab) -> None:
    reply = lab.request("POST", "/projects", content=b'{"name": ', headers={"Content-Type": "application/json"})
    assert (reply.status_code, reply.headers["content-type"]) == (400, "application/problem+json")
    assert "not JSON" in reply.json()["detail"]
    reply = lab.request("POST", "/projects", json={"nome": "x"})
    assert reply.status_code == 422
    assert reply.json()["field"]
    reply = lab.request("GET", "/projects/nowhere")
    assert reply.status_code == 404
    assert reply.json()["hint"]
    assert reply.headers["x-request-id"]
    assert lab.request("GET", "/nowhere").status_code == 404
    assert lab.request("PUT", "/projects").status_code == 405
