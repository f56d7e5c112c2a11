"""Each route that the application has, WebSockets too, with each kind of credential. A new route has to be judged."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from enum import Enum
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

from himalia_server.projects.guides import guides
from himalia_server.service import tokens
from himalia_server.service.app import routed
from himalia_server.service.context import open_store
from tests.site.lab import Lab
from tests.site.test_service_routes import BODIES, QUERIES, VALUES

API = "/api/v1"
PROJECT = f"{API}/projects/{{slug}}"


class Needs(Enum):
    """What a route wants of its caller."""

    NOTHING = "nothing"
    TOKEN = "any valid token of a person, kernel or stage"
    PERSON = "a person's own token"
    SITE = "a role at the site"
    METRICS = "the token for metrics, or a role at the site"
    SEE = "to be a viewer of the project"
    EDIT = "to be a contributor"
    OWN_STAGE = "to be that stage"
    STARTER = "to be a contributor, not code in a kernel or a stage"
    OPERATE = "to be an operator"
    OWN = "to be the owner"


ROUTES: dict[tuple[str, str], Needs] = {
    ("GET", "/health"): Needs.NOTHING,
    ("GET", f"{API}/templates"): Needs.TOKEN,
    ("PUT", f"{API}/guides/{{name}}"): Needs.PERSON,
    ("GET", f"{API}/projects"): Needs.TOKEN,
    ("POST", f"{API}/projects"): Needs.PERSON,
    ("POST", f"{API}/templates"): Needs.SITE,
    ("POST", f"{API}/templates/{{name}}/update"): Needs.SITE,
    ("DELETE", f"{API}/templates/{{name}}"): Needs.SITE,
    ("GET", f"{API}/manifest/schema"): Needs.TOKEN,
    ("POST", f"{API}/manifest/check"): Needs.TOKEN,
    ("POST", f"{API}/manifest/complete"): Needs.TOKEN,
    ("GET", f"{API}/project-names"): Needs.TOKEN,
    ("POST", f"{API}/project-locations"): Needs.PERSON,
    ("POST", f"{API}/project-imports"): Needs.PERSON,
    ("GET", f"{PROJECT}/problems"): Needs.SEE,
    ("GET", f"{PROJECT}/manifest"): Needs.SEE,
    ("PATCH", f"{PROJECT}/manifest"): Needs.EDIT,
    ("GET", f"{PROJECT}/export"): Needs.STARTER,
    ("POST", f"{PROJECT}/clone"): Needs.STARTER,
    ("GET", f"{PROJECT}/removal"): Needs.SEE,
    ("POST", f"{PROJECT}/archive"): Needs.OWN,
    ("POST", f"{PROJECT}/unarchive"): Needs.OWN,
    ("POST", f"{PROJECT}/restore"): Needs.OWN,
    ("PUT", f"{PROJECT}/path"): Needs.OWN,
    ("GET", f"{PROJECT}/members"): Needs.SEE,
    ("PUT", f"{PROJECT}/members/{{user}}"): Needs.OWN,
    ("DELETE", f"{PROJECT}/members/{{user}}"): Needs.OWN,
    ("GET", PROJECT): Needs.SEE,
    ("DELETE", PROJECT): Needs.OWN,
    ("POST", f"{PROJECT}/kernels"): Needs.STARTER,
    ("DELETE", f"{PROJECT}/kernels/{{kernel_id}}"): Needs.STARTER,
    ("GET", f"{PROJECT}/secrets"): Needs.EDIT,
    ("PUT", f"{PROJECT}/secrets/{{name}}"): Needs.OWN,
    ("DELETE", f"{PROJECT}/secrets/{{name}}"): Needs.OWN,
    ("POST", f"{API}/secrets/rotate-key"): Needs.SITE,
    ("GET", f"{API}/components"): Needs.TOKEN,
    ("GET", f"{API}/components/{{publisher}}/{{component}}"): Needs.TOKEN,
    ("GET", f"{API}/components/{{publisher}}/{{component}}/compare"): Needs.TOKEN,
    ("GET", f"{PROJECT}/components"): Needs.SEE,
    ("POST", f"{PROJECT}/components"): Needs.STARTER,
    ("PUT", f"{PROJECT}/uses/{{publisher}}/{{component}}"): Needs.STARTER,
    ("DELETE", f"{PROJECT}/uses/{{publisher}}/{{component}}"): Needs.STARTER,
    ("GET", f"{PROJECT}/environment"): Needs.SEE,
    ("POST", f"{PROJECT}/environment"): Needs.EDIT,
    ("DELETE", f"{PROJECT}/environment"): Needs.EDIT,
    ("GET", f"{PROJECT}/environment/packages"): Needs.SEE,
    ("GET", f"{PROJECT}/environment/log"): Needs.SEE,
    ("GET", f"{API}/environments"): Needs.SITE,
    ("POST", f"{API}/environments/prune"): Needs.SITE,
    ("GET", f"{PROJECT}/clusters"): Needs.SEE,
    ("POST", f"{PROJECT}/clusters"): Needs.EDIT,
    ("GET", f"{PROJECT}/clusters/{{name}}"): Needs.SEE,
    ("GET", f"{PROJECT}/clusters/{{name}}/connection"): Needs.EDIT,
    ("PATCH", f"{PROJECT}/clusters/{{name}}"): Needs.EDIT,
    ("DELETE", f"{PROJECT}/clusters/{{name}}"): Needs.EDIT,
    ("GET", f"{PROJECT}/runs"): Needs.SEE,
    ("POST", f"{PROJECT}/runs"): Needs.EDIT,
    ("GET", f"{PROJECT}/runs/{{run_id}}"): Needs.SEE,
    ("POST", f"{PROJECT}/runs/{{run_id}}/cancel"): Needs.EDIT,
    ("GET", f"{PROJECT}/runs/compare"): Needs.SEE,
    ("POST", f"{PROJECT}/runs/{{run_id}}/resume"): Needs.EDIT,
    ("POST", f"{PROJECT}/runs/{{run_id}}/outputs/restore"): Needs.EDIT,
    ("POST", f"{PROJECT}/runs/{{run_id}}/stages/{{stage}}/claim"): Needs.OWN_STAGE,
    ("GET", f"{PROJECT}/runs/{{run_id}}/stages/{{stage}}/objects/{{digest}}"): Needs.OWN_STAGE,
    ("PUT", f"{PROJECT}/runs/{{run_id}}/stages/{{stage}}/uploads/{{digest}}"): Needs.OWN_STAGE,
    ("PUT", f"{PROJECT}/runs/{{run_id}}/stages/{{stage}}/notebook"): Needs.OWN_STAGE,
    ("POST", f"{PROJECT}/runs/{{run_id}}/stages/{{stage}}/log"): Needs.OWN_STAGE,
    ("GET", f"{PROJECT}/runs/{{run_id}}/stages/{{stage}}/key"): Needs.SEE,
    ("GET", f"{PROJECT}/runs/{{run_id}}/stages/{{stage}}/attempts"): Needs.SEE,
    ("GET", f"{PROJECT}/runs/{{run_id}}/stages/{{stage}}/attempts/{{number}}/notebook"): Needs.SEE,
    ("GET", f"{PROJECT}/runs/{{run_id}}/stages/{{stage}}/attempts/{{number}}/log"): Needs.SEE,
    ("GET", f"{PROJECT}/pipeline"): Needs.SEE,
    ("GET", f"{PROJECT}/pipeline/stages/{{stage}}/changes"): Needs.SEE,
    ("POST", f"{PROJECT}/pipeline/plan"): Needs.SEE,
    ("GET", f"{PROJECT}/pipeline/parameters"): Needs.SEE,
    ("POST", f"{PROJECT}/sweeps"): Needs.EDIT,
    ("GET", f"{PROJECT}/sweeps/{{sweep_id}}"): Needs.SEE,
    ("GET", f"{PROJECT}/verifications"): Needs.SEE,
    ("POST", f"{PROJECT}/verifications"): Needs.EDIT,
    ("GET", f"{PROJECT}/verifications/{{verification}}"): Needs.SEE,
    ("POST", f"{PROJECT}/verifications/{{verification}}/cancel"): Needs.EDIT,
    ("POST", f"{API}/schedules/preview"): Needs.TOKEN,
    ("GET", f"{PROJECT}/schedules"): Needs.SEE,
    ("POST", f"{PROJECT}/schedules"): Needs.STARTER,
    ("GET", f"{PROJECT}/schedules/{{name}}"): Needs.SEE,
    ("PATCH", f"{PROJECT}/schedules/{{name}}"): Needs.STARTER,
    ("DELETE", f"{PROJECT}/schedules/{{name}}"): Needs.STARTER,
    ("GET", f"{PROJECT}/schedules/{{name}}/slots"): Needs.SEE,
    ("POST", f"{PROJECT}/schedules/{{name}}/pause"): Needs.STARTER,
    ("POST", f"{PROJECT}/schedules/{{name}}/resume"): Needs.STARTER,
    ("POST", f"{PROJECT}/schedules/{{name}}/run"): Needs.STARTER,
    ("POST", f"{PROJECT}/schedules/{{name}}/update-code"): Needs.STARTER,
    ("GET", f"{PROJECT}/notifiers"): Needs.EDIT,
    ("POST", f"{PROJECT}/notifiers"): Needs.OPERATE,
    ("DELETE", f"{PROJECT}/notifiers/{{name}}"): Needs.OPERATE,
    ("POST", f"{PROJECT}/notifiers/{{name}}/test"): Needs.OPERATE,
    ("GET", f"{PROJECT}/notices"): Needs.SEE,
    ("POST", f"{PROJECT}/notices/read"): Needs.SEE,
    ("POST", f"{PROJECT}/runs/{{run_id}}/stages/{{stage}}/progress"): Needs.OWN_STAGE,
    ("GET", f"{PROJECT}/runs/{{run_id}}/stages/{{stage}}/notebook"): Needs.SEE,
    ("GET", f"{PROJECT}/runs/{{run_id}}/stages/{{stage}}/log"): Needs.SEE,
    ("GET", f"{PROJECT}/deployments"): Needs.SEE,
    ("POST", f"{PROJECT}/deployments"): Needs.EDIT,
    ("POST", f"{PROJECT}/deployments/{{name}}/confirm"): Needs.OPERATE,
    ("GET", f"{PROJECT}/deployments/{{name}}"): Needs.SEE,
    ("GET", f"{PROJECT}/deployments/{{name}}/example"): Needs.SEE,
    ("POST", f"{PROJECT}/deployments/{{name}}/predict"): Needs.EDIT,
    ("DELETE", f"{PROJECT}/deployments/{{name}}"): Needs.OPERATE,
    ("GET", f"{PROJECT}/deployments/{{name}}/tokens"): Needs.OPERATE,
    ("POST", f"{PROJECT}/deployments/{{name}}/tokens"): Needs.OPERATE,
    ("DELETE", f"{PROJECT}/deployments/{{name}}/tokens/{{key_id}}"): Needs.OPERATE,
    ("GET", f"{PROJECT}/models"): Needs.SEE,
    ("PUT", f"{PROJECT}/models/{{name}}/aliases/{{alias}}"): Needs.OPERATE,
    ("GET", f"{PROJECT}/tracking"): Needs.SEE,
    ("GET", f"{API}/events"): Needs.TOKEN,
    ("WEBSOCKET", f"{API}/events/socket"): Needs.TOKEN,
    ("POST", f"{API}/storage/collect"): Needs.SITE,
    ("GET", f"{API}/metrics"): Needs.METRICS,
    ("GET", f"{API}/service"): Needs.TOKEN,
    ("POST", f"{API}/service/stop"): Needs.SITE,
    ("GET", f"{API}/audit"): Needs.SITE,
    ("GET", f"{API}/audit/check"): Needs.SITE,
    ("GET", f"{API}/openapi.json"): Needs.TOKEN,
    ("GET", "/mlflow/{slug}"): Needs.SEE,
    ("GET", "/mlflow/{slug}/{path:path}"): Needs.SEE,
    ("HEAD", "/mlflow/{slug}/{path:path}"): Needs.SEE,
    ("POST", "/mlflow/{slug}/{path:path}"): Needs.EDIT,
    ("PUT", "/mlflow/{slug}/{path:path}"): Needs.EDIT,
    ("PATCH", "/mlflow/{slug}/{path:path}"): Needs.EDIT,
    ("DELETE", "/mlflow/{slug}/{path:path}"): Needs.OWN,
    ("GET", "/dashboard/{slug}/{name}"): Needs.SEE,
    ("GET", "/dashboard/{slug}/{name}/{path:path}"): Needs.SEE,
    ("HEAD", "/dashboard/{slug}/{name}/{path:path}"): Needs.SEE,
    ("WEBSOCKET", "/dashboard/{slug}/{name}/{path:path}"): Needs.SEE,
}
"""Behind `{path:path}` MLflow has some 270 routes of its own, which tests/pure/tracking/test_policy.py judges."""

MLFLOW_PATHS = {
    "GET": "version",
    "HEAD": "version",
    "POST": "api/2.0/mlflow/runs/create",
    "PUT": "api/2.0/mlflow-artifacts/artifacts/1/x",
    "PATCH": "api/2.0/mlflow/logged-models/m-1",
    "DELETE": "api/2.0/mlflow/registered-models/delete",
}
IN_A_PROJECT = {Needs.SEE, Needs.EDIT, Needs.OWN_STAGE, Needs.STARTER, Needs.OPERATE, Needs.OWN}


def _walk(routes: Any) -> Iterator[tuple[str, str]]:
    for route in routes:
        if hasattr(route, "effective_candidates"):
            yield from _walk(route.effective_candidates())
            continue
        inner = getattr(route, "starlette_route", None) or route
        methods = getattr(route, "methods", None)
        for method in methods or ["WEBSOCKET"]:
            yield method, (route.path if methods else inner.path)


def test_every_route_of_the_application_is_judged() -> None:
    found = sorted(_walk(routed(None).routes))
    assert len(found) == len(set(found))
    assert set(found) - set(ROUTES) == set(), "new routes: say above what they want of their caller"
    assert set(ROUTES) - set(found) == set(), "routes that are gone"


def address(method: str, template: str) -> str:
    """The template with values that are there (the project, its stage) or not."""
    values = {"kernel_id": "k", "path": "status"} | VALUES
    if template.startswith("/mlflow/"):
        values["path"] = MLFLOW_PATHS[method]
    if "/guides/" in template:
        values["name"] = next(iter(guides()))
    query = next((query for end, query in QUERIES.items() if template.endswith(end)), "")
    return template.replace("{path:path}", "{path}").format(**values) + query


def body(method: str, template: str) -> Any:
    if template.startswith(f"{API}/guides/"):
        return {}
    found = next((value for end, value in BODIES.items() if template.endswith(end)), None)
    return (found or {}) if method in ("POST", "PUT", "PATCH") else None


@pytest.fixture(scope="module")
def callers(lab: Lab) -> dict[str, dict[str, str]]:
    """Headers by kind of caller."""
    lab.tracking_ready()
    assert lab.found is not None
    viewer = lab.token("tiny", "viewer")
    dead = {}
    database = open_store(lab.site, lab.site.settings())
    with database.write() as session:
        for name, seconds in (("expired", -1.0), ("revoked", 3600.0)):
            file = lab.root / f"token-{name}"
            row = tokens.issue(session, purpose="user", user="user-viewer-tiny", seconds=seconds, file=file)
            dead[name] = file.read_text().strip()
            if name == "revoked":
                tokens.revoke(session, row)
    database.close()
    texts = {
        "wrong": "him_" + secrets.token_urlsafe(32),
        **dead,
        "metrics": lab.site.metrics_token_file.read_text().strip(),
        "foreign kernel": lab.token("other", "owner", "kernel", limit="contributor"),
        "foreign owner": lab.token("other", "owner"),
        "stage": lab.token("tiny", "owner", "stage", limit="contributor"),
        "viewer": viewer,
    }
    headers = {name: {"Authorization": f"Bearer {text}"} for name, text in texts.items()}
    own = {"Authorization": f"Bearer {lab.found.token()}"}
    return {
        "nobody": {},
        "basic": {"Authorization": f"Basic {viewer}"},
        "cookie": {"Cookie": f"token={viewer}; Authorization=Bearer {viewer}"},
        **headers,
        "guest": own | {"X-Himalia-User": "guest"},
        "viewer as the owner": headers["viewer"] | {"X-Himalia-User": lab.get("/service")["user"]},
        "stage as a person": headers["stage"] | {"X-Himalia-User": "guest"},
        "guest with two names": own | {"X-Himalia-User": "a/b"},
    }


SIGNED_OUT = (
    "nobody",
    "basic",
    "cookie",
    "wrong",
    "expired",
    "revoked",
    "viewer as the owner",
    "stage as a person",
    "guest with two names",
)
LET_IN = None
"""Neither 401 nor 403, nor 404 for the project."""


def expected(caller: str, needs: Needs) -> int | None:
    """The status that *caller* gets."""
    if needs is Needs.NOTHING:
        return 200
    if caller in SIGNED_OUT:
        return 401
    if caller == "metrics":
        return 200 if needs is Needs.METRICS else 403
    if needs in (Needs.SITE, Needs.METRICS):
        return 403
    if needs is Needs.PERSON:
        return LET_IN if caller in ("viewer", "foreign owner") else 403
    if needs in IN_A_PROJECT:
        if caller in ("guest", "foreign kernel", "foreign owner"):
            return 404
        allowed = {"viewer": {Needs.SEE}, "stage": {Needs.SEE, Needs.EDIT}}[caller]
        return LET_IN if needs in allowed else 403
    return LET_IN


@pytest.mark.parametrize(
    "caller",
    [*SIGNED_OUT, "metrics", "foreign kernel", "foreign owner", "stage", "viewer", "guest"],
)
def test_who_gets_what(lab: Lab, callers: dict[str, dict[str, str]], caller: str) -> None:
    tried = 0
    for (method, template), needs in ROUTES.items():
        wanted = expected(caller, needs)
        if wanted is LET_IN and method not in ("GET", "HEAD", "WEBSOCKET"):
            continue  # it would be done
        tried += 1
        where = (caller, method, template)
        if method == "WEBSOCKET":
            opened = upgrade(lab, address(method, template), callers[caller])
            # a dashboard of a cluster that is not there refuses everybody
            assert opened is (wanted is LET_IN and "events" in template), where
            continue
        reply, text = ask(lab, method, template, callers[caller])
        if wanted is LET_IN:
            assert reply.status_code not in (401, 403), (where, text)
            assert "There is no project" not in text, where
            continue
        assert reply.status_code == wanted, (where, reply.status_code, text)
        if wanted in (401, 404):
            assert str(lab.root) not in text, where
            assert wanted == 404 or "tiny" not in text, where
    assert tried > 20


def ask(lab: Lab, method: str, template: str, headers: dict[str, str]) -> tuple[httpx.Response, str]:
    """The answer, of a stream its head."""
    url = lab.url + address(method, template)
    with lab.http.stream(method, url, headers=headers, json=body(method, template)) as reply:
        if reply.headers.get("content-type", "").startswith("text/event-stream"):
            return reply, next(reply.iter_text())
        reply.read()
    return reply, reply.text


def upgrade(lab: Lab, path: str, headers: dict[str, str]) -> bool:
    """Whether a WebSocket opens."""
    try:
        with connect(lab.url.replace("http", "ws") + path, additional_headers=headers, proxy=None):
            return True
    except (InvalidHandshake, ConnectionClosed):
        return False


def test_the_refused_learn_nothing_of_what_there_is(lab: Lab, callers: dict[str, dict[str, str]]) -> None:
    """A project that is there and one that is not look the same."""
    for caller in ("nobody", "guest", "foreign owner", "metrics"):
        for path in ("", "/runs", "/clusters/x/connection", "/deployments/x/tokens", "/models"):
            there, not_there = (
                lab.http.get(f"{lab.url}{API}/projects/{slug}{path}", headers=callers[caller])
                for slug in ("tiny", "nosuch")
            )
            assert there.status_code == not_there.status_code, (caller, path)
            assert there.text.replace("tiny", "nosuch") == not_there.text, (caller, path)


@pytest.mark.parametrize(
    "slug",
    [
        "..%2fother",
        "%2e%2e%2fother",
        "..%5cother",
        "%252e%252e%252fother",
        "tiny%00",
        "tiny%2f..%2fother",
        "%ef%bc%8e%ef%bc%8e%2fother",
        "TINY",
        "tiny%20",
        "tiny;other",
        "..%c0%af",
        "%2fetc%2fpasswd",
        "tiny%0d%0aX-Himalia-User:ada",
        "a" * 3000,
    ],
)
def test_no_spelling_of_a_name_leads_elsewhere(lab: Lab, slug: str) -> None:
    lab.tracking_ready()
    paths = [
        f"/projects/{slug}",
        f"/projects/{slug}/runs",
        f"/projects/tiny/runs/{slug}",
        f"/projects/tiny/runs/{slug}/stages/make/log",
        f"/projects/tiny/runs/r/stages/{slug}/notebook",
        f"/projects/tiny/clusters/{slug}/connection",
        f"/projects/tiny/deployments/{slug}",
        f"/mlflow/{slug}/version",
        f"/mlflow/tiny/api/2.0/mlflow-artifacts/artifacts/{slug}",
        f"/mlflow/tiny/get-artifact?run_id={slug}&path={slug}",
        f"/mlflow/tiny/static-files/{slug}",
        f"/dashboard/{slug}/x/status",
        f"/dashboard/tiny/{slug}/status",
    ]
    for path in paths:
        reply = lab.request("GET", path)
        assert 400 <= reply.status_code < 500, (path, reply.status_code, reply.text[:200])
        assert "root:" not in reply.text
    for path, sent in (
        (f"/projects/tiny/models/{slug}/aliases/champion", {"version": "1"}),
        (f"/projects/tiny/models/x/aliases/{slug}", {"version": "1"}),
        (f"/guides/{slug}", {}),
    ):
        reply = lab.request("PUT", path, json=sent)
        assert 400 <= reply.status_code < 500, (path, reply.status_code, reply.text[:200])


def test_a_browsers_page_of_another_site_gets_nothing(lab: Lab) -> None:
    """By any name that leads here (DNS rebinding), with any origin: no answer without a token, none to be read."""
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost:1", ""):
        headers = {"Host": host, "Origin": "http://evil.example"}
        reply = lab.http.get(f"{lab.url}{API}/projects", headers=headers)
        assert reply.status_code in (400, 401)
        health = lab.http.get(f"{lab.url}/health", headers=headers)
        for answer in (reply, health):
            assert not [name for name in answer.headers if name.startswith("access-control-")]
            assert "set-cookie" not in answer.headers
        preflight = lab.http.options(
            f"{lab.url}{API}/projects", headers=headers | {"Access-Control-Request-Method": "GET"}
        )
        assert preflight.status_code in (400, 401)
