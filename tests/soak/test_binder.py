"""What Binder does with this repository, but for its containers: an environment, `postBuild`, `start`, and the page.

repo2docker takes a Python (`runtime.txt`), installs `requirements.txt` into a fresh environment, runs `postBuild` in a
clone that is the home folder, and starts the server as the argument of `start`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.waiting import wait_until
from tests.wheel.conftest import machine, source
from tests.wheel.machine import ROOT, Machine

__all__ = ["machine", "source"]
TOKEN = "a-token-of-this-test"


@pytest.fixture(scope="module")
def built(machine: Machine, source: Path) -> Path:
    """The programs of the environment after `postBuild`; the clone is the home folder."""
    made = machine.environment("binder", ["pip", "-r", str(ROOT / "binder" / "requirements.txt")])
    said = machine.run([str(source / "binder" / "postBuild")], cwd=source, path=made, HOME=str(source))
    assert "himalia_server.extension" in said
    return made


def environ(machine: Machine, source: Path) -> dict[str, str]:
    """Of Binder's account: everything in its usual place below the home folder."""
    env = machine.environ(machine.base / "binder" / "bin") | {"HOME": str(source), "TMPDIR": str(machine.base)}
    return {name: value for name, value in env.items() if name not in ("HIMALIA_HOME", "JUPYTER_CONFIG_DIR")}


@pytest.fixture
def opened(machine: Machine, source: Path, built: Path) -> Iterator[int]:
    """The port of the Jupyter server that `start` has started, as Binder calls it."""
    port = 18888
    command = [
        *(str(source / "binder" / "start"), "jupyter", "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1"),
        *(f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}"),
    ]
    env = environ(machine, source)
    with (machine.base / "lab.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=source, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_until(lambda: answers(port) or process.poll() is not None, 120, "JupyterLab")
        assert process.poll() is None, (machine.base / "lab.log").read_text()
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # the demo too, which would start the service again
        process.wait(60)
        subprocess.run(["himalia", "down"], env=env, check=True)


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/api", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def test_the_python_is_one_of_binders(built: Path) -> None:
    wanted = (ROOT / "binder" / "runtime.txt").read_text().strip()
    assert wanted in {f"python-3.{minor}" for minor in (11, 12, 13)}
    assert wanted == f"python-{sys.version_info[0]}.{sys.version_info[1]}", "this test runs on the same Python"


def test_the_page_opens_on_the_demo_which_runs_to_its_end(opened: int, source: Path, machine: Machine) -> None:
    with httpx.Client(trust_env=False, timeout=30, headers={"Authorization": f"token {TOKEN}"}) as client:
        base = f"http://127.0.0.1:{opened}"
        first = client.get(f"{base}/")
        location = first.headers["location"].rstrip("?")
        assert location == "/lab/workspaces/nyc-flights/tree/himalia/nyc-flights"
        page = client.get(base + location)
        assert page.status_code == 200
        assert '"himalia"' in page.text, "the labextension is loaded"
        assert client.get(f"{base}/api/contents/himalia/nyc-flights/himalia.toml").status_code == 200
        status = client.get(f"{base}/himalia/api/status").json()
        assert (status["state"], status["root"]) == ("running", str(source))
        log = source / "himalia-demo.log"
        wait_until(lambda: "All of it goes on until you stop it" in log.read_text(), 400, "the end of the demo")
        projects = client.get(f"{base}/himalia/api/v1/projects").json()["items"]
        assert [project["slug"] for project in projects] == ["nyc-flights"]
    doctor = subprocess.run(
        ["himalia", "doctor"],
        env=environ(machine, source),
        capture_output=True,
        text=True,
        check=False,
    )
    assert doctor.returncode == 0, doctor.stdout
    assert [path.name for path in (source / "himalia").iterdir()] == ["nyc-flights"]
