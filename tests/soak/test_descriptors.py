"""Service and gateway may open few files while many connections do nothing."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests.site.lab import Lab, running_lab
from tests.soak.invariants import check
from tests.soak.kit import SLUG, Ledger, descendants, furnish, predict, times, token
from tests.waiting import wait_until

IDLE = 80


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with running_lab() as made:
        furnish(made, cluster=False)
        yield made


def crowd(stack: ExitStack, url: str) -> None:
    """Many connections that say nothing."""
    place = urlsplit(url)
    for _ in range(IDLE):
        stack.enter_context(socket.create_connection((place.hostname, place.port), timeout=10))


def spins(process: psutil.Process) -> float:
    """The share of one processor that a process uses over two seconds."""
    before = process.cpu_times()
    time.sleep(2)
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / 2


@pytest.mark.timeout(600)
@pytest.mark.parametrize("which", ["service", "gateway parent", "gateway worker"])
def test_files_run_out(lab: Lab, which: str) -> None:
    key = token(lab)
    gateway = descendants(lab, "gateway")
    pid = {"service": lab.get("/service")["pid"], "gateway parent": gateway[0].pid, "gateway worker": gateway[1].pid}
    process = psutil.Process(pid[which])
    place = lab.url if which == "service" else lab.get(f"/projects/{SLUG}/deployments/soak")["url"]
    for _ in range(times(3)):
        limits = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (process.num_fds() + 5, limits[1]))
        try:
            with ExitStack() as stack:
                crowd(stack, place)
                told = []
                for _ in range(5):
                    try:
                        if which == "service":
                            url = f"{lab.url}/api/v1/projects"
                            reply = httpx.get(url, headers=_headers(lab), timeout=5, trust_env=False)
                        else:
                            reply = predict(lab, key)
                        told.append(str(reply.status_code))
                    except httpx.TransportError as error:
                        told.append(type(error).__name__)
                share = spins(process)
                print(f"\n{which}: {told}, {share:.0%} of a processor")
                assert share < 0.5, "it spins"
                assert "500" not in told
                assert process.is_running()
        finally:
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, limits)
        wait_until(lambda: _answers(lab, key), 60, "answers again")
    assert psutil.pid_exists(process.pid)
    assert check(lab, Ledger()) == []


def test_connections_that_say_nothing_are_closed(lab: Lab) -> None:
    with ExitStack() as stack:
        crowd(stack, lab.url)
        process = psutil.Process(lab.get("/service")["pid"])
        many = process.num_fds()
        wait_until(lambda: process.num_fds() < many - IDLE + 20, 60, "the end of silent connections")


def _headers(lab: Lab) -> dict[str, str]:
    assert lab.found is not None
    return {"Authorization": f"Bearer {lab.found.token()}"}


def _answers(lab: Lab, key: str) -> bool:
    try:
        return bool(lab.get("/service")["pid"]) and predict(lab, key).status_code == 200
    except (httpx.TransportError, AssertionError):
        return False
