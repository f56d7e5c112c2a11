"""The table of faults: what becomes of a run whose stages end by the worst that there is. Nothing may be stuck then.

The same faults here and on the workers of a cluster. Two runs of the same key at once, and a kernel that is tried
again, are in test_pipelines; the death of a Dask worker is in test_stages_on_clusters; the service that dies many times
in tests/soak.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from himalia_server.service.context import open_store
from himalia_server.store import Lease
from tests.site.lab import Lab, running_lab
from tests.site.runs import stage
from tests.waiting import wait_until

Json = dict[str, Any]
SIDE_BY_SIDE = 4
MEMORY = "900 MiB"
WAIT = "import os, time\nwhile not os.path.exists(flag): time.sleep(0.05)"


@dataclass(frozen=True)
class Fault:
    """What a cell does, and what is to come of its stage. *says*: words of its error and its hint."""

    code: str
    status: str
    says: tuple[str, ...] = ()
    error_name: str | None = None
    table: Json = field(default_factory=dict)


FAULTS = {
    "killed": Fault(
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "kernel_died", ("SIGKILL",), "KernelDied"
    ),
    "slow": Fault(
        "import time\ntime.sleep(600)",
        "timed_out",
        ("The cell reached its time limit of 2 s",),
        None,
        {"cell_timeout": "2s"},
    ),
    "exit0": Fault("import sys\nsys.exit(0)", "succeeded"),
    "exit1": Fault("import sys\nsys.exit(1)", "failed", ("sys.exit(1)",), "SystemExit"),
    "vanished": Fault("import os\nos._exit(3)", "kernel_died", ("exit status 3",), "KernelDied"),
    "flood": Fault("for _ in range(200):\n    print('x' * 1_000_000)", "succeeded"),
    "greedy": Fault("x = b'x' * 3_000_000_000", "kernel_died or failed", ("memory",)),
    "children": Fault(
        "import subprocess\nsubprocess.Popen(['sleep', '4711'], start_new_session=True)\n1 / 0",
        "failed",
        ("ZeroDivisionError",),
        "ZeroDivisionError",
    ),
}
NOTEBOOK_CAP = 10_000_000


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    def prepare(made: Lab) -> None:
        made.home.mkdir(mode=0o700, exist_ok=True)
        (made.home / "settings.toml").write_text(f"[pipelines]\nstages = {SIDE_BY_SIDE}\n")

    with running_lab(prepare) as made:
        made.tracking_ready()
        yield made


@pytest.fixture(scope="module", params=["faults", "far-faults"])
def ended(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Json]:
    """All of them in one run, as many side by side as there are slots: here, or on two workers."""
    slug = str(request.param)
    place = {"cluster": "c"} if slug == "far-faults" else {}
    stages = {name: {"notebook": f"{name}.ipynb", **fault.table, **place} for name, fault in FAULTS.items()}
    cells = {
        f"{name}.ipynb": ["n = 1", "print('before')", fault.code, "print('after')"] for name, fault in FAULTS.items()
    }
    folder = lab.project(slug, stages, cells)
    manifest = folder / "himalia.toml"
    manifest.write_text(manifest.read_text() + f'[kernel]\nmemory = "{MEMORY}"\n')
    if place:
        lab.post(f"/projects/{slug}/clusters", {"name": "c", "workers": 2})
        wait_until(lambda: lab.get(f"/projects/{slug}/clusters/c")["workers"] == 2, 120, "two workers")
    run_id = lab.post(f"/projects/{slug}/runs", {"options": {"keep_going": True}})["id"]
    yield lab.wait_run(slug, run_id, 240)
    if place:
        assert lab.request("DELETE", f"/projects/{slug}/clusters/c").is_success


def nothing_is_left(lab: Lab) -> None:
    """No process, folder or slot of a run that has ended."""
    wait_until(lambda: not list((lab.home / "runs").iterdir()), 20, "the end of the working folders")
    assert not [child["name"] for child in lab.get("/service")["children"] if child["name"].startswith("stage-")]
    assert not lab.processes("himalia_kernels.stage")
    assert not lab.processes("himalia_kernels.on_")
    assert not list(lab.home.glob("clusters/*/scratch/**/himalia-stage-*"))
    assert not lab.processes("4711")
    with closing(open_store(lab.site, lab.site.settings())) as database, database.read() as session:
        assert not list(session.scalars(select(Lease)))
    assert not list(lab.site.runtime.glob("s????????-*"))


@pytest.mark.parametrize("name", FAULTS)
def test_the_status_is_honest(lab: Lab, ended: Json, name: str) -> None:
    fault, found = FAULTS[name], stage(ended, name)
    assert found["status"] in fault.status.split(" or "), found
    text = f"{found['error']} {found['hint']}"
    assert [words for words in fault.says if words not in text] == [], text
    if fault.error_name is not None:
        assert found["error_name"] == fault.error_name
    assert found["notebook"] is True
    reply = lab.request("GET", f"/projects/{ended['project']}/runs/{ended['id']}/stages/{name}/notebook")
    cells = reply.json()["cells"]
    assert "before" in str(cells[1]["outputs"])
    states = [cell["metadata"]["himalia"]["status"] for cell in cells if "himalia" in cell["metadata"]]
    if fault.status != "succeeded":
        assert (found["failed_cell"], states[-1]) == (2, "not_run"), (found, states)
    if name == "flood":
        assert "after" in str(cells[3]["outputs"])
        assert len(reply.content) < NOTEBOOK_CAP
    if name == "greedy":
        # killed in a control group, refused by the limit of the process otherwise: told apart from any other end
        assert found["error_name"] in ("KernelDied", "MemoryError")
        assert MEMORY.split()[0] in found["hint"]


def test_nothing_is_stuck_after_it(lab: Lab, ended: Json) -> None:
    assert ended["status"] == "failed"
    assert "exit0" not in ended["reason"]
    nothing_is_left(lab)
    again = lab.post(f"/projects/{ended['project']}/runs", {"options": {"only": ["exit0"], "force": True}})
    assert lab.wait_run(ended["project"], again["id"])["status"] == "succeeded"
    nothing_is_left(lab)


def waiting(lab: Lab, slug: str, names: str) -> tuple[Path, Path]:
    """A project whose stages wait for a file outside of it: its folder, and that file."""
    flag = lab.root / f"{slug}.go"
    stages: dict[str, Json] = {
        name: {"notebook": f"{name}.ipynb", "params": {"flag": str(flag)}, "outputs": [f"build/{name}"]}
        for name in names
    }
    write = {f"{name}.ipynb": ["flag = ''", WAIT, f"open('build/{name}', 'w').write('made')"] for name in names}
    return lab.project(slug, stages, write), flag


def wait_for_cells(lab: Lab, slug: str, run_id: str, count: int) -> None:
    def inside() -> bool:
        stages = lab.get(f"/projects/{slug}/runs/{run_id}")["stages"]
        return sum(entry["status"] == "running" and entry["cell"] >= 2 for entry in stages) == count

    wait_until(inside, 120, f"{count} stages in their second cells")


def test_a_notebook_that_is_deleted_or_no_notebook(lab: Lab) -> None:
    folder, flag = waiting(lab, "deleted", "a")
    run_id = lab.post("/projects/deleted/runs")["id"]
    wait_for_cells(lab, "deleted", run_id, 1)
    (folder / "a.ipynb").unlink()
    flag.touch()
    found = lab.wait_run("deleted", run_id)
    assert (found["status"], (folder / "build/a").read_text()) == ("succeeded", "made"), found
    refused = lab.request("POST", "/projects/deleted/runs", json={})
    assert (refused.status_code, "a.ipynb does not exist" in refused.text) == (422, True), refused.text
    (folder / "a.ipynb").write_text('{"cells": [')
    refused = lab.request("POST", "/projects/deleted/runs", json={})
    assert (refused.status_code, "Stage 'a'" in refused.text) == (422, True), refused.text
    assert refused.json()["field"] == "stages.a.notebook"
    assert len(lab.get("/projects/deleted/runs")["items"]) == 1
    nothing_is_left(lab)


def test_a_service_that_is_killed_adopts_four_running_stages(lab: Lab) -> None:
    folder, flag = waiting(lab, "adopted", "abcd")
    run_id = lab.post("/projects/adopted/runs")["id"]
    wait_for_cells(lab, "adopted", run_id, 4)
    before = sorted(process.pid for process in lab.processes("himalia_kernels.stage"))
    assert len(before) == 4
    lab.kill_service()
    lab.start()
    assert sorted(process.pid for process in lab.processes("himalia_kernels.stage")) == before
    flag.touch()
    found = lab.wait_run("adopted", run_id)
    assert {(entry["status"], entry["attempts"]) for entry in found["stages"]} == {("succeeded", 1)}, found
    assert sorted(path.read_text() for path in (folder / "build").iterdir()) == ["made"] * 4
    nothing_is_left(lab)


@contextmanager
def small(folder: Path, spare: int) -> Iterator[None]:
    """A disk in place of *folder*, with what is in it and *spare* bytes."""
    aside = folder.with_name(f"{folder.name}.aside")
    shutil.copytree(folder, aside)
    # whole pages, and one for each name
    bytes_ = spare + sum(path.stat().st_size + 8192 for path in aside.rglob("*"))
    command = ["mount", "-t", "tmpfs", "-o", f"size={bytes_},mode=700", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        shutil.rmtree(aside)
        pytest.skip("mounting a small disk needs root")
    try:
        shutil.copytree(aside, folder, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        shutil.rmtree(aside)


@pytest.mark.parametrize("place", ["runs", "content"])
def test_a_disk_that_is_full(lab: Lab, place: str) -> None:
    """While a cell writes an output (where stages work), and while it is kept (the content store)."""
    slug = f"full-{place}"
    # another content each time: what the store has already takes no room
    write = ["megabytes = 40", f"open('build/big', 'w').write({place[0]!r} * (megabytes << 20))"]
    folder = lab.project(slug, {"big": {"notebook": "big.ipynb", "outputs": ["build/big"]}}, {"big.ipynb": write})
    with small(lab.home / place, 16 << 20):
        run_id = lab.post(f"/projects/{slug}/runs")["id"]
        found = lab.wait_run(slug, run_id)
        assert found["status"] == "failed", found
        text = f"{found['reason']} {stage(found, 'big')}".lower()
        assert "no space left" in text or "disk is full" in text, text
        assert not (folder / "build").exists() or not list((folder / "build").iterdir())
        nothing_is_left(lab)
        less = lab.post(f"/projects/{slug}/runs", {"params": {"big": {"megabytes": 1}}})
        assert lab.wait_run(slug, less["id"])["status"] == "succeeded"
    again = lab.post(f"/projects/{slug}/runs")
    assert lab.wait_run(slug, again["id"])["status"] == "succeeded"
    assert (folder / "build/big").stat().st_size == 40 << 20
