"""One id from the browser's request to the children that it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.site.extension_lab import jupyter
from tests.site.lab import write_project
from tests.waiting import wait_until

REQUEST = "0b5c-from-the-browser"
WATCHED = (
    "import json, os, pathlib, mlflow, himalia\n"
    "mlflow.log_metric('score', 1.0)\n"
    "pathlib.Path('seen.json').write_text(json.dumps(os.environ.get('HIMALIA_REQUEST')))"
)


def test_a_request_is_found_in_every_log_down_to_the_stage() -> None:
    with jupyter() as server:
        server.start_service()
        folder = server.folder / "traced"
        folder.mkdir()
        write_project(
            folder,
            "traced",
            {"one": {"notebook": "one.ipynb", "outputs": ["seen.json"]}},
            {"one.ipynb": ["n = 1", WATCHED]},
        )
        with server.client() as client:
            made = client.post("api/v1/projects", json={"name": "traced", "path": str(folder)})
            assert made.status_code == 201, made.text
            started = client.post("api/v1/projects/traced/runs", json={}, headers={"X-Request-ID": REQUEST})
            assert started.status_code == 201, started.text
            assert started.headers["x-request-id"] == REQUEST
            run = f"api/v1/projects/traced/runs/{started.json()['id']}"
            wait_until(lambda: client.get(run).json()["status"] in ("succeeded", "failed"), 120, "the end of the run")
            assert client.get(run).json()["status"] == "succeeded", client.get(run).text
            refused = client.get("api/v1/projects/none", headers={"X-Request-ID": "two words"})
        assert len(refused.headers["x-request-id"]) == 16, "an id that could do harm is replaced"

        stage = f"stage-{started.json()['id']}-one"
        assert json.loads((folder / "seen.json").read_text()) == REQUEST
        assert f"POST /api/v1/projects/traced/runs is request {REQUEST}" in server.log()
        log = [json.loads(line) for line in server.site.log("service").read_text().splitlines()]
        mine = [line for line in log if line.get("request") == REQUEST]
        assert {line.get("child") for line in mine if line["message"] == "child started"} == {stage}
        answered = {line["path"]: line["status"] for line in mine if line["message"] == "answered"}
        assert answered.pop("/api/v1/projects/traced/runs") == 201
        assert list(answered.values()) == [204], "the stage's progress carries it too"
        assert f"request {REQUEST}" in server.site.log(stage).read_text().splitlines()[0]
        shown = himalia(server.home, "logs", "--request", REQUEST)
        assert {line.partition(":")[0] for line in shown.stdout.splitlines()} == {"service", stage}
        assert himalia(server.home, "logs", "--request", REQUEST[:-1]).returncode == 4


def himalia(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from himalia_server.cli import main; main()", *words]
    env = os.environ | {"HIMALIA_HOME": str(home)}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env)
