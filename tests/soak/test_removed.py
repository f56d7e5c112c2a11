"""Folders and files of a running site are removed, one after the other."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx
import psutil
import pytest

from himalia_server.service import lifecycle
from tests.site.lab import Lab
from tests.soak.invariants import check
from tests.soak.kit import (
    SLUG,
    Ledger,
    cluster_view,
    endpoint_state,
    himalia,
    predict,
    service_processes,
    token,
)
from tests.waiting import wait_until


def is_well(lab: Lab, key: str) -> None:
    """All of the site works, with the service that runs."""
    lab.found = wait_until(lambda: lifecycle.find(lab.site), 30, "the service")
    lab.tracking_ready()
    wait_until(lambda: endpoint_state(lab) == "ready" and cluster_view(lab)["workers"] == 1, 180, "endpoint, cluster")
    assert predict(lab, key).status_code == 200
    run = lab.wait_run(SLUG, lab.post(f"/projects/{SLUG}/runs")["id"])
    assert run["status"] == "succeeded", run
    assert len(service_processes(lab.site)) == 1
    assert check(lab, Ledger()) == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("what", ["service.json", "tokens", "children", "runs", "service.lock", "logs", "clusters"])
def test_what_can_be_made_again_is(lab: Lab, what: str) -> None:
    key, pid = token(lab), lab.get("/service")["pid"]
    path = lab.home / what
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    wait_until(path.exists, 30, f"{what} again")
    wait_until(lab.site.user_token_file.exists, 30, "the account's token")
    is_well(lab, key)
    assert lab.get("/service")["pid"] == pid


@pytest.mark.timeout(600)
def test_the_folder_of_sockets(lab: Lab) -> None:
    key, pid = token(lab), lab.get("/service")["pid"]
    shutil.rmtree(lab.site.runtime)
    wait_until(lambda: (lab.site.runtime / "mlflow.sock").exists(), 240, "MLflow's socket")
    is_well(lab, key)
    assert lab.get("/service")["pid"] == pid


@pytest.mark.timeout(600)
def test_the_content(lab: Lab) -> None:
    """What was kept is lost, and it is said; new runs work."""
    key = token(lab)
    old = lab.get(f"/projects/{SLUG}/runs", params={"limit": 1})["items"][0]["id"]
    shutil.rmtree(lab.home / "content")
    reply = lab.request("GET", f"/projects/{SLUG}/runs/{old}/stages/make/notebook")
    assert reply.status_code in (404, 410), reply.text
    assert "content store" in reply.text, reply.text
    is_well(lab, key)


@pytest.mark.timeout(600)
def test_a_projects_folder(lab: Lab) -> None:
    folder = lab.root / "projects" / "gone"
    folder.mkdir(parents=True)
    (folder / "himalia.toml").write_text('[project]\nname = "gone"\n')
    lab.post("/projects", {"name": "gone", "path": str(folder)})
    shutil.rmtree(folder)
    view = lab.get("/projects/gone")
    assert str(folder) in (view["problem"] or ""), view
    reply = lab.request("POST", "/projects/gone/runs", json={})
    assert reply.status_code in (404, 409, 422), reply.text
    assert str(folder) in reply.text, reply.text
    lab.tracking_ready()
    assert lab.request("DELETE", "/projects/gone?purge=true").status_code < 300


@pytest.mark.timeout(600)
def test_the_database(lab: Lab) -> None:
    """Nothing is acknowledged that would be lost; the service ends by itself with all that it started."""
    lab.post(f"/projects/{SLUG}/runs", {"params": {"make": {"seconds": 30.0}}})
    ours = {process.pid for process in psutil.Process().children(recursive=True)}
    kept = lab.root / "kept.db"
    himalia("backup", str(lab.root / "kept.tar.gz"))
    for suffix in ("", "-wal", "-shm"):
        path = Path(f"{lab.site.database}{suffix}")
        if path.exists():
            path.rename(f"{kept}{suffix}")
    reply = _try(lab, f"/projects/{SLUG}/deployments/soak/tokens", {"label": "lost", "days": 1})
    assert reply is None or reply.status_code == 503, reply.text
    if reply is not None:
        assert "was removed" in reply.text
    wait_until(lambda: not service_processes(lab.site), 60, "the end of the service")
    wait_until(lambda: [p for p in lab.processes() if p.pid not in ours] == [], 30, "the end of all")
    for suffix in ("", "-wal", "-shm"):
        path = Path(f"{kept}{suffix}")
        if path.exists():
            path.rename(f"{lab.site.database}{suffix}")
    lab.start()
    assert [project["slug"] for project in lab.get("/projects")["items"]] == [SLUG]
    assert check(lab, Ledger()) == []


@pytest.mark.timeout(600)
def test_the_whole_site(lab: Lab) -> None:
    """The service ends by itself, with its children; `himalia up` makes a new site."""
    assert lab.found is not None
    old, runtime = lab.found.identity, lab.site.runtime
    ours = {process.pid for process in psutil.Process().children(recursive=True)}
    shutil.rmtree(lab.home, ignore_errors=True)
    wait_until(lambda: not old.alive(), 90, "the end of the service")
    wait_until(lambda: [p for p in lab.processes() if p.pid not in ours] == [], 30, "the end of all")
    assert not runtime.exists()
    done = himalia("up")
    assert done.returncode == 0, done.stderr
    lab.start()
    assert lab.get("/projects")["items"] == []


def _try(lab: Lab, path: str, body: dict[str, object]) -> httpx.Response | None:
    try:
        return lab.request("POST", path, json=body)
    except httpx.TransportError:
        return None
