"""Each process that the service starts, SIGKILLed as it starts, when it is ready, at work and as it stops."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable

import psutil
import pytest

from tests.site.lab import Lab
from tests.soak.invariants import check
from tests.soak.kit import (
    CLUSTER,
    SLUG,
    Ledger,
    Workload,
    cluster_view,
    descendants,
    endpoint_state,
    kill,
    predict,
    times,
    token,
)
from tests.waiting import wait_until


def part(lab: Lab, child: str, word: str, of: str = "process") -> Callable[[], psutil.Process | None]:
    """A finder of one process below a child: the first that has *word* in its command."""

    def find() -> psutil.Process | None:
        names = [c["name"] for c in lab.get("/service")["children"] if c["name"].startswith(child)]
        for name in names:
            if of == "supervisor":
                for process in lab.processes():
                    with contextlib.suppress(psutil.NoSuchProcess):
                        if process.cmdline()[-1:] == [str(lab.home / "children" / name)]:
                            return process
            for process in descendants(lab, name):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if word in " ".join(process.cmdline()):
                        return process
        return None

    return find


PARTS = {
    "mlflow": ("mlflow", "_serve.py"),
    "cluster holder": ("cluster-", "clusters.holder"),
    "scheduler": ("cluster-", "scheduler"),
    "worker": ("cluster-", "worker"),
    "gateway parent": ("gateway", "himalia_server.gateway"),
    "gateway worker": ("gateway", "gateway.worker"),
    "replica": ("gateway", "replica.py"),
    "mlflow's supervisor": ("mlflow", "", "supervisor"),
    "the cluster's supervisor": ("cluster-", "", "supervisor"),
    "the gateway's supervisor": ("gateway", "", "supervisor"),
}


def is_well(lab: Lab) -> None:
    """Everything is ready again."""
    lab.tracking_ready()
    wait_until(lambda: cluster_view(lab)["state"] == "running" and cluster_view(lab)["workers"] == 1, 120, "cluster")
    wait_until(lambda: endpoint_state(lab) == "ready", 120, "the endpoint")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("which", PARTS)
def test_a_part_that_lives_on_is_killed(lab: Lab, which: str) -> None:
    """When ready, at work, and twice as it starts again; all is well by itself afterwards."""
    find, ledger = part(lab, *PARTS[which]), Ledger()
    is_well(lab)
    work = Workload(lab, ledger)
    for _ in range(times(1)):
        kill(wait_until(find, 60, which).pid)  # ready
        kill(wait_until(find, 60, which).pid)  # as it starts
        time.sleep(0.5)
        kill(wait_until(find, 60, which).pid)
        is_well(lab)
        if not work._threads:
            work.start(work.runs, work.events, work.predictions)
        seen = ledger.answered
        wait_until(lambda: ledger.answered > seen + 5 and ledger.runs, 60, "work")  # noqa: B023
        kill(wait_until(find, 60, which).pid)  # at work
        time.sleep(3)
    work.stop()
    print(f"\n{which}: {ledger.summary()}")
    assert check(lab, ledger) == []
    run = lab.wait_run(SLUG, lab.post(f"/projects/{SLUG}/runs")["id"])
    assert run["status"] == "succeeded", run


STAGE_PARTS = {
    "runner": ("stage-", "himalia_kernels.stage"),
    "kernel": ("stage-", "kernel_main"),
    "supervisor": ("stage-", "", "supervisor"),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("which", STAGE_PARTS)
@pytest.mark.parametrize("moment", ["starting", "at work", "stopping"])
def test_a_part_of_a_stage_is_killed(lab: Lab, which: str, moment: str) -> None:
    find, ledger = part(lab, *STAGE_PARTS[which]), Ledger()
    for _ in range(times(1)):
        run = lab.post(f"/projects/{SLUG}/runs", {"params": {"make": {"seconds": 20.0}}})["id"]
        ledger.runs.add(run)
        where = f"/projects/{SLUG}/runs/{run}"
        if moment != "starting":
            wait_until(lambda: lab.get(where)["stages"][0]["cell"] >= 2, 60, "the stage's work")  # noqa: B023
        process = wait_until(find, 60, which)
        if moment == "stopping":
            threading.Thread(target=lab.request, args=("POST", f"{where}/cancel"), daemon=True).start()
            time.sleep(0.1)
        kill(process.pid)
        if moment != "stopping":
            # it is tried once more, as the manifest says; that one is cancelled
            wait_until(lambda: lab.get(where)["stages"][0]["status"] == "running" and find(), 60, "the retry")  # noqa: B023
            assert lab.request("POST", f"{where}/cancel").status_code == 200
        view = lab.wait_run(SLUG, run)
        assert view["status"] == "cancelled", view
        assert view["stages"][0]["error"]
    assert check(lab, ledger) == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("which", ["runner", "kernel", "supervisor"])
def test_a_part_of_a_stage_hangs_and_the_run_can_be_cancelled(lab: Lab, which: str) -> None:
    find, ledger = part(lab, *STAGE_PARTS[which]), Ledger()
    run = lab.post(f"/projects/{SLUG}/runs", {"params": {"make": {"seconds": 60.0}}})["id"]
    ledger.runs.add(run)
    where = f"/projects/{SLUG}/runs/{run}"
    wait_until(lambda: lab.get(where)["stages"][0]["cell"] >= 2, 60, "the stage's work")
    os.kill(wait_until(find, 60, which).pid, signal.SIGSTOP)
    assert lab.request("POST", f"{where}/cancel", timeout=90).status_code == 200
    assert lab.wait_run(SLUG, run)["status"] == "cancelled"
    assert check(lab, ledger) == []


@pytest.mark.timeout(900)
@pytest.mark.parametrize("which", ["mlflow", "gateway worker", "replica", "scheduler", "worker", "cluster holder"])
def test_a_part_that_hangs(lab: Lab, which: str) -> None:
    """What does nothing that takes long is started again; what may only be busy is told of, and can be stopped."""
    find, ledger = part(lab, *PARTS[which]), Ledger()
    is_well(lab)
    key = token(lab)
    process = wait_until(find, 60, which)
    os.kill(process.pid, signal.SIGSTOP)
    if which == "cluster holder":
        wait_until(lambda: not process.is_running() or process.status() == "zombie", 300, "a new holder")
    elif which in ("scheduler", "worker"):
        if which == "scheduler":
            wait_until(lambda: "has not answered" in str(cluster_view(lab)["error"]), 120, "that it is told")
        assert lab.request("DELETE", f"/projects/{SLUG}/clusters/{CLUSTER}", timeout=90).status_code == 204
        lab.post(f"/projects/{SLUG}/clusters", {"name": CLUSTER, "workers": 1, "memory_limit": "1GiB"})
    elif which == "mlflow":
        wait_until(lambda: not process.is_running() or process.status() == "zombie", 300, "a new MLflow")
    else:
        wait_until(lambda: answers(lab, key), 180, "an answer of the endpoint")
    is_well(lab)
    assert check(lab, ledger) == []


def answers(lab: Lab, key: str) -> bool:
    try:
        return predict(lab, key).status_code == 200
    except OSError:
        return False
    except Exception as error:
        if "Timeout" in type(error).__name__ or "Protocol" in type(error).__name__:
            return False
        raise


@pytest.mark.timeout(600)
@pytest.mark.parametrize("which", ["gateway parent", "cluster holder", "mlflow"])
def test_a_part_is_killed_while_the_service_stops_it(lab: Lab, which: str) -> None:
    """`himalia down` goes to its end, and nothing stays."""
    find = part(lab, *PARTS[which])
    process = wait_until(find, 60, which)
    found = lab.found
    assert found is not None
    stopper = threading.Thread(target=lab.stop)
    stopper.start()
    time.sleep(0.2)
    kill(process.pid)
    stopper.join(120)
    assert not stopper.is_alive()
    assert not found.identity.alive()
    ours = {process.pid for process in psutil.Process().children(recursive=True)}
    wait_until(lambda: [p for p in lab.processes() if p.pid not in ours] == [], 20, "the end of all processes")
    lab.start()
    is_well(lab)
    assert check(lab, Ledger()) == []
