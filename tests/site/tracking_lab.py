"""The laboratory of the tracking tests: a real MLflow behind the real proxy, with tokens that name a role.

`python -m tests.site.tracking_lab <socket>` is the proxy's process; it prints its port. A process of its
own, so that its memory can be measured.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response

from himalia_server.tracking import (
    MlflowClient,
    MlflowProxy,
    mlflow_command,
    mlflow_environment,
    prepare_database,
    wait_ready,
)
from tests.waiting import short_dir, wait_until

ROLES = ("viewer", "contributor", "operator", "approver", "owner")
PROJECTS = ("alpha", "beta")
START_S = 120


def token(project: str, role: str) -> str:
    """What the test authenticator accepts for a role in a project."""
    return f"him_{project}-{role}"


def proxy_app(socket_path: Path) -> FastAPI:
    """The proxy behind a test authenticator; `/denied` tells what was reported as denied."""
    proxy = MlflowProxy(socket_path)
    denied: list[tuple[str, str, str]] = []

    @asynccontextmanager
    async def life(app: FastAPI) -> Any:
        yield
        await proxy.close()

    app = FastAPI(lifespan=life)

    @app.get("/denied")
    async def tell() -> list[tuple[str, str, str]]:
        return denied

    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

    @app.api_route("/mlflow/{project}/{path:path}", methods=methods)
    async def forward(project: str, path: str, request: Request) -> Response:
        offered = request.headers.get("authorization", "").removeprefix("Bearer ")
        roles = [role for role in ROLES if offered == token(project, role)]
        if not roles:
            return Response(status_code=401)
        return await proxy.forward(request, project, roles[0], path, lambda *what: denied.append(what))

    return app


@dataclass
class Answer:
    """A response, read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Lab:
    """MLflow, the proxy and where they are."""

    folder: Path
    socket: Path
    mlflow: subprocess.Popen[bytes] | None = None
    port: int = 0
    proxy_pid: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start_mlflow(self) -> None:
        database, artifacts = self.folder / "mlflow.db", self.folder / "artifacts"
        prepare_database(database, self.folder / "cache")
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with (self.folder / "mlflow.log").open("ab") as log:
            self.mlflow = subprocess.Popen(
                mlflow_command(sys.executable, self.socket),
                env=kept | mlflow_environment(database, artifacts),
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        asyncio.run(wait_ready(self.socket, START_S))

    def kill_mlflow(self) -> None:
        assert self.mlflow is not None
        self.mlflow.send_signal(signal.SIGKILL)
        self.mlflow.wait(30)

    def client(self, project: str = "alpha") -> MlflowClient:
        return MlflowClient(self.socket, project)

    def raw(self, method: str, target: str, headers: dict[str, str] | None = None, body: Any = None) -> Answer:
        """One request with exactly this target; nothing is normalised."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, target, body, headers or {})
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def call(
        self,
        method: str,
        path: str,
        json_body: Any = None,
        *,
        role: str = "owner",
        project: str = "alpha",
        headers: dict[str, str] | None = None,
        body: Any = None,
    ) -> Answer:
        """A request of somebody with *role*; *path* is sent as it is after `/mlflow/<project>`."""
        sent = {"Authorization": f"Bearer {token(project, role)}", **(headers or {})}
        if json_body is not None:
            body, sent["Content-Type"] = json.dumps(json_body), "application/json"
        return self.raw(method, f"/mlflow/{project}{path}", sent, body)

    def direct(
        self,
        method: str,
        path: str,
        json_body: Any = None,
        headers: dict[str, str] | None = None,
        body: Any = None,
    ) -> Answer:
        """A request past the proxy, as workspace alpha, to see what MLflow itself would do."""
        connection = http.client.HTTPConnection("localhost", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.socket))
        sent = {"X-MLFLOW-WORKSPACE": "alpha", **(headers or {})}
        if json_body is not None:
            body, sent["Content-Type"] = json.dumps(json_body), "application/json"
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def denied(self) -> list[list[str]]:
        """What the proxy reported as denied so far."""
        return list(self.raw("GET", "/denied").json())


@contextmanager
def running_lab() -> Iterator[Lab]:
    """Start everything, and end every process at the end."""
    with short_dir() as folder:
        runtime = folder / "run"
        runtime.mkdir(mode=0o700)
        lab = Lab(folder, runtime / "mlflow.sock")
        command = [sys.executable, "-m", "tests.site.tracking_lab", str(lab.socket)]
        proxy = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert proxy.stdout is not None
            lab.port, lab.proxy_pid = int(proxy.stdout.readline()), proxy.pid
            lab.start_mlflow()
            for project in PROJECTS:
                lab.client(project).ensure_workspace(project)
            yield lab
        finally:
            proxy.terminate()
            proxy.wait(30)
            if lab.mlflow is not None and lab.mlflow.poll() is None:
                lab.mlflow.terminate()
                lab.mlflow.wait(30)


def peak_memory(pid: int) -> int:
    """Peak resident memory of a process in bytes, since `reset_peak_memory`."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))


def reset_peak_memory(pid: int) -> None:
    """Let the kernel count the peak anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def finished(process: subprocess.Popen[Any]) -> int:
    """The exit code of a process, waited for."""
    wait_until(lambda: process.poll() is not None, 120, "the client process to end")
    return int(process.returncode)


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(proxy_app(Path(sys.argv[1])), log_level="warning", timeout_graceful_shutdown=2)
    uvicorn.Server(config).run(sockets=[listener])
