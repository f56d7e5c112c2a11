"""Another process locks the database for longer than anybody waits."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.site.lab import Lab, running_lab
from tests.soak.invariants import check
from tests.soak.kit import SLUG, Ledger, Workload, furnish, predict, times, token

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
connection.execute("BEGIN EXCLUSIVE"); print("locked", flush=True); sys.stdin.readline()
"""


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another process holds the database for itself within the block."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        try:
            yield
        finally:
            other.communicate("\n")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with running_lab() as made:
        furnish(made, cluster=False)
        yield made


@pytest.mark.timeout(900)
def test_a_locked_database_refuses_and_nothing_dies(lab: Lab) -> None:
    key, ledger = token(lab), Ledger()
    work = Workload(lab, ledger)
    work.start(work.events, work.predictions)
    for _ in range(times(2)):
        run = lab.post(f"/projects/{SLUG}/runs", {"params": {"make": {"seconds": 5.0}}})["id"]
        ledger.runs.add(run)
        with locked(lab.site.database), ThreadPoolExecutor(8) as pool:
            began = time.monotonic()
            bodies = [{"label": str(number), "days": 1} for number in range(8)]
            path = f"/projects/{SLUG}/deployments/soak/tokens"
            replies = list(pool.map(lambda body: _post(lab, path, body), bodies))  # noqa: B023
            print(f"\n8 writers refused after {time.monotonic() - began:.0f} s")
            assert {reply.status_code for reply in replies} == {503}, [reply.text for reply in replies]
            assert all(reply.headers["Retry-After"] for reply in replies)
            assert all("locked" in reply.text for reply in replies), replies[0].text
            assert lab.get(f"/projects/{SLUG}/runs/{run}")["id"] == run
            assert predict(lab, key).status_code == 200
        assert lab.wait_run(SLUG, run)["status"] == "succeeded"
    work.stop()
    assert ledger.unanswered == 0
    assert check(lab, ledger) == []


def _post(lab: Lab, path: str, body: dict[str, object]) -> httpx.Response:
    return lab.request("POST", path, json=body, timeout=120)
