"""The clock of a whole site is put forwards and back while runs, a kernel, a cluster and an endpoint live."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from himalia_server.service import lifecycle
from tests.site.lab import Lab, running_lab, write_project
from tests.site.test_thread_kernels import Session
from tests.soak.clock import Clock
from tests.soak.invariants import check
from tests.soak.kit import (
    CLUSTER,
    HIMALIA,
    NOTEBOOKS,
    SLUG,
    STAGES,
    Ledger,
    Workload,
    cluster_view,
    endpoint_state,
    furnish,
    predict,
    times,
    token,
)
from tests.waiting import wait_until

DAY = 86400.0
STARTER = (
    "from himalia_server.service import lifecycle; from himalia_server.service.site import Site;"
    "lifecycle.ensure_running(Site.open())"
)
LOGS = [
    "n = 1\nseconds = 0.5",
    """import mlflow, time
with mlflow.start_run():
    for step in range(int(seconds * 10)):
        mlflow.log_metric("step", step)
        time.sleep(0.1)""",
    "import pathlib\npathlib.Path('build/n.json').write_text(str(n))",
]
"""A stage that tracks ten times a second, so that it meets each moment of a change."""
COMPUTES = """import himalia, mlflow
with mlflow.start_run() as run:
    mlflow.log_metric("computed", himalia.client().submit(pow, 3, 3).result(60))
print(mlflow.get_run(run.info.run_id).data.metrics["computed"])"""


def start(lab: Lab, clock: Clock) -> None:
    """Start the service by that clock."""
    done = clock.run(sys.executable, "-c", STARTER)
    assert done.returncode == 0, done.stderr
    lab.found = lifecycle.find(lab.site)


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[Lab, Clock]]:
    """A site whose clock can be set."""
    with running_lab() as lab:
        lab.stop()
        try:
            clock = Clock(lab.root / "clock")
        except PermissionError as error:
            pytest.skip(str(error))
        start(lab, clock)
        furnish(lab)
        ours = {process.pid for process in psutil.Process().children(recursive=True)}
        others = [process for process in lab.processes() if process.pid not in ours]
        assert len(others) > 6
        # all of them go by it, also those in Python's isolated mode and those of other environments
        assert all("clock.so" in Path(f"/proc/{process.pid}/maps").read_text() for process in others)
        write_project(lab.root / "projects" / SLUG, SLUG, STAGES, NOTEBOOKS | {"make.ipynb": LOGS})
        yield lab, clock


@pytest.mark.timeout(1200)
def test_the_clock_goes_forwards_and_back(site: tuple[Lab, Clock]) -> None:
    lab, clock = site
    key, ledger = token(lab), Ledger()
    path = f"/projects/{SLUG}/deployments/soak/tokens"
    short = str(lab.post(path, {"label": "short", "days": 0.5})["token"])
    kernel = Session(f"himalia-{lab.site.id}-{SLUG}")
    work = Workload(lab, ledger)
    work.start(work.events, work.predictions, work.keys)
    pid, order = lab.get("/service")["pid"], list[str]()
    try:
        for days in [1, 40, 0, -1, 0] * times(1):
            run = lab.post(f"/projects/{SLUG}/runs", {"params": {"make": {"seconds": 6.0}}})["id"]
            order.append(run)
            where = f"/projects/{SLUG}/runs/{run}"
            wait_until(lambda: lab.get(where)["stages"][0]["cell"] >= 2, 60, "the stage's work")  # noqa: B023
            clock.put(days * DAY)
            told = kernel.run(COMPUTES)
            assert told.strip() == "27.0", (days, told)
            view = lab.wait_run(SLUG, run)
            assert view["status"] == "succeeded", (days, view)
            for stage in view["stages"]:
                assert stage["started_at"] <= stage["ended_at"], (days, stage)
            assert predict(lab, key).status_code == 200, days
            assert predict(lab, short).status_code == (200 if days < 0.5 else 401), days
            assert endpoint_state(lab) == "ready"
            cluster = f"/projects/{SLUG}/clusters/{CLUSTER}"
            assert lab.request("PATCH", cluster, json={"workers": 2}).status_code == 200
            wait_until(lambda: cluster_view(lab)["workers"] == 2, 60, f"a new worker on day {days}")
            assert lab.request("PATCH", cluster, json={"workers": 1}).status_code == 200
            done = clock.run(*HIMALIA, "status")
            assert done.returncode == 0, done.stderr
            order.append(lab.post(f"/projects/{SLUG}/runs")["id"])
            view = lab.wait_run(SLUG, order[-1])
            assert view["status"] == "succeeded", (days, view)
            assert abs(view["ended_at"] - time.time() - days * DAY) < 60, "the service goes by this clock"
        ledger.runs |= set(order)
    finally:
        work.stop()
        kernel.close()
    print(f"\n{ledger.summary()}")
    assert order == sorted(order), "ids sort by creation"
    listed = [run["id"] for run in lab.get(f"/projects/{SLUG}/runs", params={"limit": 50})["items"]]
    assert [run for run in reversed(listed) if run in order] == order
    assert lab.get("/service")["pid"] == pid, "the service went on"
    assert ledger.unanswered == 0
    assert not any("token" in sentence for sentence in ledger.refused), ledger.refused
    assert check(lab, ledger) == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("days", [2.0, 40.0])
def test_a_service_that_starts_in_the_past(site: tuple[Lab, Clock], days: float) -> None:
    """Ids go on behind those from the future; what was made there works: cluster, endpoint, tokens."""
    lab, clock = site
    clock.put(days * DAY)
    lab.request("DELETE", f"/projects/{SLUG}/clusters/{CLUSTER}", timeout=90)
    lab.post(f"/projects/{SLUG}/clusters", {"name": CLUSTER, "workers": 1, "memory_limit": "1GiB"})
    wait_until(lambda: cluster_view(lab)["workers"] == 1, 120, "the cluster")
    first = lab.post(f"/projects/{SLUG}/runs")["id"]
    lab.wait_run(SLUG, first)
    key = token(lab)
    for how in ("killed", "stopped"):
        if how == "killed":
            lab.kill_service()
        else:
            lab.stop()
        clock.put(0)
        start(lab, clock)
        lab.tracking_ready()
        wait_until(lambda: endpoint_state(lab) == "ready", 120, "the endpoint")
        wait_until(lambda: cluster_view(lab)["workers"] == 1, 120, "the cluster")
        assert predict(lab, key).status_code == 200
        second = lab.post(f"/projects/{SLUG}/runs")["id"]
        assert lab.wait_run(SLUG, second)["status"] == "succeeded"
        assert second > first
    assert check(lab, Ledger()) == []
