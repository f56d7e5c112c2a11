"""Interactive kernels and clusters, seen from a user's notebook."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest
from jupyter_client.manager import KernelManager, start_new_kernel

from himalia_server.service.ports import free_port
from tests.site.lab import Lab
from tests.waiting import terminate_jupyter, wait_until


class Session:
    """A kernel of a project."""

    def __init__(self, name: str) -> None:
        self.manager, self.client = start_new_kernel(kernel_name=name)

    def run(self, code: str, timeout: float = 120) -> str:
        """Execute; returns what was printed, and the text of the result or of the error."""
        texts: list[str] = []

        def hook(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                texts.append(content["text"])
            elif message["msg_type"] in ("execute_result", "display_data"):
                texts.append(content["data"].get("text/plain", ""))
            elif message["msg_type"] == "error":
                texts.append(f"{content['ename']}: {content['evalue']}")

        self.client.execute_interactive(code, timeout=timeout, output_hook=hook)
        return "\n".join(texts)

    def close(self) -> None:
        self.client.stop_channels()
        manager: KernelManager = self.manager
        manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def session(lab: Lab) -> Iterator[Session]:
    lab.tracking_ready()
    lab.post("/projects/tiny/clusters", {"name": "local", "workers": 2, "memory_limit": "1GiB"})
    wait_until(lambda: lab.get("/projects/tiny/clusters/local")["workers"] == 2, 90, "the cluster")
    made = Session(lab.get("/projects/tiny")["kernelspec"])
    yield made
    made.close()
    lab.request("DELETE", "/projects/tiny/clusters/local")


def test_the_kernel_knows_its_project(lab: Lab, session: Session) -> None:
    assert "tiny" in session.run("%project")
    assert session.run("import os; print(os.getcwd())").strip() == lab.get("/projects/tiny")["path"]
    assert "'HIMALIA_GRANT_FILE'" not in session.run("import os; sorted(os.environ)")


def test_it_tracks_with_plain_mlflow(lab: Lab, session: Session) -> None:
    out = session.run(
        "import mlflow\nwith mlflow.start_run() as run:\n    mlflow.log_param('p', 1)\nprint(run.info.run_id)"
    )
    run_id = out.strip().splitlines()[-1]
    assert lab.request("GET", f"/mlflow/tiny/api/2.0/mlflow/runs/get?run_id={run_id}").status_code == 200


def test_it_computes_on_the_cluster(session: Session) -> None:
    session.run("import himalia; c = himalia.client()")
    assert session.run("c.gather(c.map(lambda x: 2 * x, [1, 2]))") == "[2, 4]"
    assert "2" in session.run("%cluster")


def test_its_token_can_ask_for_a_deployment_but_not_deploy(lab: Lab, session: Session) -> None:
    if not lab.get("/projects/tiny/models")["items"]:
        lab.wait_run("tiny", lab.post("/projects/tiny/runs")["id"])
    out = session.run("%deploy models:/tiny/1 --name wanted")
    assert "himalia deployment confirm wanted 1 -p tiny" in out
    view = lab.get("/projects/tiny/deployments/wanted")
    assert (view["state"], view["requested_version"], view["revisions"][0]["weight"]) == ("requested", "1", 0)
    seen = {"version": "1"}
    assert lab.request("POST", "/projects/tiny/deployments/nothing/confirm", json=seen).status_code == 404
    later = lab.request("POST", "/projects/tiny/deployments/wanted/confirm", json={"version": "2"})
    assert later.status_code == 409
    confirmed = lab.request("POST", "/projects/tiny/deployments/wanted/confirm", json=seen).json()
    assert (confirmed["requested_version"], confirmed["revisions"][0]["weight"]) == (None, 100)
    assert confirmed["revisions"][0]["model_digest"] == view["revisions"][0]["model_digest"]
    wait_until(lambda: lab.get("/projects/tiny/deployments/wanted")["state"] == "ready", 90, "the endpoint")
    assert lab.request("POST", "/projects/tiny/deployments/wanted/confirm", json=seen).status_code == 409
    assert lab.request("DELETE", "/projects/tiny/deployments/wanted").status_code == 204


def test_wrong_words_are_one_line(session: Session) -> None:
    for line in ("%cluster dance", "%deploy", "%cluster scale many", "%project x y z"):
        out = session.run(line)
        assert "Traceback" not in out, out
        assert out.strip(), line


def test_a_killed_worker_comes_back(lab: Lab, session: Session) -> None:
    workers = [p for p in lab.processes() if "worker" in p.cmdline() and "_dask_main" in " ".join(p.cmdline())]
    assert len(workers) == 2
    session.run("import time; future = c.submit(lambda: time.sleep(1) or 42, pure=False)")
    os.kill(workers[0].pid, signal.SIGKILL)
    assert session.run("c.gather(future)") == "42"
    wait_until(lambda: lab.get("/projects/tiny/clusters/local")["workers"] == 2, 60, "the second worker")


def test_a_killed_holder_or_scheduler_is_started_again(lab: Lab, session: Session) -> None:
    name = next(child["name"] for child in lab.get("/service")["children"] if child["name"].startswith("cluster-"))
    for which in ("holder", "scheduler"):
        holder = lab.child_pid(name)
        assert holder is not None
        pid = holder
        if which == "scheduler":
            pid = next(p.pid for p in psutil.Process(holder).children() if "scheduler" in p.cmdline())
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: not psutil.pid_exists(pid), 10, which)  # type: ignore[misc]
        wait_until(lambda: lab.get("/projects/tiny/clusters/local")["workers"] == 2, 90, which)
        assert session.run("c = himalia.client(); c.gather(c.submit(sum, [1, 2]))") == "3"


def test_it_works_over_a_restart_of_the_service(lab: Lab, session: Session) -> None:
    lab.kill_service()
    lab.start()
    assert "tiny" in session.run("%project")


def test_the_same_kernelspec_under_jupyter_console(lab: Lab) -> None:
    command = [sys.executable, "-m", "jupyter", "console", "--simple-prompt"]
    console = subprocess.Popen(
        [*command, "--kernel", lab.get("/projects/tiny")["kernelspec"]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert console.stdin is not None
    assert console.stdout is not None
    shown = ""
    try:
        while "In [1]:" not in shown:
            letter = console.stdout.read(1)
            assert letter, shown
            shown += letter
        # the console does not wait until it is subscribed to outputs, and hangs when it misses a cell's end
        time.sleep(2)
        shown += console.communicate("%project\nexit\n", timeout=120)[0]
    finally:
        console.kill()
        console.wait()
    assert "tiny" in shown.partition("In [1]:")[2], shown


def test_open_is_jupyterlab_in_the_project(lab: Lab) -> None:
    port = free_port()
    words = ["project", "open", "tiny", "--no-browser", "--allow-root", f"--port={port}", "--IdentityProvider.token=t"]
    command = [sys.executable, "-c", "from himalia_server.cli import main; main()", *words]
    with (lab.root / "lab.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:

        def specs() -> dict[str, Any] | None:
            try:
                reply = httpx.get(f"http://127.0.0.1:{port}/api/kernelspecs?token=t", trust_env=False)
            except httpx.TransportError:
                return None
            return dict(reply.json()) if reply.status_code == 200 else None

        assert wait_until(specs, 90, "JupyterLab")["default"] == lab.get("/projects/tiny")["kernelspec"]
        # the root is the folder above, so that projects beside it can be opened too
        listed = httpx.get(f"http://127.0.0.1:{port}/api/contents/tiny?token=t", trust_env=False).json()["content"]
        assert "himalia.toml" in {entry["name"] for entry in listed}
        start = httpx.get(f"http://127.0.0.1:{port}/?token=t", trust_env=False, follow_redirects=True)
        assert start.url.path == "/lab/workspaces/tiny/tree/tiny"
    finally:
        terminate_jupyter(server, lab.root / "lab.log")
        server.wait(30)


def test_a_clusters_name_and_size_are_checked(lab: Lab) -> None:
    for body, status in (
        ({"name": "Local!"}, 422),
        ({"name": "x", "workers": 0}, 422),
        ({"name": "x", "memory_limit": "lots"}, 422),
        ({"name": "x", "profile": "mainframe"}, 422),
        ({"name": "local"}, 409),
    ):
        reply = lab.request("POST", "/projects/tiny/clusters", json=body)
        assert reply.status_code == status, (body, reply.text)
    assert lab.request("GET", "/projects/tiny/clusters/nowhere").status_code == 404
