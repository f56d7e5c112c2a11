"""The clock of the service and of the command line is put forwards and back (libfaketime), while it runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from glob import glob
from pathlib import Path

import pytest

from himalia_server.service import lifecycle
from tests import system
from tests.site.lab import Lab, running_lab
from tests.soak.invariants import check
from tests.soak.kit import SLUG, Ledger, Workload, endpoint_state, furnish, himalia, predict, times, token
from tests.waiting import wait_until


def _library() -> str | None:
    found = glob("/usr/lib/*/faketime/libfaketimeMT.so.1")  # noqa: PTH207
    return found[0] if found else None


@pytest.fixture(scope="module")
def clock() -> Iterator[tuple[Lab, Callable[[str], None]]]:
    """A site whose service has a clock that can be set."""
    library = system.find_or_install("libfaketime", _library, ["faketime"], elsewhere="macOS: not supported")
    with running_lab() as lab:
        lab.stop()
        file = lab.root / "clock"

        def put(offset: str) -> None:
            fresh = Path(f"{file}.new")
            fresh.write_text(f"{offset}\n")
            fresh.replace(file)

        put("+0")
        os.environ |= {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        try:
            lab.start()
        finally:
            preload = os.environ.pop("LD_PRELOAD")
        furnish(lab)
        os.environ["FAKE_PRELOAD"] = preload
        yield lab, put


@pytest.mark.timeout(900)
def test_the_clock_goes_forwards_and_back(clock: tuple[Lab, Callable[[str], None]]) -> None:
    lab, put = clock
    key, ledger = token(lab), Ledger()
    work = Workload(lab, ledger)
    work.start(work.events, work.predictions, work.keys)
    pid = lab.get("/service")["pid"]
    order: list[str] = []
    for offset in ["+1d", "+40d", "+0", "-1d", "+0"] * times(1):
        run = lab.post(f"/projects/{SLUG}/runs", {"params": {"make": {"seconds": 6.0}}})["id"]
        ledger.runs.add(run)
        order.append(run)
        where = f"/projects/{SLUG}/runs/{run}"
        wait_until(lambda: lab.get(where)["stages"][0]["cell"] >= 2, 60, "the stage's work")  # noqa: B023
        put(offset)
        view = lab.wait_run(SLUG, run)
        assert view["status"] == "succeeded", (offset, view)
        for stage in view["stages"]:
            assert stage["started_at"] <= stage["ended_at"], (offset, stage)
        assert predict(lab, key).status_code == 200
        assert endpoint_state(lab) == "ready"
        done = himalia("status", "--json")
        assert done.returncode == 0, done.stderr
        order.append(lab.post(f"/projects/{SLUG}/runs")["id"])
        ledger.runs.add(order[-1])
        lab.wait_run(SLUG, order[-1])
    work.stop()
    print(f"\n{ledger.summary()}")
    assert order == sorted(order), "ids sort by creation"
    listed = [run["id"] for run in lab.get(f"/projects/{SLUG}/runs", params={"limit": 50})["items"]]
    assert [run for run in reversed(listed) if run in order] == order
    assert lab.get("/service")["pid"] == pid, "the service went on"
    assert not any("token" in sentence for sentence in ledger.refused), ledger.refused
    assert check(lab, ledger) == []


@pytest.mark.timeout(300)
def test_a_service_that_starts_in_the_past(clock: tuple[Lab, Callable[[str], None]]) -> None:
    """Ids go on behind those from the future; the state is the same."""
    lab, put = clock
    put("+2d")
    first = lab.post(f"/projects/{SLUG}/runs")["id"]
    lab.wait_run(SLUG, first)
    lab.kill_service()
    put("+0")
    os.environ["LD_PRELOAD"] = os.environ["FAKE_PRELOAD"]
    try:
        lab.found = lifecycle.ensure_running(lab.site)
    finally:
        del os.environ["LD_PRELOAD"]
    second = lab.post(f"/projects/{SLUG}/runs")["id"]
    lab.wait_run(SLUG, second)
    assert second > first
    assert check(lab, Ledger()) == []
