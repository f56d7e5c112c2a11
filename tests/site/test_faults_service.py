"""Faults of the ground the service stands on, in their short form; the long one is tests/soak."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from himalia_server.cli.api import Api
from himalia_server.cli.output import Failure
from himalia_server.service import lifecycle
from tests.site.lab import Lab, running_lab
from tests.soak.invariants import check
from tests.soak.kit import SLUG, Ledger, Workload, himalia, kill, no_space, service_processes, small_disk
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def fresh() -> Iterator[Lab]:
    """A site of its own, with a project and nothing that runs."""
    with running_lab() as made:
        made.project(SLUG, {}, {})
        yield made


def test_a_service_that_is_killed_again_and_again_loses_nothing(fresh: Lab) -> None:
    """As it works, as it starts, as it stops."""
    ledger, chance = Ledger(), random.Random(4)
    work = Workload(fresh, ledger)
    work.start(work.projects, work.events)
    for how in ("working", "starting", "stopping", "working"):
        many = len(ledger.projects)
        wait_until(lambda: len(ledger.projects) > many, 60, "a request that is acknowledged")  # noqa: B023
        found = service_processes(fresh.site)
        if how == "stopping":
            os.kill(found[0].pid, signal.SIGTERM)
            time.sleep(chance.uniform(0, 0.3))  # the moment is the fault, nothing is waited for
        for process in found:
            kill(process.pid)
        if how == "starting":
            for process in wait_until(lambda: service_processes(fresh.site), 60, "a start"):
                kill(process.pid)
    many = len(ledger.projects)
    wait_until(lambda: len(ledger.projects) > many, 60, "a request that is acknowledged")
    work.stop()
    assert check(fresh, ledger, tracking=False) == []
    assert len(ledger.events) > 4


def test_a_command_does_not_undo_a_stop(fresh: Lab) -> None:
    """One that began before goes on over a crash, but ends when somebody stops the service."""
    api = Api(fresh.site, fresh.start())
    fresh.kill_service()
    assert api.get("/service")["pid"] != fresh.found.identity.pid
    fresh.stop()
    with pytest.raises(Failure, match="was stopped while this command worked"):
        api.get("/service")
    assert service_processes(fresh.site) == []


def test_a_start_that_is_killed_is_tried_again(fresh: Lab) -> None:
    fresh.stop()  # unless the test before has done it
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(himalia, "up")
        for process in wait_until(lambda: service_processes(fresh.site), 60, "a start"):
            kill(process.pid)
        done = starting.result()
    assert done.returncode == 0, done.stderr
    fresh.start()


@pytest.mark.parametrize("what", ["service.json", "tokens", "service.lock"])
def test_a_removed_file_is_made_again(fresh: Lab, what: str) -> None:
    pid, path = fresh.start().identity.pid, fresh.home / what
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    wait_until(path.exists, 20, what)
    fresh.found = wait_until(lambda: lifecycle.find(fresh.site), 20, "the service")
    wait_until(lambda: (fresh.home / "tokens" / "user").exists(), 20, "the account's token")
    # it is valid a moment after it was written
    wait_until(lambda: fresh.request("GET", "/service").status_code == 200, 20, "a valid token")
    assert fresh.get("/service")["pid"] == pid


def test_a_removed_folder_of_sockets_is_made_again(fresh: Lab) -> None:
    fresh.tracking_ready()
    shutil.rmtree(fresh.site.runtime)
    wait_until((fresh.site.runtime / "mlflow.sock").exists, 60, "MLflow's socket")
    fresh.tracking_ready()


def test_a_reader_that_was_away_is_told_of_deletions(fresh: Lab) -> None:
    fresh.tracking_ready()
    last = fresh.get("/service")["last_event"]
    folder = fresh.root / "projects" / "away"
    folder.mkdir(parents=True)
    (folder / "himalia.toml").write_text('[project]\nname = "away"\n')
    fresh.post("/projects", {"name": "away", "path": str(folder)})
    assert fresh.request("DELETE", "/projects/away?purge=true").status_code == 204
    fresh.kill_service()
    seen = []
    for event in Api(fresh.site, fresh.start()).events(last):
        seen.append(event)
        if event["topic"] == "project.deleted":
            break
    assert [event["seq"] for event in seen] == list(range(last + 1, last + 1 + len(seen)))
    assert (seen[-1]["subject"], seen[-1]["data"]) == ("away", {})
    assert "project.created" in [event["topic"] for event in seen]


def test_files_that_run_out_are_told_and_come_back(fresh: Lab) -> None:
    process = psutil.Process(fresh.start().identity.pid)
    before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (process.num_fds(), before[1]))
    try:
        try:
            reply = fresh.request("POST", "/projects", json={"name": "many", "path": "/"}, timeout=10)
        except httpx.TransportError:
            pass  # it could not even be accepted
        else:
            assert reply.status_code in (422, 503), reply.text
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, before)
    fresh.http.close()
    fresh.http = httpx.Client(trust_env=False, timeout=60)
    assert fresh.get("/service")["pid"] == process.pid


def test_a_full_disk_refuses_and_goes_on(fresh: Lab, tmp_path: Path) -> None:
    """Requests, a service that is killed; then there is room again."""
    fresh.stop()
    folder = fresh.root / "projects" / "later"
    folder.mkdir(parents=True)
    (folder / "himalia.toml").write_text('[project]\nname = "later"\n')
    old = fresh.home
    fresh.home = fresh.root / "small"
    os.environ["HIMALIA_HOME"] = str(fresh.home)
    try:
        with small_disk(fresh.home, 40):
            fresh.start()
            with no_space(fresh.home):
                reply = fresh.request("POST", "/projects", json={"name": "later", "path": str(folder)})
                assert reply.status_code == 507, reply.text
                assert "Free some space" in reply.json()["hint"]
                fresh.kill_service()
                done = himalia("up")
                assert "Traceback" not in done.stderr
                assert done.returncode == 0 or "disk is full" in done.stderr, done.stderr
            fresh.start()
            assert fresh.get("/projects")["items"] == []
            fresh.post("/projects", {"name": "later", "path": str(folder)})
            assert fresh.get("/audit/check")["whole"]
            fresh.stop()
    except PermissionError as error:
        pytest.skip(str(error))
    finally:
        fresh.home = old
        os.environ["HIMALIA_HOME"] = str(old)
    fresh.start()


def test_a_removed_site_ends_its_service(fresh: Lab) -> None:
    """Nothing is acknowledged that nobody would ever see again, and nothing is left behind."""
    identity, runtime = fresh.start().identity, fresh.site.runtime
    token = fresh.found.token() if fresh.found else ""
    folder = fresh.root / "projects" / "lost"
    folder.mkdir(parents=True)
    (folder / "himalia.toml").write_text('[project]\nname = "lost"\n')
    shutil.rmtree(fresh.home, ignore_errors=True)
    try:
        reply = fresh.request("POST", "/projects", token=token, json={"name": "lost", "path": str(folder)})
    except httpx.TransportError:
        pass  # it has ended already
    else:
        assert reply.status_code >= 500, reply.text
    wait_until(lambda: not identity.alive(), 60, "the end of the service")
    ours = {process.pid for process in psutil.Process().children(recursive=True)}
    wait_until(lambda: [p for p in fresh.processes() if p.pid not in ours] == [], 30, "the end of all")
    assert not runtime.exists()
