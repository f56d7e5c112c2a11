"""A real holder: tasks, scaling, and faults."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Client, Future, Security

from himalia_server.clusters import (
    ClusterControl,
    ClusterState,
    ControlError,
    HolderUnreachableError,
    RequestRefusedError,
)
from tests.layer import kernel_layer
from tests.waiting import short_dir, wait_until

pytestmark = pytest.mark.timeout(120)


class RunningHolder:
    """A holder process of the test with its specification and control socket."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None, **changes: Any) -> None:
        self.folder = folder
        self.socket = folder / "run" / "control.sock"
        self.spec = folder / "spec.json"
        self.log = folder / "log"
        self.control = ClusterControl(self.socket)
        value = {
            "name": "shared",
            "project": "flights",
            "profile": {"backend": "local"},
            "python": sys.executable,
            "layer": str(kernel_layer()),
            "folder": str(folder / "state"),
            "socket": str(self.socket),
            "workers": 2,
            "threads_per_worker": 1,
            "memory_limit": "512MiB",
        }
        self.spec.touch(mode=0o600)
        self.spec.write_text(json.dumps(value | changes))
        self.process = self.start(environment or {})

    def start(self, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "himalia_server.clusters.holder", "--spec", str(self.spec)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | environment,
            )
        return self.process

    def state(self) -> ClusterState | None:
        try:
            return self.control.state()
        except ControlError:
            return None

    def wait(self, predicate: Callable[[ClusterState], object], what: str, timeout: float = 60) -> ClusterState:
        def check() -> ClusterState | None:
            state = self.state()
            return state if state is not None and predicate(state) else None

        try:
            return wait_until(check, timeout, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()[-4000:]}") from error

    def ready(self, workers: int = 2) -> ClusterState:
        return self.wait(
            lambda state: state.state == "running" and state.running == workers == len(state.workers),
            f"{workers} workers",
        )

    def tree(self) -> list[psutil.Process]:
        holder = psutil.Process(self.process.pid)
        return [holder, *holder.children(recursive=True)]

    def sockets(self) -> list[str]:
        return sorted(path.name for path in self.socket.parent.glob("*.sock"))

    def end(self) -> None:
        if self.process.poll() is None:
            family = self.tree()
            self.process.terminate()
            self.process.wait(30)
            gone(family)


def gone(processes: list[psutil.Process]) -> None:
    """Wait until none of *processes* runs."""
    wait_until(
        lambda: not [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE],
        20,
        "the processes to end",
    )


@contextmanager
def running_holder(**changes: Any) -> Iterator[RunningHolder]:
    with short_dir() as folder:
        holder = RunningHolder(folder, **changes)
        try:
            yield holder
        finally:
            holder.end()


@contextmanager
def connected(state: ClusterState, timeout: float = 20) -> Iterator[Client]:
    security = Security(
        require_encryption=True,
        tls_ca_file=state.client.ca,
        tls_client_cert=state.client.cert,
        tls_client_key=state.client.key,
    )
    with Client(state.address, security=security, timeout=timeout, set_as_default=False) as client:
        yield client


def results(futures: list[Future]) -> list[Any]:
    """Wait for *futures*, each for a bounded time: ``Client.gather`` has no timeout."""
    return [future.result(30) for future in futures]


@pytest.fixture(scope="module")
def holder() -> Iterator[RunningHolder]:
    with running_holder() as running:
        yield running


def test_a_client_computes(holder: RunningHolder) -> None:
    state = holder.ready()
    assert (state.wanted, state.threads, state.memory_bytes) == (2, 2, 2**30)
    with connected(state) as client:
        assert client.submit(pow, 2, 10).result(20) == 1024
        assert client.gather(client.submit(pow, 2, 3)) == 8
        assert results(client.map(abs, [-1, -2, -3])) == [1, 2, 3]
        assert "tls://" in repr(client)
        assert "tls://" in client._repr_html_()  # what a notebook shows
        assert client.dashboard_link
        # numerical libraries, and niceness: JupyterLab goes first
        environment = client.submit(lambda: dict(os.environ), pure=False).result(20)
        assert environment["OMP_NUM_THREADS"] == "1"
        assert client.submit(os.nice, 0, pure=False).result(20) == os.nice(0) + 5


def test_a_task_that_prints_a_lot_does_not_fail(holder: RunningHolder) -> None:
    before = holder.log.stat().st_size
    with connected(holder.ready()) as client:
        printed = client.submit(lambda: [print("x" * 100) for _ in range(50_000)] and "done", pure=False)
        assert printed.result(60) == "done"
    wait_until(lambda: holder.log.stat().st_size - before >= 5_000_000, 20, "the output in the log")


def test_scaling_down_moves_results_to_those_that_stay(holder: RunningHolder) -> None:
    state = holder.ready()
    with connected(state) as client:
        pids = client.map(lambda _: os.getpid(), range(8), pure=False)
        expected = results(pids)
        spread = client.map(lambda n: b"x" * n, range(1000, 1020), pure=False)
        results(spread)
        assert holder.control.scale(1).wanted == 1
        holder.ready(1)
        assert results(pids) == expected
        assert [len(data) for data in results(spread)] == list(range(1000, 1020))
        assert holder.control.scale(3).wanted == 3
        holder.ready(3)
        assert len(client.scheduler_info(n_workers=-1)["workers"]) == 3
        holder.control.scale(2)
        holder.ready(2)
    assert len(holder.sockets()) == 4


def test_bad_requests_are_refused(holder: RunningHolder) -> None:
    with pytest.raises(RequestRefusedError, match="workers: must be a whole number"):
        holder.control.scale(-1)


def test_watch_tells_of_changes(holder: RunningHolder) -> None:
    holder.ready()
    states = holder.control.watch()
    assert next(states).running == 2
    holder.control.scale(1)
    assert next(state for state in states if len(state.workers) == 1).wanted == 1
    holder.control.scale(2)
    assert next(state for state in states if state.running == 2).state == "running"


def test_a_killed_worker_is_replaced_and_its_task_finishes(holder: RunningHolder, tmp_path: Path) -> None:
    state = holder.ready()
    marker = tmp_path / "first"

    def slow_once(path: str) -> int:
        import time

        if not os.path.exists(path):  # noqa: PTH110  (runs on the worker)
            with open(path, "w") as file:  # noqa: PTH123
                file.write(str(os.getpid()))
            time.sleep(300)
        return os.getpid()

    with connected(state) as client:
        future = client.submit(slow_once, str(marker), pure=False)
        wait_until(lambda: marker.exists() and marker.read_text(), 20, "the task to run")
        victim = int(marker.read_text())
        os.kill(victim, signal.SIGKILL)
        assert future.result(60) != victim
    after = holder.wait(
        lambda state: state.running == 2 and sorted(worker.restarts for worker in state.workers) == [0, 1],
        "one restarted worker",
    )
    assert victim not in [worker.pid for worker in after.workers]


def test_a_worker_over_its_memory_limit_is_ended(holder: RunningHolder) -> None:
    def hoard() -> None:
        import time

        data = bytearray(600 * 2**20)
        data[:: 2**12] = b"x" * len(data[:: 2**12])
        time.sleep(300)

    with connected(holder.ready()) as client:
        future = client.submit(hoard, pure=False)
        state = holder.wait(
            lambda state: any("MiB" in (worker.error or "") for worker in state.workers), "the limit to act"
        )
        error = next(worker.error for worker in state.workers if worker.error)
        assert "of 512 MiB and was ended" in error
        future.cancel()
    holder.ready()


def test_a_killed_scheduler_comes_back_at_the_same_address(holder: RunningHolder) -> None:
    before = holder.ready()
    assert before.scheduler_pid is not None
    with connected(before) as client:
        waiting: Future = client.submit(lambda: __import__("time").sleep(300), pure=False)
        os.kill(before.scheduler_pid, signal.SIGKILL)
        with pytest.raises(CancelledError, match="lost the connection to the scheduler"):
            waiting.result(60)
        after = holder.wait(
            lambda state: state.running == 2 and state.scheduler_pid not in (None, before.scheduler_pid),
            "a new scheduler",
        )
        assert after.address == before.address
        assert "SIGKILL" in (after.error or "")
        with connected(after) as another:
            assert another.submit(pow, 3, 2).result(20) == 9
        assert client.submit(pow, 3, 3).result(30) == 27  # the old client has reconnected


def test_a_second_holder_is_refused(holder: RunningHolder) -> None:
    holder.ready()
    command = [sys.executable, "-m", "himalia_server.clusters.holder", "--spec", str(holder.spec)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 3
    assert "another holder owns" in second.stderr
    assert holder.control.state().state == "running"


def test_a_killed_holder_leaves_no_process_and_starts_afresh(holder: RunningHolder) -> None:
    before = holder.ready()
    family = holder.tree()
    assert len(family) == 4
    holder.process.kill()
    holder.process.wait(20)
    gone(family)
    with pytest.raises(HolderUnreachableError):
        holder.control.state()
    holder.start({})
    after = holder.ready()
    assert after.address == before.address
    with connected(after) as client:
        assert client.submit(pow, 2, 5).result(20) == 32


def test_sigterm_leaves_nothing(holder: RunningHolder) -> None:
    holder.ready()
    family = holder.tree()
    holder.process.send_signal(signal.SIGTERM)
    assert holder.process.wait(30) == 0
    assert not [process for process in family if process.is_running()]
    assert holder.sockets() == []
    assert not (holder.folder / "state" / "scratch").exists()


def test_workers_wait_for_a_slow_scheduler_and_find_it() -> None:
    with running_holder() as slow:
        state = slow.wait(lambda state: state.scheduler_pid is not None, "the scheduler's process")
        scheduler = psutil.Process(state.scheduler_pid)
        scheduler.suspend()
        wait_until(lambda: slow.log.read_text().count("Creating preload") >= 2, 30, "the workers to look for it")
        scheduler.resume()
        assert [worker.restarts for worker in slow.ready().workers] == [0, 0]


def test_close_ends_the_holder_and_a_bad_python_is_named(tmp_path: Path) -> None:
    # An interpreter of its own without any package.
    python = tmp_path / "bare" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    with running_holder(python=str(python), workers=0) as bare:
        state = bare.wait(lambda state: state.state == "failed", "the failure")
        assert "no package 'distributed'" in (state.error or "")
        bare.control.close()
        assert bare.process.wait(20) == 0
        assert bare.sockets() == []
