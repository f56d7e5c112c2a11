"""`himalia demo`, with the service killed in the middle of it; then again, and then gone."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests.site.lab import Lab, running_lab
from tests.waiting import wait_until

HIMALIA = [sys.executable, "-c", "from himalia_server.cli import main; main()"]


@pytest.fixture(scope="module")
def fresh() -> Iterator[Lab]:
    with running_lab() as lab:
        yield lab


@pytest.mark.timeout(600)
def test_the_demo_goes_on_when_the_service_is_killed(fresh: Lab) -> None:
    log = fresh.root / "demo.err"
    with log.open("w") as errors:
        demo = subprocess.Popen([*HIMALIA, "demo", "--json"], stdout=subprocess.PIPE, stderr=errors, text=True)

        def training() -> bool:
            assert demo.poll() is None, log.read_text()
            runs = fresh.request("GET", "/projects/nyc-flights/runs")
            return runs.status_code == 200 and any(
                stage["name"] == "train" and stage["cell"] >= 2
                for run in runs.json()["items"]
                for stage in run["stages"]
            )

        wait_until(training, 240, "the training")
        fresh.kill_service()
        output, _ = demo.communicate(timeout=300)
    assert demo.returncode == 0, log.read_text()
    facts = json.loads(output)
    assert set(facts["run"]["stages"]) == {"prepare", "train", "evaluate"}
    assert 0.65 < facts["july"]["roc_auc"] < 0.9
    assert facts["july"]["flights"] > 25_000
    assert len(facts["predictions"]) >= 8
    assert all(0 <= p["probability"] <= 1 for p in facts["predictions"])


@pytest.mark.timeout(300)
def test_again_it_finds_what_exists(fresh: Lab) -> None:
    fresh.start()
    runs = len(fresh.get("/projects/nyc-flights/runs")["items"])
    done = subprocess.run([*HIMALIA, "demo"], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("found") >= 4
    assert "PROBABILITY OF LATE" in done.stdout
    assert len(fresh.get("/projects/nyc-flights/runs")["items"]) == runs


@pytest.mark.timeout(300)
def test_on_a_terminal_jupyterlab_opens_on_the_project_and_ctrl_c_ends_only_it(fresh: Lab) -> None:
    fresh.start()
    terminal, ours = pty.openpty()
    demo = subprocess.Popen([*HIMALIA, "demo"], stdin=ours, stdout=ours, stderr=ours, start_new_session=True)
    os.close(ours)
    shown = b""

    def told() -> bool:
        nonlocal shown
        if select.select([terminal], [], [], 0.1)[0]:
            shown += os.read(terminal, 1 << 16)
        return b"until you press Ctrl-C" in shown

    wait_until(told, 120, "the end of the demo's steps")
    address = re.search(rb"http://\S+/lab/workspaces/nyc-flights/tree/nyc-flights\?token=[0-9a-f]+", shown)
    assert address is not None, shown
    page = httpx.get(address[0].decode(), trust_env=False, timeout=30, follow_redirects=True)
    assert page.status_code == 200
    assert '"workspace": "nyc-flights"' in page.text
    os.kill(demo.pid, signal.SIGINT)
    assert demo.wait(timeout=30) == 0
    os.close(terminal)
    with pytest.raises(httpx.ConnectError):
        httpx.get(address[0].decode(), trust_env=False, timeout=30)
    assert fresh.get("/projects/nyc-flights/deployments/flight-delay")["state"] == "ready"


@pytest.mark.timeout(300)
def test_jupyterlab_does_not_outlive_a_demo_whose_terminal_is_closed(fresh: Lab) -> None:
    terminal, ours = pty.openpty()
    demo = subprocess.Popen([*HIMALIA, "demo"], stdin=ours, stdout=ours, stderr=ours, start_new_session=True)
    os.close(ours)

    def labs() -> list[psutil.Process]:
        shown = select.select([terminal], [], [], 0)[0]
        if shown:
            os.read(terminal, 1 << 16)
        return [child for child in psutil.Process(demo.pid).children() if "jupyterlab" in " ".join(child.cmdline())]

    running = wait_until(labs, 60, "JupyterLab")
    os.kill(demo.pid, signal.SIGHUP)
    os.close(terminal)
    demo.wait(timeout=60)
    wait_until(lambda: not any(process.is_running() for process in running), 30, "the end of JupyterLab")


@pytest.mark.timeout(300)
def test_a_foreign_notebook_fault_is_told_and_exit_keeps_what_it_did_not_make(fresh: Lab) -> None:
    folder = fresh.home / "projects" / "nyc-flights"
    text = (folder / "himalia.toml").read_text()
    (folder / "himalia.toml").write_text(text.replace("[stages.train]", "[stages.train]\ncolour = 'red'"))
    done = subprocess.run([*HIMALIA, "demo", "--exit"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "there is no such key" in done.stderr
    assert "Traceback" not in done.stderr
    assert folder.is_dir()
    (folder / "himalia.toml").write_text(text)
    assert "the service is down" in done.stdout
    assert fresh.processes() == []
