"""A worker's place in the cluster: keeps one worker process alive."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from ..state import WorkerPhase, WorkerState
from .process import Command, DaskProcess, explain_exit

log = logging.getLogger(__name__)

FIRST_DELAY = 0.25
LONGEST_DELAY = 30.0
STABLE_SECONDS = 10.0
STOP_GRACE = 3.0
MEMORY_FRACTION = 0.95  # of the limit; Dask's nanny ends a worker at the same (distributed.worker.memory.terminate)
_MEMORY_INTERVAL = 0.5


def restart_delay(failures: int) -> float:
    """Return the seconds to wait after *failures* quick ends: 0.25 s, doubled each time, up to 30 s."""
    return min(FIRST_DELAY * 2.0 ** min(failures, 16), LONGEST_DELAY)


class WorkerSlot:
    """Starts its worker, and again when it ends; with back-off when that is within 10 s of being ready.

    The holder is the nanny: a process less for each worker. It also ends a worker at 95 % of its memory
    limit, before the system ends another process; Dask gives up a task that cost several workers
    (``KilledWorker``).
    """

    def __init__(
        self,
        name: str,
        command: Command,
        scratch: Path,
        http_socket: Path,
        memory_bytes: int,
        changed: Callable[[], None],
    ) -> None:
        self.name = name
        self._command = command
        self._scratch = scratch
        self._http_socket = http_socket
        self._memory_bytes = memory_bytes
        self._changed = changed
        self._process: DaskProcess | None = None
        self._task: asyncio.Task[None] | None = None
        self._phase: WorkerPhase = "starting"
        self._retired = False
        self._ready_at: float | None = None
        self._failures = 0
        self._restarts = 0
        self._error: str | None = None

    def state(self) -> WorkerState:
        """Return the worker's present state."""
        pid = None if self._process is None else self._process.pid
        return WorkerState(self.name, pid, self._phase, self._restarts, self._error)

    def start(self) -> None:
        """Begin to keep the worker alive; calling it again changes nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep_alive(), name=f"slot {self.name}")

    def registered(self) -> None:
        """Note that the scheduler knows the worker."""
        if self._phase in ("starting", "restarting"):
            self._phase, self._ready_at, self._error = "running", time.monotonic(), None
            self._changed()

    def expect_end(self) -> None:
        """Note that the worker is about to be retired: its end is no failure and it is not started again."""
        self._retired = True
        self._phase = "closing"
        self._changed()

    async def stop(self, grace: float = STOP_GRACE) -> None:
        """End the worker for good, after *grace* seconds by force, and remove what it left."""
        self._phase = "closing"
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._process is not None:
            await self._process.stop(grace)
        await self._clean()

    async def _keep_alive(self) -> None:
        while True:
            await self._clean()
            try:
                end = await self._live()
            except OSError as error:
                end = f"could not be started: {error}"
            if self._retired:
                return
            if self._ready_at is not None and time.monotonic() - self._ready_at >= STABLE_SECONDS:
                self._failures = 0
            delay = restart_delay(self._failures)
            self._failures += 1
            self._restarts += 1
            self._phase, self._ready_at = "restarting", None
            self._error = f"{self.name} {end}; started again after {delay:g} s"
            log.warning("%s", self._error)
            self._changed()
            await asyncio.sleep(delay)

    async def _live(self) -> str:
        """Run the worker once; return how it ended."""
        self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._process = process = DaskProcess(self._command)
        await process.start()
        self._changed()
        ended = asyncio.create_task(process.wait())
        try:
            while True:
                await asyncio.wait({ended}, timeout=_MEMORY_INTERVAL)
                if ended.done():
                    return explain_exit(ended.result())
                if (used := self._memory_used()) > self._memory_bytes * MEMORY_FRACTION:
                    process.kill()
                    await ended
                    return f"used {used // 2**20} MiB of {self._memory_bytes // 2**20} MiB and was ended"
        finally:
            ended.cancel()

    def _memory_used(self) -> int:
        pid = None if self._process is None else self._process.pid
        if pid is None:
            return 0
        try:
            return int(psutil.Process(pid).memory_info().rss)
        except psutil.NoSuchProcess:  # ended a moment ago; the next round sees it
            return 0

    async def _clean(self) -> None:
        self._http_socket.unlink(missing_ok=True)
        if self._scratch.exists():
            await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)
