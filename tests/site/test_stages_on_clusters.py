"""Stages on workers of a real Dask cluster of two: nothing shared, nothing lost, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.site.lab import Lab, running_lab
from tests.site.test_pipelines import Json, begin, run, stage, statuses
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(400)
CLUSTER = "cloud"


@pytest.fixture(scope="module")
def ready() -> Iterator[Lab]:
    with running_lab() as lab:
        lab.tracking_ready()
        yield lab


def workers(lab: Lab, slug: str, wanted: int) -> None:
    """Have a cluster of so many workers, of one thread each."""
    lab.post(f"/projects/{slug}/clusters", {"name": CLUSTER, "workers": wanted})
    wait_until(lambda: lab.get(f"/projects/{slug}/clusters/{CLUSTER}")["workers"] == wanted, 120, f"{wanted} workers")


def claim(lab: Lab, run_id: str, name: str) -> Any:
    """Who runs a stage."""

    def claimed() -> Any:
        path = lab.home / "runs" / run_id / name / "claim.json"
        return json.loads(path.read_text()) if path.exists() else None

    return wait_until(claimed, 120, f"a worker for {name}")


def of_stage(lab: Lab, word: str) -> list[psutil.Process]:
    return [process for process in lab.processes() if word in " ".join(process.cmdline())]


WHERE = "import os, json\nwhere = os.getcwd()"
MAKE = ["n = 3", "import json\njson.dump([n, n], open('build/made.json', 'w'))"]
WORK = [
    "factor = 2",
    WHERE,
    "import helper\nrows = json.load(open('build/made.json'))\nprint('data:', open('data.txt').read())",
    "os.makedirs('build/parts/deep')\nopen('build/parts/deep/a', 'w').write('same')\n"
    "open('build/parts/b', 'w').write('same')\n"
    "json.dump(helper.total(rows) * factor, open('build/worked.json', 'w'))\nprint('ran in', where)",
]
SUM = ["x = 0", "import json\njson.dump(json.load(open('build/worked.json')) + 1, open('build/sum.json', 'w'))"]
STAGES: dict[str, Json] = {
    "make": {"notebook": "make.ipynb", "outputs": ["build/made.json"]},
    "work": {
        "notebook": "work.ipynb",
        "inputs": ["build/made.json", "data.txt"],
        "outputs": ["build/worked.json", "build/parts"],
        "cluster": CLUSTER,
    },
    "sum": {"notebook": "sum.ipynb", "inputs": ["build/worked.json", "build/parts"], "outputs": ["build/sum.json"]},
}


def test_a_stage_between_two_others_runs_on_a_worker(ready: Lab) -> None:
    books = {"make.ipynb": MAKE, "work.ipynb": WORK, "sum.ipynb": SUM}
    folder = ready.project("apart", STAGES, books)
    (folder / "data.txt").write_text("of the project")
    (folder / "src").mkdir()
    (folder / "src" / "helper.py").write_text("def total(rows):\n    return sum(rows)\n")
    refused = ready.request("POST", "/projects/apart/runs", json={})
    assert refused.status_code == 422, refused.text
    assert "which does not run" in refused.text
    assert f"himalia cluster start {CLUSTER}" in refused.text
    workers(ready, "apart", 2)
    first = run(ready, "apart")
    assert set(statuses(first).values()) == {"succeeded"}, json.dumps(first, indent=1)
    assert json.loads((folder / "build/sum.json").read_text()) == 13
    assert (folder / "build/parts/deep/a").read_text() == (folder / "build/parts/b").read_text() == "same"
    assert f"of the cluster {CLUSTER}" in stage(first, "work")["reason"]
    log = ready.request("GET", f"/projects/apart/runs/{first['id']}/stages/work/log").text
    assert "data: of the project" in log
    where = next(line.removeprefix("ran in ") for line in log.splitlines() if line.startswith("ran in "))
    # neither the project's folder nor the run's: the worker's own, and gone by now
    assert str(folder) not in where
    assert "/runs/" not in where
    assert "himalia-stage-" in where
    assert not Path(where).exists()
    again = run(ready, "apart")
    assert set(statuses(again).values()) == {"skipped"}
    forced = run(ready, "apart", options={"force": True})
    assert stage(forced, "work")["outputs"] == stage(first, "work")["outputs"]
    assert of_stage(ready, "on_worker") == []
