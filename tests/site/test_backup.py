"""A running site is backed up on SQLite, and comes back to life on PostgreSQL; the whole thread works there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, text

from tests.postgresql import Postgresql, running_postgresql
from tests.site.lab import Lab, running_lab
from tests.waiting import wait_until

HIMALIA = [sys.executable, "-c", "from himalia_server.cli import main; main()"]
FRAME = {"dataframe_split": {"columns": ["a", "b"], "data": [[19.0, 0.0], [0.0, 19.0]]}}


def himalia(*arguments: str, fails: bool = False) -> Any:
    """Run the command; its JSON, or what it says when it fails."""
    done = subprocess.run([*HIMALIA, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stderr if fails else json.loads(done.stdout)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Postgresql]:
    with running_postgresql() as server:
        yield server


@pytest.fixture(scope="module")
def used(lab: Lab) -> Iterator[dict[str, Any]]:
    """What the site holds: a run, a model, an endpoint and its key."""
    lab.tracking_ready()
    if not lab.get("/projects/tiny/models")["items"]:
        lab.wait_run("tiny", lab.post("/projects/tiny/runs")["id"])
    lab.request("PUT", "/projects/tiny/models/tiny/aliases/champion", json={"version": "1"})
    lab.post("/projects/tiny/deployments", {"name": "kept", "model": "models:/tiny@champion"})
    wait_ready(lab)
    key = lab.post("/projects/tiny/deployments/kept/tokens", {"label": "test", "days": 1})["token"]
    yield {"key": key, **holdings(lab)}
    lab.request("DELETE", "/projects/tiny/deployments/kept")


def holdings(lab: Lab) -> dict[str, Any]:
    """What must be the same afterwards."""
    runs = wait_until(lambda: ended_runs(lab), 180, "the end of all runs")
    done = next(run for run in runs if run["status"] == "succeeded")
    notebook = lab.request("GET", f"/projects/tiny/runs/{done['id']}/stages/train/notebook")
    assert notebook.status_code == 200, notebook.text
    return {
        "projects": lab.get("/projects")["items"],
        "runs": runs,
        "notebook": notebook.text,
        "models": lab.get("/projects/tiny/models")["items"],
    }


def ended_runs(lab: Lab) -> list[dict[str, Any]] | None:
    """All runs; None while one goes on (other tests of the session start some)."""
    runs: list[dict[str, Any]] = lab.get("/projects/tiny/runs?limit=100")["items"]
    return runs if all(run["ended_at"] for run in runs) else None


def wait_ready(lab: Lab) -> None:
    wait_until(lambda: lab.get("/projects/tiny/deployments/kept")["state"] == "ready", 120, "the endpoint")


def predict(lab: Lab, key: str) -> httpx.Response:
    url = lab.get("/projects/tiny/deployments/kept")["url"]
    return httpx.post(url, json=FRAME, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=60)


def test_a_site_moves_from_sqlite_to_postgresql(
    lab: Lab, used: dict[str, Any], postgresql: Postgresql, tmp_path: Path
) -> None:
    file = tmp_path / "backup.tar.gz"
    made = himalia("backup", str(file), "--projects", "--json")
    assert "tiny" in made["projects"]
    old_token = lab.found.token() if lab.found else ""
    url = postgresql.database()

    def restore(other: Lab) -> None:
        assert himalia("restore", str(file), "--json")["home"] == str(other.home)
        assert "There is a site" in himalia("restore", str(file), fails=True)

    with running_lab(restore, HIMALIA_DATABASE_URL=url) as other:
        other.tracking_ready()
        assert other.site.id == lab.site.id
        assert not (other.home / "himalia.db").exists()
        with create_engine(url.replace("postgresql:", "postgresql+psycopg:")).connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM runs WHERE status = 'succeeded'"))
        after = holdings(other)
        for name in ("runs", "notebook", "models"):
            assert after[name] == used[name], name
        assert [entry["slug"] for entry in after["projects"]] == [entry["slug"] for entry in used["projects"]]
        assert other.get("/audit/check")["whole"]
        # its endpoint answers with the same key; who had a token of the service has a new one
        wait_ready(other)
        assert predict(other, used["key"]).json() == {"predictions": [True, False]}
        assert other.request("GET", "/projects", token=old_token).status_code == 401
        # and work goes on: another run, another version
        done = other.wait_run("tiny", other.post("/projects/tiny/runs", {"params": {"make": {"n": 4}}})["id"])
        assert done["status"] == "succeeded", done
        before, now = (found[0]["versions"] for found in (used["models"], other.get("/projects/tiny/models")["items"]))
        assert int(now[0]["version"]) == int(before[0]["version"]) + 1
        assert other.get("/audit/check")["whole"]
        refuse_a_second_service(other, url)


def refuse_a_second_service(other: Lab, url: str) -> None:
    """Another site on the same database is refused, and told why."""
    environment = {"HIMALIA_HOME": str(other.root / "second"), "HIMALIA_DATABASE_URL": url}
    done = subprocess.run(
        [*HIMALIA, "up"], env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert "Another service uses the database" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_backup_is_never_put_over_a_file(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "b").write_text("precious")
    assert "there already" in himalia("backup", str(tmp_path / "b"), fails=True)
    assert "cannot be written" in himalia("backup", str(tmp_path / "none" / "b"), fails=True)
    assert (tmp_path / "b").read_text() == "precious"
