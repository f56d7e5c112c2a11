"""A real site for tests: service, MLflow, clusters, gateway, all in folders that vanish."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import nbformat
import psutil
from sqlalchemy import select

from himalia_server.service import lifecycle, tokens
from himalia_server.service.context import open_store
from himalia_server.service.lifecycle import Found
from himalia_server.service.site import Site
from himalia_server.store import Member, Project, User
from tests.waiting import short_dir, wait_until

TRAIN = """
import json, mlflow
import numpy as np, pandas as pd
from sklearn.linear_model import LogisticRegression
from mlflow.models import infer_signature
frame = pd.DataFrame({"a": np.arange(20.0), "b": np.arange(20.0)[::-1]})
model = LogisticRegression().fit(frame, frame["a"] > 9)
with mlflow.start_run():
    mlflow.log_metric("score", 1.0)
    info = mlflow.sklearn.log_model(
        model, name="model", registered_model_name="tiny", signature=infer_signature(frame, model.predict(frame)),
        input_example=frame.head(2), pip_requirements=["scikit-learn"],
    )
with open("build/model.json", "w") as file:
    json.dump({"version": info.registered_model_version}, file)
"""


class Lab:
    """One site and its service."""

    def __init__(self, root: Path) -> None:
        self.root, self.home, self.tmp = root, root / "home", root / "tmp"
        self.http = httpx.Client(trust_env=False, timeout=60)
        self.found: Found | None = None

    def start(self) -> Found:
        """Start the service or find it."""
        self.found = lifecycle.ensure_running(Site.open(self.home))
        return self.found

    @property
    def site(self) -> Site:
        return Site.open(self.home)

    @property
    def url(self) -> str:
        assert self.found is not None
        return self.found.address

    def request(self, method: str, path: str, token: str | None = None, **kwargs: Any) -> httpx.Response:
        """A request below /api/v1, as the site's owner unless another token is given ("" for none)."""
        assert self.found is not None
        chosen = self.found.token() if token is None else token
        headers = {"Authorization": f"Bearer {chosen}"} if chosen else {}
        prefix = "" if path.startswith(("/mlflow", "/dashboard", "/health", "/api")) else "/api/v1"
        return self.http.request(
            method, self.url + prefix + path, headers=headers | kwargs.pop("headers", {}), **kwargs
        )

    def get(self, path: str, **kwargs: Any) -> Any:
        reply = self.request("GET", path, **kwargs)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def post(self, path: str, body: Any = None, status: int = 201) -> Any:
        reply = self.request("POST", path, json=body or {})
        assert reply.status_code == status, reply.text
        return reply.json()

    def stop(self) -> None:
        found = lifecycle.find(self.site)
        if found is not None:
            lifecycle.stop(found)

    def kill_service(self) -> None:
        """SIGKILL, and wait for the end."""
        assert self.found is not None
        identity = self.found.identity
        os.kill(identity.pid, signal.SIGKILL)
        wait_until(lambda: not identity.alive(), 10, "the end of the service")

    def child_pid(self, name: str) -> int | None:
        """The pid of a child that the service started."""
        for child in self.get("/service")["children"]:
            if child["name"] == name:
                return int(child["pid"]) if child["pid"] else None
        return None

    def tracking_ready(self) -> None:
        wait_until(lambda: self.get("/service")["tracking"] == "running", 120, "MLflow")

    def wait_run(self, slug: str, run_id: str, timeout: float = 180) -> dict[str, Any]:
        """The run when it has ended."""

        def ended() -> dict[str, Any] | None:
            view: dict[str, Any] = self.get(f"/projects/{slug}/runs/{run_id}")
            return view if view["status"] in ("succeeded", "failed", "cancelled", "timed_out") else None

        return wait_until(ended, timeout, f"the end of run {run_id}")

    def token(self, slug: str | None, role: str, purpose: str = "user", limit: str | None = None) -> str:
        """A token of another person: with *role* in the project *slug*, or a site role when that is None."""
        database = open_store(self.site, self.site.settings())
        user = f"{purpose}-{role}-{slug or 'site'}"
        file = self.root / f"token-{user}"
        with database.write() as session:
            if session.get(User, user) is None:
                session.add(User(name=user, site_role=role if slug is None else None))
                session.flush()
            project = session.scalar(select(Project).where(Project.slug == slug)) if slug else None
            if project is not None and session.get(Member, (project.id, user)) is None:
                session.add(Member(project_id=project.id, user=user, role=role))
                session.flush()
            tokens.issue(
                session,
                purpose=purpose,
                user=user,
                seconds=3600,
                file=file,
                project_id=project.id if project and purpose != "user" else None,
                role=limit,
            )
        database.close()
        return file.read_text().strip()

    def project(self, slug: str, stages: dict[str, dict[str, Any]], notebooks: dict[str, list[str]]) -> Path:
        """A project of small notebooks; a notebook's first cell is its parameters."""
        folder = self.root / "projects" / slug
        folder.mkdir(parents=True)
        write_project(folder, slug, stages, notebooks)
        self.post("/projects", {"name": slug, "path": str(folder)})
        return folder

    def processes(self, word: str = "") -> list[psutil.Process]:
        """Living processes that belong to this site, found by their environment; with *word* in their command."""
        found = []
        for process in psutil.process_iter():
            try:
                command = " ".join(process.cmdline())
                mine = word in command and str(self.root) in command + " ".join(process.environ().values())
                if mine and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found


def write_project(folder: Path, slug: str, stages: dict[str, dict[str, Any]], notebooks: dict[str, list[str]]) -> None:
    """Write manifest and notebooks of a project."""
    lines = ["[project]", f'name = "{slug}"']
    for name, stage in stages.items():
        lines += [f"[stages.{name}]"]
        lines += [f"{key} = {_toml(value)}" for key, value in stage.items()]
    (folder / "himalia.toml").write_text("\n".join(lines) + "\n")
    for name, cells in notebooks.items():
        book = nbformat.v4.new_notebook()
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        book.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
        book.cells[0].metadata["tags"] = ["parameters"]
        nbformat.write(book, folder / name)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)


@contextmanager
def running_lab(prepare: Callable[[Lab], object] | None = None, **variables: str) -> Iterator[Lab]:
    """A lab with a running service; stopped and removed at the end.

    *prepare* is called before the service starts, with *variables* in the environment already.
    """
    with short_dir() as root:
        lab = Lab(root)
        lab.tmp.mkdir()
        changed = {
            "HIMALIA_HOME": str(lab.home),
            "JUPYTER_DATA_DIR": str(root / "jupyter"),
            "TMPDIR": str(lab.tmp),
            **variables,
        }
        before = {key: os.environ.get(key) for key in (*changed, "XDG_RUNTIME_DIR")}
        os.environ.update(changed)
        os.environ.pop("XDG_RUNTIME_DIR", None)
        tempfile.tempdir = None
        try:
            if prepare is not None:
                prepare(lab)
            lab.start()
            yield lab
        finally:
            lab.stop()
            for process in lab.processes():
                process.kill()
            for key, value in before.items():
                os.environ.pop(key, None) if value is None else os.environ.__setitem__(key, value)
            tempfile.tempdir = None
