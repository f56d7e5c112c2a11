"""Every documented operation with generated input, against a service with real data behind it.

Bounded and always the same here; `HIMALIA_FUZZ=500` tries so many inputs of each kind for each operation, another lot
each time.
"""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import GenerationConfig
from schemathesis.specs.openapi import checks as openapi

from himalia_server.service.app import describe
from tests.site.lab import Lab
from tests.waiting import wait_until

EXAMPLES = int(os.environ.get("HIMALIA_FUZZ", "0"))
CHECKS = [
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_headers_conformance,
    openapi.response_schema_conformance,
    openapi.negative_data_rejection,
    openapi.missing_required_header,
    openapi.unsupported_method,
    openapi.allow_header_conformance,
]
BOTH = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
OPERATIONS = sorted(
    f"{method.upper()} {path}" for path, operations in describe()["paths"].items() for method in operations
)
FUZZED = "fuzzed"
SPARED = ("/archive", "/unarchive", "/restore", "/path")
"""What would take the project away from the other operations; its own tests do it."""
KEY = "api-fuzz-1"


@dataclass(frozen=True)
class Furnished:
    """`tiny` with a run that has ended, a model, an endpoint that answers and a cluster that runs."""

    lab: Lab
    run_id: str
    key_id: str
    schema: Any


@pytest.fixture(scope="module")
def furnished(lab: Lab) -> Iterator[Furnished]:
    lab.tracking_ready()
    before = {project["slug"] for project in lab.get("/projects?limit=200")["items"]}
    lab.post("/projects/tiny/clusters", {"name": FUZZED, "workers": 1})
    run = lab.post("/projects/tiny/runs", {})
    assert lab.wait_run("tiny", run["id"])["status"] == "succeeded"
    lab.post("/projects/tiny/deployments", {"name": FUZZED, "model": "models:/tiny/1"})
    endpoint, cluster = (f"/projects/tiny/{what}/{FUZZED}" for what in ("deployments", "clusters"))
    wait_until(lambda: lab.get(endpoint)["state"] == "ready", 120, "the endpoint")
    wait_until(lambda: lab.get(cluster)["state"] == "running", 60, "the cluster")
    key = lab.post(f"{endpoint}/tokens", {"label": FUZZED})
    module = lab.root / "projects" / "tiny" / "src" / "fuzzed.py"
    module.parent.mkdir(exist_ok=True)
    module.write_text("def f(x): return x")
    lab.post("/projects/tiny/components", {"name": FUZZED, "version": "1.2"})
    schema = schemathesis.openapi.from_dict(_with_real_names(describe(), run["id"], key["id"]))
    yield Furnished(lab, run["id"], key["id"], schema)
    module.unlink()
    lab.request("DELETE", f"/projects/tiny/uses/tiny/{FUZZED}")
    for secret in lab.get("/projects/tiny/secrets")["items"]:
        assert lab.request("DELETE", f"/projects/tiny/secrets/{secret['name']}").status_code == 204
    for path in (endpoint, cluster):
        assert lab.request("DELETE", path).status_code == 204
    for project in lab.get("/projects?limit=200")["items"]:
        if project["slug"] not in before:
            assert lab.request("DELETE", f"/projects/{project['slug']}?remove_files=true&purge=true").status_code == 204


def _with_real_names(document: dict[str, Any], run_id: str, key_id: str) -> dict[str, Any]:
    """The OpenAPI document with parameters that name what exists, and for deletions only what does not."""
    document = copy.deepcopy(document)
    known = {
        "slug": "tiny",
        "run_id": run_id,
        "stage": "train",
        "alias": "champion",
        "key_id": key_id,
        "user": "grace",
        "kernel_id": "k-fuzz",
        "publisher": "tiny",
        "component": FUZZED,
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", []):
                name = parameter["name"]
                real = _name_in(path) if name == "name" else known.get(name)
                if method == "put" and path.endswith(("/secrets/{name}", "/members/{user}")) and name != "slug":
                    continue  # any name that can be one makes a secret, or a member
                if parameter["in"] == "path":
                    spare = (method == "delete" and path.endswith("{" + name + "}")) or path.endswith(SPARED)
                    parameter["schema"] = {"type": "string", "enum": ["nowhere"] if spare else [real, "nowhere"]}
                    parameter.pop("examples", None)
    # the token is always sent: an input that differs in it alone is no wrong one
    document.pop("security")
    document["components"].pop("securitySchemes")
    schemas = document["components"]["schemas"]
    schemas["ProjectCreate"]["examples"] = [{"name": "fuzz-one", "template": "blank"}]
    schemas["KernelCreate"]["examples"] = [{"kernel_id": "k-fuzz", "pid": os.getpid()}]
    schemas["DeploymentCreate"]["examples"] = [{"name": FUZZED, "model": "models:/tiny/1"}]
    return document


def _name_in(path: str) -> str:
    if "/guides/" in path:
        return "from-nothing-to-a-deployed-model"
    return "tiny" if "/models/" in path else FUZZED


def _harmless(case: Any, lab: Lab) -> None:
    """What would be valid must not start hundreds of processes, or write all over this machine."""
    operation, body = f"{case.operation.method.upper()} {case.operation.path}", case.body
    if isinstance(body, dict):
        if operation == "POST /api/v1/projects" and isinstance(body.get("path"), str):
            body["path"] = re.sub("^/+", f"{lab.root}/fuzz/", body["path"])
        if operation == "POST /api/v1/projects" and isinstance(body.get("git"), str):
            body["git"] = re.sub(r"^(?=[^-])", f"{lab.root}/fuzz/", body["git"])  # nothing out there is asked
        if operation.endswith("/clone") and isinstance(body.get("path"), str):
            body["path"] = re.sub("^/+", f"{lab.root}/fuzz/", body["path"])
        if operation == "POST /api/v1/templates" and isinstance(body.get("source"), str):
            body["source"] = re.sub(r"^(?=[^-])", f"{lab.root}/fuzz/", body["source"])
        if operation == "POST /api/v1/projects/{slug}/clusters" and isinstance(body.get("name"), str):
            body["name"] = re.sub(r"^[a-z0-9-]+$", FUZZED, body["name"])  # there is one already
        if operation.startswith("PATCH") and body.get("workers") in range(2, 257):
            body["workers"] = 1
        if operation.startswith("PUT /api/v1/guides") and isinstance(body.get("below"), str):
            body["below"] = re.sub("^/+", f"{lab.root}/fuzz/", body["below"])
    if operation.endswith(("/runs", "/deployments")) and case.operation.method == "post":
        sent = (case.headers or {}).get("idempotency-key", KEY)
        if re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", str(sent)):
            case.headers = {**(case.headers or {}), "idempotency-key": KEY}  # so that it is done once


def _check(case: Any, furnished: Furnished) -> None:
    lab = furnished.lab
    _harmless(case, lab)
    stop = case.operation.path.endswith("/service/stop")
    token = lab.token(None, "auditor") if stop else lab.found.token() if lab.found else ""
    if case.operation.path.endswith("/events") and not _refused(case, lab, token):
        return  # an endless stream; other tests read it
    with requests.Session() as session:
        session.trust_env = False
        reply = case.call(base_url=lab.url, session=session, headers={"Authorization": f"Bearer {token}"}, timeout=60)
    checks = CHECKS if reply.status_code in (503, 507) else [*CHECKS, not_a_server_error]
    case.validate_response(reply, checks=checks)
    headers = {name: values[0] for name, values in reply.headers.items()}
    # what is downloaded is no text
    problem(reply.request.method, reply.status_code, headers, reply.text if reply.status_code >= 400 else "")


def _refused(case: Any, lab: Lab, token: str) -> bool:
    """Whether this question for events gets something else than events."""
    arguments = case.as_transport_kwargs(base_url=lab.url, headers={"Authorization": f"Bearer {token}"})
    with requests.Session() as session:
        session.trust_env = False
        with session.request(**arguments, stream=True, timeout=60) as reply:
            return reply.status_code != 200


def problem(method: str, status: int, headers: Mapping[str, str], text: str) -> None:
    """Whatever is no success is a problem document with an id, and says nothing of the code."""
    assert headers["x-request-id"]
    if status < 400 or method == "HEAD":
        return
    assert headers["content-type"] == "application/problem+json", (status, headers)
    document = json.loads(text)
    assert document["status"] == status
    for name in ("type", "title", "detail"):
        assert isinstance(document[name], str), document
        assert document[name], document
    assert document.get("hint") or document.get("field"), document  # what to do, or what is wrong
    assert "Traceback" not in text
    assert "sqlalchemy" not in text.lower()


@pytest.mark.parametrize("label", OPERATIONS)
def test_generated_input(furnished: Furnished, label: str) -> None:
    operation = next(
        found
        for result in furnished.schema.get_all_operations()
        if (found := result.ok()) and f"{found.method.upper()} {found.path}" == label
    )
    for case in _boundaries(furnished, operation):
        _check(case, furnished)
    for mode in BOTH:
        _tried(operation, mode, furnished)


def _boundaries(furnished: Furnished, operation: Any) -> Iterator[Any]:
    """Each parameter and field at and beyond its bounds, missing, twice, of another type; other methods."""
    config = GenerationConfig(modes=BOTH, deterministic=not EXAMPLES)
    cases = furnished.schema.iter_coverage_cases(operation, generation_modes=BOTH, generation_config=config)
    for number, case in enumerate(cases):
        if EXAMPLES or number < 60:
            yield case


def _tried(operation: Any, mode: GenerationMode, furnished: Furnished) -> None:
    @given(case=operation.as_strategy(mode))
    @settings(
        max_examples=EXAMPLES or 5,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if EXAMPLES else [])],
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    def one(case: Any) -> None:
        _check(case, furnished)

    if mode is GenerationMode.POSITIVE or operation.body or any(operation.iter_parameters()):
        one()
