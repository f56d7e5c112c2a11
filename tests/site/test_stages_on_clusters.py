"""Stages on workers of a real Dask cluster of two: nothing shared, nothing lost, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Client, Security
from sqlalchemy import select

from himalia_server.service import tokens
from himalia_server.service.context import open_store
from himalia_server.store import Project, Token, now
from tests.site.lab import Lab, running_lab
from tests.site.runs import Json, begin, run, stage, statuses
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


def nothing_left(lab: Lab) -> None:
    """No process of a stage on a worker, and none of its folders."""

    def left() -> list[str]:
        found = [str(path) for path in lab.home.glob("clusters/*/scratch/**/himalia-stage-*")]
        return found + [" ".join(process.cmdline()) for process in lab.processes("himalia_kernels.on_worker")]

    wait_until(lambda: not left(), 30, "the end of what ran on workers")


def printed(lab: Lab, slug: str, run_id: str, name: str, word: str) -> str:
    """What a running stage printed after *word* on a line."""

    def found() -> str | None:
        text = lab.request("GET", f"/projects/{slug}/runs/{run_id}/stages/{name}/log").text
        return next((line.removeprefix(word) for line in text.splitlines() if line.startswith(word)), None)

    return wait_until(found, 120, f"{word!r} in the log of {name}")


def worker_of(lab: Lab, claimed: Any) -> psutil.Process:
    """The process of the worker that has claimed a stage."""
    port = int(claimed["address"].rpartition(":")[2])
    return next(
        one
        for one in lab.processes("_dask_main.py worker")
        if any(found.laddr.port == port and found.status == "LISTEN" for found in one.net_connections("tcp"))
    )


WHERE = "import os, json\nwhere = os.getcwd()"
MAKE = ["n = 3", "import json\njson.dump([n, n], open('build/made.json', 'w'))"]
WORK = [
    "factor = 2",
    WHERE,
    "import helper, himalia\nassert himalia.client().submit(sum, [1, 2]).result() == 3",
    "rows = json.load(open('build/made.json'))\nprint('data:', open('data.txt').read())",
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
    nothing_left(ready)
    ready.request("DELETE", f"/projects/apart/clusters/{CLUSTER}")


HOLD = [
    "go = ''",
    "import os, subprocess, sys, time\n"
    "other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3600)'], start_new_session=True)\n"
    "print('processes', os.getpid(), other.pid, flush=True)",
    "while not os.path.exists(go):\n    time.sleep(0.1)",
    "os.makedirs('build', exist_ok=True)\nopen('build/held.txt', 'w').write('held')",
]
MEET = [
    "mine, other, secret = '', '', ''",
    "import os, time\nopen(mine, 'w').close()\nwhile not os.path.exists(other):\n    time.sleep(0.1)",
    "print('sees', os.listdir(secret))",
]
SPREAD = [
    "x = 0",
    "import himalia, os, time\nclient = himalia.client()\n"
    "futures = client.map(lambda number: time.sleep(1), range(500), pure=False)\n"
    "print('submitted', os.getpid(), flush=True)",
    "client.gather(futures)",
]
FAR: dict[str, Json] = {
    "spread": {"notebook": "spread.ipynb", "cluster": CLUSTER},
    "hold": {
        "notebook": "hold.ipynb",
        "outputs": ["build/held.txt"],
        "cluster": CLUSTER,
        "retries": 1,
        "retry_delay": "1s",
    },
    "next": {"notebook": "next.ipynb", "cluster": CLUSTER},
    "fail": {"notebook": "fail.ipynb", "cluster": CLUSTER},
}


@pytest.fixture(scope="module")
def far(ready: Lab) -> Path:
    books = {
        "spread.ipynb": SPREAD,
        "hold.ipynb": HOLD,
        "next.ipynb": ["x = 1", "print(x)"],
        "fail.ipynb": ["x = 0", "a = 1", "a / x"],
    }
    folder = ready.project("far", FAR, books)
    workers(ready, "far", 1)
    return folder


def hold(lab: Lab, go: Path) -> tuple[str, list[psutil.Process]]:
    """Start a run whose stage goes on until the file *go* is there; its processes on the worker."""
    params = {"hold": {"go": str(go)}}
    run_id = begin(lab, "far", params=params, options={"only": ["hold"], "force": True})
    pids = printed(lab, "far", run_id, "hold", "processes ")
    return run_id, [psutil.Process(int(pid)) for pid in pids.split()]


def tasks(lab: Lab, slug: str) -> list[str]:
    """What the scheduler of the cluster still has to do, or keeps."""
    view = lab.get(f"/projects/{slug}/clusters/{CLUSTER}/connection")
    security = Security(
        require_encryption=True,
        tls_ca_file=view["ca_pem"],
        tls_client_cert=view["cert_pem"],
        tls_client_key=view["key_pem"],
    )
    with Client(view["address"], security=security, timeout=20, set_as_default=False) as client:
        found: list[str] = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))
    return found


def all_gone(processes: list[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)


def test_a_failing_cell_is_told_as_everywhere(ready: Lab, far: Path) -> None:
    failed = run(ready, "far", options={"only": ["fail"]})
    outcome = stage(failed, "fail")
    assert outcome["status"] == "failed", outcome
    assert "ZeroDivisionError" in outcome["error"]
    assert outcome["cell"] == 3
    book = ready.get(f"/projects/far/runs/{failed['id']}/stages/fail/notebook")
    assert book["cells"][-1]["outputs"][0]["ename"] == "ZeroDivisionError"
    nothing_left(ready)


def test_a_killed_worker_loses_the_attempt_and_the_next_one_succeeds(ready: Lab, far: Path, tmp_path: Path) -> None:
    run_id, processes = hold(ready, tmp_path / "go")
    first = claim(ready, run_id, "hold")
    os.kill(worker_of(ready, first).pid, signal.SIGKILL)
    wait_until(lambda: all_gone(processes), 30, "the end of what the worker ran")
    attempts = wait_until(
        lambda: ready.get(f"/projects/far/runs/{run_id}/stages/hold/attempts"), 60, "the end of the attempt"
    )
    assert [(one["number"], one["status"]) for one in attempts] == [(1, "lost")]
    assert f"The worker {first['worker']} of the cluster {CLUSTER} has ended" in attempts[0]["error"]
    assert attempts[0]["notebook"]
    assert attempts[0]["log"]
    (tmp_path / "go").touch()
    ended = stage(ready.wait_run("far", run_id), "hold")
    assert ended["status"] == "succeeded", ended
    assert (far / "build/held.txt").read_text() == "held"
    assert len(ready.get(f"/projects/far/runs/{run_id}/stages/hold/attempts")) == 1
    nothing_left(ready)


def test_a_cancelled_stage_leaves_nothing_on_its_worker(ready: Lab, far: Path, tmp_path: Path) -> None:
    run_id, processes = hold(ready, tmp_path / "go")
    ready.post(f"/projects/far/runs/{run_id}/cancel", status=200)
    ended = stage(ready.wait_run("far", run_id), "hold")
    assert ended["status"] == "cancelled", ended
    assert "cancelled by" in ended["error"]
    assert all_gone(processes)
    book = ready.get(f"/projects/far/runs/{run_id}/stages/hold/notebook")
    assert book["metadata"]["himalia"]["status"] == "cancelled"
    nothing_left(ready)
    wait_until(lambda: tasks(ready, "far") == [], 30, "the scheduler has forgotten it")


def test_what_a_cancelled_stage_had_the_cluster_do_is_not_done(ready: Lab, far: Path) -> None:
    run_id = begin(ready, "far", options={"only": ["spread"]})
    kernel = psutil.Process(int(printed(ready, "far", run_id, "spread", "submitted ")))
    assert len(tasks(ready, "far")) > 400
    ready.post(f"/projects/far/runs/{run_id}/cancel", status=200)
    assert statuses(ready.wait_run("far", run_id)) == {"spread": "cancelled"}
    assert all_gone([kernel])
    wait_until(lambda: tasks(ready, "far") == [], 60, "the scheduler has forgotten its futures")
    nothing_left(ready)


def test_a_stage_waits_for_a_slot_and_says_so(ready: Lab, far: Path, tmp_path: Path) -> None:
    run_id, _ = hold(ready, tmp_path / "go")
    second = begin(ready, "far", options={"only": ["next"], "force": True})

    def waits() -> bool:
        reason = stage(ready.get(f"/projects/far/runs/{second}"), "next")["reason"] or ""
        return f"waiting because the cluster {CLUSTER} has no free slot" in reason

    wait_until(waits, 60, "the reason")
    (tmp_path / "go").touch()
    assert statuses(ready.wait_run("far", run_id)) == {"hold": "succeeded"}
    ended = ready.wait_run("far", second)
    assert statuses(ended) == {"next": "succeeded"}
    assert "waiting" not in stage(ended, "next")["reason"]


def test_a_stage_goes_on_while_the_service_is_killed(ready: Lab, far: Path, tmp_path: Path) -> None:
    run_id, processes = hold(ready, tmp_path / "go")
    before = claim(ready, run_id, "hold")
    ready.kill_service()
    (tmp_path / "go").touch()
    # it ends while nobody listens; what it made is sent to the next service
    wait_until(lambda: all_gone(processes), 60, "the end of the notebook")
    ready.start()
    ended = stage(ready.wait_run("far", run_id), "hold")
    assert ended["status"] == "succeeded", ended
    assert ready.get(f"/projects/far/runs/{run_id}/stages/hold/attempts") == []
    assert f"on {before['worker']} of the cluster" in ended["reason"]
    nothing_left(ready)


def test_a_stage_whose_token_is_renewed_goes_on_with_the_new_one(ready: Lab, far: Path, tmp_path: Path) -> None:
    """As it is with a stage that runs for longer than half a day."""
    run_id, _ = hold(ready, tmp_path / "go")
    file = ready.home / "tokens" / f"stage-{run_id}-hold"
    first = file.read_text()
    with closing(open_store(ready.site, ready.site.settings())) as database:
        with database.write() as session:
            session.scalars(select(Token).where(Token.run_id == run_id)).one().expires_at = now() + 3600
        # a service that starts looks what is due
        ready.kill_service()
        ready.start()
        second = wait_until(lambda: (text := file.read_text()) != first and text, 60, "the renewal")

        def on_the_worker() -> list[str]:
            return [path.read_text() for path in ready.home.glob("clusters/*/scratch/**/himalia-stage-*/token")]

        wait_until(lambda: on_the_worker() == [second], 60, "the new token on the worker")
        with database.write() as session:
            old = session.scalars(select(Token).where(Token.run_id == run_id).order_by(Token.id)).first()
            assert old is not None
            tokens.revoke(session, old)
    (tmp_path / "go").touch()
    ended = stage(ready.wait_run("far", run_id), "hold")
    assert (ended["status"], ended["attempts"]) == ("succeeded", 1), ended
    nothing_left(ready)


def test_a_cluster_without_workers_is_refused(ready: Lab, far: Path) -> None:
    reply = ready.request("PATCH", f"/projects/far/clusters/{CLUSTER}", json={"workers": 0})
    assert reply.status_code == 200, reply.text
    refused = ready.request("POST", "/projects/far/runs", json={"options": {"only": ["next"], "force": True}})
    assert refused.status_code == 422, refused.text
    assert "has no worker" in refused.json()["detail"]
    assert f"himalia cluster scale {CLUSTER}" in refused.json()["hint"]
    ready.request("DELETE", f"/projects/far/clusters/{CLUSTER}")


# a worker, and all that it starts, sees folders of its own in the place of the project's and the service's
APART = """#!/bin/sh
if [ "$2" = worker ] && [ -z "$APART" ]; then
    export APART=$$
    exec unshare --mount --propagation private "$0" "$@"
fi
if [ "$2" = worker ]; then
    for folder in {folders}; do mount -t tmpfs none "$folder" || exit 9; done
    echo > {project}/only-$APART
fi
exec {python} "$@"
"""


@pytest.mark.skipif(
    subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0,
    reason="folders of their own for workers need the right to mount",
)
def test_two_workers_that_see_different_folders_run_two_stages_at_once(ready: Lab, tmp_path: Path) -> None:
    here = {name: str(tmp_path / name) for name in "ab"}
    table = {"notebook": "meet.ipynb", "cluster": CLUSTER}
    stages: dict[str, Json] = {name: dict(table) for name in "ab"}
    folder = ready.project("hidden", stages, {"meet.ipynb": MEET})
    hidden = [folder, ready.home / "runs", ready.home / "content"]
    wrapper = ready.root / "apart"
    wrapper.write_text(APART.format(folders=" ".join(map(str, hidden)), project=folder, python=sys.executable), "utf-8")
    wrapper.chmod(0o700)
    database = open_store(ready.site, ready.site.settings())
    with database.write() as session:
        session.scalars(select(Project).where(Project.slug == "hidden")).one().python = str(wrapper)
    database.close()
    workers(ready, "hidden", 2)
    params = {
        "a": {"mine": here["a"], "other": here["b"], "secret": str(folder)},
        "b": {"mine": here["b"], "other": here["a"], "secret": str(folder)},
    }
    ended = run(ready, "hidden", params=params)
    assert statuses(ended) == {"a": "succeeded", "b": "succeeded"}, json.dumps(ended, indent=1)
    sees = [printed(ready, "hidden", ended["id"], name, "sees ") for name in "ab"]
    assert all(text.startswith("['only-") and text.count(",") == 0 for text in sees), sees
    assert sees[0] != sees[1]
    nothing_left(ready)
