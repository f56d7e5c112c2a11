"""Limits of one kernel: control groups where this account may make them, rlimits and affinity elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from himalia_kernels import limits, zygote
from tests.site.test_kernels_start import Session, running
from tests.site.zygote_lab import ZygoteLab, how, start_zygote, zygote_lab
from tests.waiting import wait_until

MIB = 2**20
pytestmark = pytest.mark.skipif(zygote.unsupported() is not None, reason=str(zygote.unsupported()))


@pytest.fixture(scope="module")
def lab() -> Iterator[ZygoteLab]:
    with zygote_lab(preload=["numpy"]) as made:
        made.service.granted["limits"] = {"memory_bytes": 300 * MIB, "cpus": 1.0}
        start_zygote(made)
        yield made


@pytest.fixture(params=["fork", "ordinary"])
def start(request: pytest.FixtureRequest, lab: ZygoteLab, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the kernel is to be started."""
    if request.param == "ordinary":
        monkeypatch.setitem(lab.service.granted, "zygote", None)
    return str(request.param)


def groups() -> set[str]:
    """The control groups of kernels that are there now."""
    return {str(path) for home in limits._homes().values() for path in home.glob(f"{limits.PREFIX}{os.getpid()}-*")}


def test_a_kernel_that_uses_too_much_is_ended_and_the_next_one_says_so(lab: ZygoteLab, start: str) -> None:
    probe = limits.fence(limits.Limits(300 * MIB))
    probe.remove()
    if probe.memory_group is None:
        pytest.skip("this account may make no control group")
    before = groups()
    with running() as session:
        assert how(session).split(":")[0] == start
        assert session.run("import numpy as np; print(np.ones(2 * 10**7).sum())")[0] == "20000000.0\n"
        session.client.execute("np.ones(10**8)")
        assert ended(session) == -9
        assert session.manager.provisioner.died_of_memory(-9) is True  # type: ignore[union-attr]
        session.manager.restart_kernel(now=True)
        session.client.wait_for_ready(timeout=60)
        assert "because it used more than 300 MiB of memory" in session.run("1 + 1")[0]
        # another end by SIGKILL is no such case
        session.client.execute("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        assert ended(session) == -9
        assert session.manager.provisioner.died_of_memory(-9) is False  # type: ignore[union-attr]
        session.manager.restart_kernel(now=True)
        session.client.wait_for_ready(timeout=60)
        assert "of memory, the limit" not in session.run("1 + 1")[0]
    assert groups() == before


def ended(session: Session) -> int:
    """Wait for the end, and let the manager see it."""
    process = session.manager.provisioner.process  # type: ignore[union-attr]
    wait_until(lambda: process.poll() is not None, 60, "the end of the kernel")
    assert not session.manager.is_alive()
    return int(process.returncode)


def test_where_no_group_can_be_made_too_much_is_a_memory_error(
    lab: ZygoteLab, start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_homes", dict)
    monkeypatch.setitem(lab.service.granted, "limits", {"memory_bytes": 700 * MIB, "cpus": 1.0})
    if start == "fork":
        # Arrow's variable makes it another zygote
        with running():
            pass
        wait_until(lambda: "ready" in lab.facts()["state"] and lab.facts()["forks"] == 0, 60, "its zygote")
    with running() as session:
        assert how(session).split(":")[0] == start
        assert session.value("len(__import__('os').sched_getaffinity(0))") == 1
        assert session.run("import pyarrow as pa; print(len(pa.array(range(10**6))))")[0] == "1000000\n"
        _, reply = session.run("import numpy as np; np.ones(10**8)")
        assert reply["ename"].endswith("MemoryError")
        assert session.run("print(1)")[0] == "1\n"
