"""Each template's pipeline on a site of its own; an endpoint that is archived with its project and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.site.lab import TRAIN, Lab, running_lab
from tests.waiting import wait_until

TEMPLATES = {
    "blank": {},
    "classification": {"train": {"folds": 2}},
    "regression": {"evaluate": {"resamples": 20}},
    "search": {"search": {"candidates": 8, "folds": 2}},
}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with running_lab() as made:
        made.tracking_ready()
        yield made


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_templates_pipeline_runs(lab: Lab, name: str) -> None:
    """As it is made, on a cluster where it asks for one; then each of its figures and its model are there."""
    lab.post("/projects", {"name": f"from-{name}", "template": name})
    path = f"/projects/from-{name}"
    assert [item for item in lab.get(f"{path}/problems")["items"] if item["severity"] == "error"] == []
    if name == "search":
        lab.post(f"{path}/clusters", {"name": "local", "workers": 2})
        wait_until(lambda: lab.get(f"{path}/clusters/local")["workers"] == 2, 120, "the workers")
    run = lab.wait_run(f"from-{name}", lab.post(f"{path}/runs", {"params": TEMPLATES[name]})["id"], 300)
    assert run["status"] == "succeeded", [stage["error"] for stage in run["stages"]]
    if name != "blank":
        assert len(lab.get(f"{path}/models")["items"]) == 1
    seconds = {stage["name"]: round(stage["ended_at"] - stage["started_at"], 1) for stage in run["stages"]}
    print(f"{name}: {run['ended_at'] - run['started_at']:.1f} s {seconds}")


def test_an_archived_endpoint_comes_back_with_its_keys(lab: Lab) -> None:
    lab.project(
        "serving", {"train": {"notebook": "t.ipynb", "outputs": ["build/model.json"]}}, {"t.ipynb": ["n = 1", TRAIN]}
    )
    assert lab.wait_run("serving", lab.post("/projects/serving/runs")["id"])["status"] == "succeeded"
    lab.post("/projects/serving/deployments", {"name": "tiny", "model": "models:/tiny/1"})
    path = "/projects/serving/deployments/tiny"
    wait_until(lambda: lab.get(path)["state"] == "ready", 120, "the endpoint")
    token = lab.post(f"{path}/tokens", {"label": "x"})["token"]
    url = lab.get(path)["url"]

    def asked() -> int:
        body: dict[str, Any] = {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, 2.0]]}}
        reply = httpx.post(url, json=body, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=30)
        return reply.status_code

    assert asked() == 200
    lab.post("/projects/serving/archive", status=200)
    wait_until(lambda: asked() in (401, 404, 503), 30, "the end of the endpoint")
    assert lab.get(path)["state"] == "stopped"
    lab.kill_service()
    lab.start()
    lab.tracking_ready()
    assert asked() in (401, 404, 503)
    assert lab.get(path)["state"] == "stopped"
    lab.post("/projects/serving/unarchive", status=200)
    wait_until(lambda: lab.get(path)["state"] == "ready", 120, "the endpoint again")
    wait_until(lambda: asked() == 200, 30, "its answer, with the same key")
    folder = Path(lab.get("/projects/serving")["path"])
    assert lab.request("DELETE", "/projects/serving?remove_files=true").status_code == 204
    wait_until(lambda: asked() in (401, 404, 503), 30, "the end of the endpoint")
    lab.post("/projects/serving/restore", status=200)
    wait_until(lambda: asked() == 200, 120, "its answer after the trash, with the same key")
    assert lab.request("DELETE", "/projects/serving?purge=true&remove_files=true").status_code == 204
    assert not folder.exists()
