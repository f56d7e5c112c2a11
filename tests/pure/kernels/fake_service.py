"""A small HTTP server that speaks the part of the service's contract that kernels use."""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SLUG = "flights"


@dataclass
class FakeService:
    """The site's home, its project's folder, and what the server was asked and answers."""

    home: Path
    project: Path
    secret: str = field(default_factory=lambda: secrets.token_hex(32))
    token: str = field(default_factory=lambda: f"him_{secrets.token_hex(16)}")
    clusters: dict[str, dict[str, Any]] = field(default_factory=dict)
    connections: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[tuple[str, str, Any, dict[str, str]]] = field(default_factory=list)
    kernels: dict[str, str] = field(default_factory=dict)
    released: list[str] = field(default_factory=list)
    unavailable: int = 0  # how many requests to answer with 503 first
    honest: bool = True  # whether it knows the site's secret
    kernel_answer: int = 201
    stages: dict[str, str] = field(default_factory=lambda: {"prepare": "01-prepare.ipynb"})  # name → notebook
    manifest: int = 0  # how often himalia.toml was changed
    rivals: int = 0  # how many edits somebody else is faster with
    undecided: int = 0  # how often to answer that a run, a champion or an endpoint is not there yet
    address: str = ""
    granted: dict[str, Any] = field(default_factory=dict)  # optional fields of every grant
    variables: dict[str, str] = field(default_factory=dict)  # more of every grant's environment

    def calls(self, method: str, ending: str) -> list[Any]:
        """The bodies of the requests so far whose path ends with *ending*."""
        return [body for verb, path, body, _ in self.requests if verb == method and path.endswith(ending)]

    def grant(self, kernel_id: str) -> dict[str, Any]:
        """A new grant for a kernel, with a token file of its own."""
        token = f"him_{secrets.token_hex(16)}"
        path = write_private(self.home / "tokens" / f"kernel-{secrets.token_hex(4)}", token + "\n")
        self.kernels[kernel_id] = token
        env = {
            "HIMALIA_URL": self.address,
            "HIMALIA_TOKEN_FILE": str(path),
            "HIMALIA_PROJECT": SLUG,
            "MLFLOW_TRACKING_URI": f"{self.address}/mlflow/{SLUG}",
            "MLFLOW_EXPERIMENT_NAME": SLUG,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            **self.variables,
        }
        return {
            **self.granted,
            "env": env,
            "cwd": str(self.project),
            "token_file": str(path),
            "expires_at": "2030-01-01T00:00:00Z",
        }

    def decided(self) -> bool:
        """Whether what is waited for is there."""
        self.undecided -= 1
        return self.undecided < 0

    def authorised(self, header: str | None) -> bool:
        """Whether the token is the user's or a kernel's."""
        return header in {f"Bearer {token}" for token in (self.token, *self.kernels.values())}


RUNS: dict[str, Any] = {
    "good": {
        "id": "good",
        "status": "succeeded",
        "created_at": 0.0,
        "stages": [{"name": "prepare", "status": "succeeded", "started_at": 1.0, "ended_at": 4.25}],
    },
    "bad": {
        "id": "bad",
        "status": "failed",
        "stages": [
            {"name": "prepare", "status": "succeeded", "error": None, "reason": None},
            {"name": "train", "status": "failed", "error": "ValueError: no <b>flights</b>", "hint": "Give it some."},
        ],
    },
}


RUNS["r2"] = RUNS["good"] | {"id": "r2"}
CHANGES: dict[str, Any] = {
    "stage": "train",
    "why": "cell 3 has other code",
    "changes": [{"part": "code", "name": "2", "text": "cell 3 has other code"}],
    "cells": [{"number": 2, "diff": "@@ -1 +1 @@\n-a < 1\n+a < 2"}, {"number": None, "diff": "-gone"}],
    "files": [
        {"path": "b.bin", "diff": None, "files": []},
        {"path": "in", "diff": None, "files": [{"path": "in/<a>.txt", "diff": "-one\n+two"}]},
    ],
}


def stage_status(name: str, notebook: str) -> dict[str, Any]:
    """A stage as the pipeline's view has it."""
    known = {"state": "up_to_date", "why": "unchanged", "last_run": "r1", "last_seconds": 3.25, "last_ended_at": 0.0}
    new = {"state": "new", "why": "it has not run yet", "last_run": None}
    return {"name": name, "notebook": notebook, "params": {"seed": 7}, **(known if name == "prepare" else new)}


def service_state(service: FakeService, name: str) -> dict[str, Any]:
    """An endpoint: one that waits for a confirmation, then is ready, or has failed when it is called so."""
    view = {"name": name, "model_name": "delay", "model_version": "10", "url": "u", "requested_version": None}
    if not service.decided():
        return view | {"state": "requested", "requested_version": "10"}
    failed = name == "failed"
    return view | {"state": "failed" if failed else "ready", "error": "no such file" if failed else None}


def write_private(path: Path, text: str) -> Path:
    """A file that only its owner may read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)
    return path


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: FakeService

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the tests' output quiet."""

    def _answer(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _problem(self, status: int, title: str, hint: str = "") -> None:
        self._answer(status, {"type": "about:blank", "title": title, "status": status, "detail": "", "hint": hint})

    def _serve(self) -> None:
        service = self.service
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        if self.path == "/health":
            nonce = self.headers.get("X-Himalia-Challenge", "")
            key = service.secret if service.honest else "0" * 64
            self._answer(200, {"status": "ok", "proof": hmac.new(key.encode(), nonce.encode(), "sha256").hexdigest()})
            return
        service.requests.append((self.command, self.path, body, dict(self.headers)))
        if service.unavailable > 0:
            service.unavailable -= 1
            self._answer(503, {"title": "Starting", "status": 503}, {"retry-after": "0.05"})
        elif not service.authorised(self.headers.get("Authorization")):
            self._problem(401, "No valid token")
        else:
            self._route(self.command, self.path.removeprefix(f"/api/v1/projects/{SLUG}").split("/")[1:], body)

    do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 (the base class's names)

    def _route(self, method: str, parts: list[str], body: Any) -> None:
        match method, parts:
            case "GET", []:
                self._answer(200, self._project())
            case "POST", ["kernels"]:
                self._kernel(body)
            case "DELETE", ["kernels", kernel_id]:
                self.service.released.append(kernel_id)
                self._answer(204)
            case _, ["clusters", *rest]:
                self._cluster(method, rest, body)
            case "POST", ["deployments"]:
                self._answer(201, {**body, "state": "starting", "model_name": "m", "model_version": "3", "url": "u"})
            case "GET", ["deployments", name]:
                self._answer(200, service_state(self.service, name))
            case "POST", ["deployments", _, "predict"]:
                self._answer(200, {"predictions": ["late"], "milliseconds": 1.0})
            case "GET", ["models"]:
                aliases = ["champion"] if self.service.decided() else []
                versions = [{"version": "9", "aliases": []}, {"version": "10", "aliases": aliases}]
                self._answer(200, {"items": [{"name": "delay", "versions": versions}]})
            case "GET", ["runs", run]:
                self._answer(200, RUNS[run] if self.service.decided() else {"id": run, "status": "running"})
            case "GET", ["runs"]:
                self._answer(200, {"items": [{"id": "r1", "status": "succeeded"}]})
            case "POST", ["runs"]:
                self._answer(201, {"id": "r2", "status": "pending"})
            case "POST", ["runs", run, "cancel"]:
                self._answer(200, {"id": run, "status": "cancelled"})
            case "GET", ["pipeline"]:
                stages = [stage_status(name, notebook) for name, notebook in self.service.stages.items()]
                self._answer(200, {"project": SLUG, "waiting": None, "stages": stages})
            case "GET", ["pipeline", "stages", "train", "changes"]:
                self._answer(200, CHANGES)
            case "GET", ["manifest"]:
                self._answer(200, {"text": "", "digest": f"sha256:{self.service.manifest:064x}"})
            case "PATCH", ["manifest"]:
                self._edit(body)
            case "POST", ["runs", _, "stages", _, "progress"]:
                self._answer(204)
            case _:
                self._problem(404, "No such thing")

    def _project(self) -> dict[str, Any]:
        stages = [{"name": name, "notebook": notebook} for name, notebook in self.service.stages.items()]
        path = str(self.service.project)
        return {"slug": SLUG, "name": "Flights <b>", "path": path, "stages": stages, "role": "contributor"}

    def _edit(self, body: Any) -> None:
        service = self.service
        if service.rivals > 0:  # somebody else was faster
            service.rivals -= 1
            service.manifest += 1
        if body["base_digest"] != f"sha256:{service.manifest:064x}":
            self._problem(409, "himalia.toml was changed since it was read", "Read it again.")
            return
        for edit in body["edits"]:
            name = edit["path"][1]
            if edit["op"] == "add_stage":
                service.stages[name] = edit["value"]["notebook"]
            elif edit["op"] == "remove":
                del service.stages[name]
        service.manifest += 1
        self._answer(200, {"text": "", "digest": f"sha256:{service.manifest:064x}"})

    def _kernel(self, body: Any) -> None:
        if self.service.kernel_answer != 201:
            self._problem(self.service.kernel_answer, "You are no member of the project", "Ask an owner.")
        else:
            self._answer(201, self.service.grant(body["kernel_id"]))

    def _cluster(self, method: str, rest: list[str], body: Any) -> None:
        clusters = self.service.clusters
        match method, rest:
            case "GET", []:
                self._answer(200, {"items": list(clusters.values())})
            case "POST", []:
                clusters[body["name"]] = new_cluster(body["name"], body.get("workers", 1))
                self._answer(201, clusters[body["name"]])
            case "GET", [name, "connection"] if name in self.service.connections:
                self._answer(200, self.service.connections[name])
            case "PATCH", [name] if name in clusters:
                clusters[name]["workers"] = body["workers"]
                self._answer(200, clusters[name])
            case "DELETE", [name] if name in clusters:
                del clusters[name]
                self._answer(204)
            case _:
                self._problem(404, "No such cluster", "Start it first.")


def new_cluster(name: str, workers: int = 1) -> dict[str, Any]:
    """A cluster as the service describes it."""
    return {
        "name": name,
        "profile": "local",
        "state": "running",
        "workers": workers,
        "threads": workers,
        "memory_bytes": workers * 2**30,
        "address": "tls://127.0.0.1:1",
    }


@contextmanager
def fake_service(folder: Path) -> Iterator[FakeService]:
    """Run the server; its site's home and project lie in *folder*."""
    project = folder / "project"
    project.mkdir()
    service = FakeService(folder / "home", project)
    handler = type("Handler", (_Handler,), {"service": service})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    service.address = f"http://127.0.0.1:{server.server_address[1]}"
    write_private(service.home / "site.json", json.dumps({"secret": service.secret}))
    write_private(service.home / "service.json", json.dumps({"address": service.address}))
    write_private(service.home / "tokens" / "user", service.token + "\n")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)  # looks so often for its end
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
