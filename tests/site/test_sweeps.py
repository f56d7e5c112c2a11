"""Sweeps of many points: whole whenever the service is killed, few of them driven at a time, ended together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.site.lab import Lab, running_lab
from tests.waiting import wait_until

POINTS = 16
LONG = ["wait: float = 0.0", "import time; time.sleep(wait)"]
ENDED = ("succeeded", "failed", "cancelled", "timed_out")


@pytest.fixture(scope="module")
def own() -> Iterator[Lab]:
    """A site that is killed."""
    with running_lab() as made:
        made.tracking_ready()
        made.project(
            "many",
            {
                "data": {"notebook": "data.ipynb", "outputs": ["build/n.json"]},
                "fit": {"notebook": "fit.ipynb", "inputs": ["build/n.json"], "params": {"depth": 1}},
                "long": {"notebook": "long.ipynb", "params": {"wait": 0.0}},
            },
            {
                "data.ipynb": ["x = 1", "open('build/n.json', 'w').write('1')"],
                "fit.ipynb": ["depth: int = 1", "depth * 2"],
                "long.ipynb": LONG,
            },
        )
        yield made


def counts(lab: Lab, sweep: str) -> Counter[str]:
    return Counter(run["status"] for run in lab.get(f"/projects/many/sweeps/{sweep}")["runs"])


def test_a_sweep_is_whole_when_the_service_is_killed(own: Lab) -> None:
    grid = {"fit": {"depth": list(range(POINTS))}}
    sweep: dict[str, Any] = own.post("/projects/many/sweeps", {"grid": grid, "options": {"to": ["fit"]}})
    own.kill_service()
    own.start()
    assert sum(counts(own, sweep["id"]).values()) == POINTS
    wait_until(lambda: counts(own, sweep["id"]) == {"succeeded": POINTS}, 240, "all points")
    view = own.get(f"/projects/many/sweeps/{sweep['id']}")
    assert [point["fit"]["depth"] for point in view["points"]] == list(range(POINTS))
    ran = [run["id"] for run in view["runs"] if run["stages"][0]["status"] == "succeeded"]
    assert len(ran) == 1, "the stage that all points share ran once"


def test_points_that_have_not_begun_wait_and_are_cancelled(own: Lab) -> None:
    grid = {"long": {"wait": [300.0 + number for number in range(POINTS)]}}
    sweep = own.post("/projects/many/sweeps", {"grid": grid, "options": {"only": ["long"]}})
    address = f"/projects/many/sweeps/{sweep['id']}"

    def running() -> int:
        stages = [run["stages"][0] for run in own.get(address)["runs"]]
        return sum(stage["status"] == "running" for stage in stages)

    wait_until(running, 60, "a point that runs")
    runs = own.get(address)["runs"]
    assert 0 < sum(run["status"] == "running" for run in runs) < POINTS
    last = runs[-1]
    assert last["status"] == "pending"
    assert last["stages"][0]["reason"] == "waiting because other runs of this sweep go on"
    # a run of somebody else's is not behind them in that queue
    other = own.post("/projects/many/runs", {"options": {"only": ["data"]}})
    wait_until(lambda: own.get(f"/projects/many/runs/{other['id']}")["status"] != "pending", 30, "its beginning")
    for run in reversed(runs):
        own.post(f"/projects/many/runs/{run['id']}/cancel", status=200)
    wait_until(lambda: counts(own, sweep["id"]) == {"cancelled": POINTS}, 120, "the end of all")
    ended = own.wait_run("many", other["id"], 60)
    assert ended["status"] == "succeeded"


def test_a_project_that_is_deleted_takes_a_sweep_along(own: Lab) -> None:
    grid = {"long": {"wait": [300.0 + number for number in range(POINTS)]}}
    own.project("gone", {"long": {"notebook": "long.ipynb", "params": {"wait": 0.0}}}, {"long.ipynb": LONG})
    sweep = own.post("/projects/gone/sweeps", {"grid": grid})
    address = f"/projects/gone/sweeps/{sweep['id']}"
    wait_until(lambda: any(run["status"] == "running" for run in own.get(address)["runs"]), 60, "a point that runs")
    reply = own.request("DELETE", "/projects/gone?purge=true&remove_files=true")
    assert reply.status_code == 204, reply.text
    assert not own.processes("himalia_kernels.stage")
    assert not list((own.home / "runs").iterdir())
    assert "run ended by a fault" not in own.site.log("service").read_text()
