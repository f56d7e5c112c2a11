"""Many start one site at once: commands, Jupyter servers, stops in between; two services on one database."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from himalia_server.service import lifecycle
from himalia_server.service.site import Site
from tests.postgresql import running_postgresql
from tests.site.extension_lab import jupyter
from tests.site.lab import Lab, running_lab
from tests.soak.invariants import check
from tests.soak.kit import Ledger, endpoint_state, furnish, himalia, kill, service_processes, times
from tests.waiting import short_dir, wait_until

MANY = 10
STARTER = (
    "from himalia_server.service import lifecycle; from himalia_server.service.site import Site;"
    "print(lifecycle.ensure_running(Site.open()).identity.pid)"
)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with running_lab() as made:
        furnish(made)
        yield made


def one_of_each(lab: Lab) -> None:
    lab.tracking_ready()
    wait_until(lambda: endpoint_state(lab) == "ready", 120, "the endpoint")
    assert len(service_processes(lab.site)) == 1
    names = [child["name"] for child in lab.get("/service")["children"]]
    assert sorted(set(names)) == sorted(names)
    for word in ("_serve.py", "clusters.holder", "himalia_server.gateway"):
        started = [p for p in lab.processes(word) if p.cmdline()[1:2] in (["-m"], ["-P"])]
        found = [p for p in started if "worker" not in str(p.cmdline())]
        assert len(found) == 1, (word, [p.cmdline() for p in found])


@pytest.mark.timeout(1800)
def test_many_starters(lab: Lab) -> None:
    for number in range(times(10)):
        if number % 2:
            lab.stop()
        else:
            for process in service_processes(lab.site):
                kill(process.pid)
        with ExitStack() as stack:
            command = [sys.executable, "-c", STARTER]
            many = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(MANY)]
            starters = [stack.enter_context(starter) for starter in many]
            pids = {starter.communicate(timeout=180)[0].strip() for starter in starters}
        assert len(pids) == 1, pids
        lab.start()
        one_of_each(lab)
    assert check(lab, Ledger()) == []


@pytest.mark.timeout(1800)
def test_starts_and_stops_race(lab: Lab) -> None:
    chance = random.Random(1)
    for _ in range(times(5)):
        with ThreadPoolExecutor(6) as pool:
            words = ["up", "down", "up", "status", "down", "up"]
            chance.shuffle(words)
            done = list(pool.map(himalia, words))
        for word, result in zip(words, done, strict=True):
            assert "Traceback" not in result.stderr, (word, result.stderr)
            assert result.returncode in (0, 1, 3), (word, result.stderr)
            if word == "down":
                assert result.returncode == 0 or "is starting" in result.stderr, result.stderr
            if result.returncode == 1:
                print(f"\n{word}: {result.stderr.strip()}")
        lab.start()
        one_of_each(lab)
    assert check(lab, Ledger()) == []


@pytest.mark.timeout(900)
def test_jupyter_servers_start_one_service(monkeypatch: pytest.MonkeyPatch) -> None:
    with short_dir() as root:
        home = root / "home"
        variables = {"HIMALIA_HOME": str(home), "TMPDIR": str(root)}
        for _ in range(times(3)):
            with ExitStack() as stack, ThreadPoolExecutor(8) as pool:
                servers = [stack.enter_context(jupyter(environment=variables)) for _ in range(2)]
                replies = list(pool.map(lambda n: servers[n % 2].get("himalia/api/v1/service"), range(8)))  # noqa: B023
                replies += list(pool.map(lambda n: servers[n % 2].client().post("api/status"), range(8)))  # noqa: B023
                replies += list(pool.map(lambda n: servers[n % 2].get("himalia/api/v1/service"), range(8)))  # noqa: B023
                assert {reply.status_code for reply in replies[8:]} == {200}, [reply.text for reply in replies]
                assert len({reply.json()["pid"] for reply in replies[16:]}) == 1
                assert len(service_processes(Site.open(home))) == 1
            found = lifecycle.find(Site.open(home))
            assert found is not None, "it outlives the Jupyter servers"
            lifecycle.stop(found)


@pytest.mark.timeout(600)
def test_one_postgresql_database_has_one_service(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_postgresql() as server, running_lab() as first:
        first.stop()
        monkeypatch.setenv("HIMALIA_DATABASE_URL", server.database())
        first.start()
        with short_dir() as other:
            monkeypatch.setenv("HIMALIA_HOME", str(other))
            for _ in range(times(3)):
                done = himalia("up")
                assert done.returncode == 1
                assert "Another service uses the database" in done.stderr, done.stderr
                assert "Traceback" not in done.stderr
            first.kill_service()
            second = wait_until(lambda: himalia("up"), 60, "a start")
            assert second.returncode == 0, "the database of a killed service is free"
            monkeypatch.setenv("HIMALIA_HOME", str(first.home))
            refused = himalia("up")
            assert "Another service uses the database" in refused.stderr, refused.stderr
            found = lifecycle.find(Site.open(Path(other)))
            assert found is not None
            lifecycle.stop(found)
            assert himalia("up").returncode == 0
            first.found = lifecycle.find(first.site)
