"""Forked kernels in a long series: each starts, answers, and ends at once when asked to."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.site.test_kernels_start import running
from tests.site.zygote_lab import alive, forked, how, pid_of, start_zygote, zygote_lab
from tests.waiting import wait_until

TIMES = int(os.environ.get("HIMALIA_SOAK_TIMES", "300"))
PATIENCE = 2.5
"""Seconds after which Jupyter sends SIGTERM to a kernel that was asked to end: no end may take so long."""


def test_each_of_many_kernels_starts_answers_and_ends() -> None:
    slow = []
    with zygote_lab(preload=["numpy", "pandas"]) as lab:
        start_zygote(lab)
        for number in range(TIMES):
            with forked() as session:
                assert session.run(f"print({number} + 1)")[0] == f"{number + 1}\n"
                pid, began = pid_of(session), time.monotonic()
            if time.monotonic() - began > PATIENCE:
                slow.append(number)
            assert not alive(pid)
        wait_until(lambda: lab.facts()["kernels"] == [], 10, "the zygote to forget its kernels")
        assert lab.facts()["forks"] == TIMES
        opened = len(list(Path(f"/proc/{lab.facts()['pid']}/fd").iterdir()))
        assert opened < 20, "descriptors of kernels that have ended"
    assert slow == []


def test_kernels_that_start_at_once_all_answer() -> None:
    with zygote_lab(preload=["numpy"]) as lab:
        start_zygote(lab)

        def one(number: int) -> str:
            with running() as session:
                assert session.run(f"print({number})")[0] == f"{number}\n"
                return how(session)

        for _ in range(max(1, TIMES // 60)):
            with ThreadPoolExecutor(6) as pool:
                assert set(pool.map(one, range(6))) == {"fork"}


def test_zygotes_killed_again_and_again_leave_their_kernels() -> None:
    with zygote_lab(preload=["numpy"]) as lab:
        start_zygote(lab)
        for _ in range(max(1, TIMES // 30)):
            mother = int(lab.facts()["pid"])
            with forked() as session:
                os.kill(mother, signal.SIGKILL)
                with running() as other:
                    assert how(other).startswith("ordinary: ")
                lab.ready(other_than=mother)
                assert session.run("print('goes on')")[0] == "goes on\n"
                pid = pid_of(session)
            assert not alive(pid)
