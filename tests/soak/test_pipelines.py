"""Pipelines while everything under them is killed: what runs is adopted or ended honestly, and nothing is left."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from himalia_server.service.context import open_store
from himalia_server.store import Lease
from tests.site.lab import Lab, running_lab
from tests.soak.kit import times
from tests.waiting import wait_until

SEED = int(os.environ.get("HIMALIA_SOAK_SEED") or time.time())
WIDTH = 10
SLEEP = [
    "number = 0",
    "import time\nfor turn in range(20):\n    time.sleep(0.1)\n    print(turn)",
    "open(f'build/{number}', 'w').write(str(number))",
]
ADD = ["x = 1", f"open('build/sum', 'w').write(str(sum(int(open(f'build/{{n}}').read()) for n in range({WIDTH}))))"]


@pytest.fixture
def lab() -> Iterator[Lab]:
    def prepare(lab: Lab) -> None:
        lab.home.mkdir(mode=0o700, exist_ok=True)
        (lab.home / "settings.toml").write_text(f"[pipelines]\nstages = {WIDTH}\n")

    with running_lab(prepare) as made:
        made.tracking_ready()
        yield made


def wide(lab: Lab) -> Path:
    stages: dict[str, dict[str, Any]] = {
        f"s{number}": {
            "notebook": "sleep.ipynb",
            "params": {"number": number},
            "outputs": [f"build/{number}"],
            "cache": "never",
            "retries": 2,
            "retry_delay": "1s",
        }
        for number in range(WIDTH)
    }
    stages["add"] = {
        "notebook": "add.ipynb",
        "inputs": [f"build/{number}" for number in range(WIDTH)],
        "outputs": ["build/sum"],
        "cache": "never",
    }
    return lab.project("wide", stages, {"sleep.ipynb": SLEEP, "add.ipynb": ADD})


def running(lab: Lab, run_id: str) -> int:
    view = lab.get(f"/projects/wide/runs/{run_id}")
    return sum(stage["status"] == "running" for stage in view["stages"])


@pytest.mark.timeout(3600)
def test_a_service_that_is_killed_while_ten_stages_run_adopts_them(lab: Lab) -> None:
    chance = random.Random(SEED)
    print("seed", SEED)
    folder = wide(lab)
    for turn in range(times(20)):
        (folder / "build/sum").unlink(missing_ok=True)
        run_id = lab.post("/projects/wide/runs")["id"]
        wanted = chance.randint(1, WIDTH)
        wait_until(lambda run_id=run_id, wanted=wanted: running(lab, run_id) >= wanted, 120, "stages that run")
        for _ in range(chance.randint(1, 3)):
            time.sleep(chance.uniform(0, 1.0))
            lab.kill_service()
            time.sleep(chance.uniform(0, 2.0))
            lab.start()
        view = lab.wait_run("wide", run_id, 300)
        assert view["status"] == "succeeded", (turn, view)
        assert (folder / "build/sum").read_text() == str(sum(range(WIDTH)))
        left = [child["name"] for child in lab.get("/service")["children"] if child["name"].startswith("stage-")]
        assert not left
        # removed after the run's end is told, as the store must know it first
        wait_until(lambda: not list((lab.home / "runs").iterdir()), 30, "the end of the working folders")
    database = open_store(lab.site, lab.site.settings())
    with database.read() as session:
        assert not list(session.scalars(select(Lease)))
    database.close()
    assert lab.get("/audit/check")["whole"] is True
