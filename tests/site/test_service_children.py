"""Supervised children: logs, exits, restarts, adoption, nothing left."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from himalia_server.service.children import Children, ChildSpec, Exit
from himalia_server.service.identity import ProcessIdentity
from himalia_server.service.site import Site
from tests.waiting import wait_until


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    site = Site.open(tmp_path / "home")
    site.prepare()
    made = Children(site, log_bytes=1 << 20)
    yield made
    made.stop_all()
    site.runtime.rmdir()


def spec(tmp_path: Path, code: str, **more: object) -> ChildSpec:
    argv = [sys.executable, "-S", "-c", textwrap.dedent(code)]
    values = {"name": "child", "argv": argv, "env": dict(os.environ), "cwd": str(tmp_path), "grace": 2.0}
    return ChildSpec(**values | more)  # type: ignore[arg-type]


def pid_of(children: Children, name: str = "child") -> int:
    def running() -> int | None:
        child = children.get(name)
        process = child.process() if child else None
        return process.pid if process else None

    return wait_until(running, 10, "the child's pid")


def test_exit_code_and_log(children: Children, tmp_path: Path) -> None:
    children.start(spec(tmp_path, "print('hello'); raise SystemExit(7)"))
    assert children.wait("child", 10) == Exit(7, None)
    assert children.site.log("child").read_text() == "hello\n"


def test_a_signal_is_told(children: Children, tmp_path: Path) -> None:
    children.start(spec(tmp_path, "import os; os.kill(os.getpid(), 11)"))
    end = children.wait("child", 10)
    assert end is not None
    assert end.sentence == "killed by SIGSEGV"


def test_a_program_that_is_not_there(children: Children, tmp_path: Path) -> None:
    children.start(ChildSpec("child", ["/no/such/program"], {}, str(tmp_path)))
    end = children.wait("child", 10)
    assert end is not None
    assert "No such file" in end.sentence


def test_stop_asks_then_kills(children: Children, tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('x', flush=True); time.sleep(600)"
    children.start(spec(tmp_path, code, grace=0.3))
    wait_until(lambda: children.site.log("child").read_text(), 10, "the child's start")
    end = children.stop("child")
    assert end is not None
    assert (end.signal, end.asked) == (signal.SIGKILL, True)


def test_what_a_child_leaves_running_is_killed(children: Children, tmp_path: Path) -> None:
    code = """
        import subprocess, sys, os
        run = "import os, time; os.setsid(); open('pid', 'w').write(str(os.getpid())); time.sleep(600)"
        subprocess.Popen([sys.executable, '-c', run])
        while not os.path.exists('pid') or not open('pid').read(): pass
    """
    children.start(spec(tmp_path, code))
    assert children.wait("child", 20) == Exit(0, None)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_a_kept_child_is_started_again_and_stays_stopped_when_stopped(children: Children, tmp_path: Path) -> None:
    children.start(spec(tmp_path, "import time; time.sleep(600)", keep=True))
    first = pid_of(children)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: pid_of(children) != first, 10, "the second life")
    children.stop("child")
    assert not children.alive("child")


def test_a_killed_supervisor_takes_its_child_along(children: Children, tmp_path: Path) -> None:
    child = children.start(spec(tmp_path, "import time; time.sleep(600)"))
    pid = pid_of(children)
    os.kill(child.supervisor.pid, signal.SIGKILL)
    end = children.wait("child", 10)
    assert end is not None
    assert end.lost
    wait_until(lambda: not psutil.pid_exists(pid), 10, "the end of the child")


def test_children_are_adopted_by_the_next_service(children: Children, tmp_path: Path) -> None:
    children.start(spec(tmp_path, "import time; time.sleep(600)", name="lives"))
    children.start(spec(tmp_path, "raise SystemExit(3)", name="ended"))
    lives = pid_of(children, "lives")
    children.wait("ended", 10)
    children.detach()
    second = Children(children.site, log_bytes=1 << 20)
    assert {child.spec.name for child in second.adopt()} == {"lives", "ended"}
    assert second.wait("ended", 10) == Exit(3, None)
    assert pid_of(second, "lives") == lives
    end = second.stop("lives")
    assert end is not None
    assert end.asked


def test_a_reused_pid_is_not_the_old_process() -> None:
    me = ProcessIdentity.current()
    assert me.alive()
    assert not ProcessIdentity(me.boot, me.pid, "1").alive()
    assert not ProcessIdentity("another boot", me.pid, me.ticks).alive()


def test_a_log_that_grows_is_rotated(tmp_path: Path) -> None:
    site = Site.open(tmp_path / "home")
    site.prepare()
    made = Children(site, log_bytes=1000)
    run = "import subprocess, sys; [subprocess.run([sys.executable, '-S', '-c', 'print(1)']) for _ in range(3)]"
    made.start(spec(tmp_path, f"print('x' * 5000, flush=True); {run}; import time; time.sleep(600)"))
    pid = pid_of(made)
    log = site.log("child")
    # a dying grandchild of ours wakes nobody; the supervisor looks twice a minute, or when it is told to end
    wait_until(lambda: log.stat().st_size > 5000, 20, "the output")
    made.stop("child")
    assert not psutil.pid_exists(pid)
    assert log.with_name("child.log.1").stat().st_size >= 5000
    assert log.stat().st_size < 1000
    site.runtime.rmdir()
