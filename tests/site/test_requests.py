"""One id from the browser's request to the children that it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.site.extension_lab import jupyter
from tests.site.lab import Lab
from tests.waiting import wait_until

REQUEST = "0b5c-from-the-browser"
SEES = "import json, os, pathlib; pathlib.Path('seen.json').write_text(json.dumps(os.environ.get('HIMALIA_REQUEST')))"


def test_a_request_is_found_in_every_log_down_to_the_stage(lab: Lab) -> None:
    stages = {"one": {"notebook": "one.ipynb", "outputs": ["seen.json"]}}
    folder = lab.project("traced", stages, {"one.ipynb": ["n = 1", SEES]})
    with jupyter(environment={"HIMALIA_HOME": str(lab.home)}) as server, server.client() as client:
        started = client.post("api/v1/projects/traced/runs", json={}, headers={"X-Request-ID": REQUEST})
        assert started.status_code == 201, started.text
        assert started.headers["x-request-id"] == REQUEST
        refused = client.get("api/v1/projects/none", headers={"X-Request-ID": "two words"})
        assert len(refused.headers["x-request-id"]) == 16, "an id that could do harm is replaced"
        assert f"POST /api/v1/projects/traced/runs is request {REQUEST}" in server.log()
    run = lab.wait_run("traced", started.json()["id"])
    assert run["status"] == "succeeded", run

    assert json.loads((folder / "seen.json").read_text()) == REQUEST
    stage = f"stage-{run['id']}-one"
    assert f"request {REQUEST}" in lab.site.log(stage).read_text().splitlines()[0]

    def answered() -> dict[str, int]:
        return {line["path"]: line["status"] for line in lines(lab) if line["message"] == "answered"}

    progress = f"/api/v1/projects/traced/runs/{run['id']}/stages/one/progress"
    wait_until(lambda: answered().get(progress) == 204, 10, "the line of the stage's own request")
    assert answered()["/api/v1/projects/traced/runs"] == 201
    assert {line["child"] for line in lines(lab) if line["message"] == "child started"} == {stage}
    shown = himalia(lab, "logs", "--request", REQUEST)
    assert {line.partition(":")[0] for line in shown.stdout.splitlines()} == {"service", stage}
    assert himalia(lab, "logs", "--request", REQUEST[:-1]).returncode == 4


def lines(lab: Lab) -> list[dict[str, object]]:
    """The service's log of the request."""
    found = [json.loads(line) for line in lab.site.log("service").read_text().splitlines()]
    return [line for line in found if line.get("request") == REQUEST]


def himalia(lab: Lab, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from himalia_server.cli import main; main()", *words]
    env = os.environ | {"HIMALIA_HOME": str(lab.home)}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env)
