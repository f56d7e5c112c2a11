"""Stops a kernel that runs too long or that nobody wants any more."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from typing import Literal, Protocol

from himalia_kernels.spec import GRACE_S, Limit

Reason = Literal["timed_out", "cancelled"]


class Process(Protocol):
    """What a kernel's process offers, be it a Popen or a forked one."""

    pid: int

    def poll(self) -> int | None: ...


class Watchdog:
    """Interrupts the kernel at a time limit or on request, and kills it *grace_s* seconds later.

    *timeout_s* runs from :meth:`start`, *cell_timeout_s* from each :meth:`cell_started`. ``reason`` says why the kernel
    was stopped, None if it was not; ``limit`` which limit it was. :meth:`stop` may be called from a signal handler.
    """

    def __init__(
        self, timeout_s: float | None = None, grace_s: float = GRACE_S, cell_timeout_s: float | None = None
    ) -> None:
        self.reason: Reason | None = None
        self.limit: Limit | None = None
        self.timeout_s = timeout_s
        self.cell_timeout_s = cell_timeout_s
        self.grace_s = grace_s
        self._process: Process | None = None
        self._deadline: float | None = None
        self._cell_deadline: float | None = None
        # a lock could be held by the very code that the signal handler interrupts; a pipe has none
        self._woken, self._wake = os.pipe()
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="himalia-watchdog", daemon=True)

    def __del__(self) -> None:
        os.close(self._woken)
        os.close(self._wake)

    def start(self) -> None:
        """Start to count the time."""
        self._deadline = None if self.timeout_s is None else time.monotonic() + self.timeout_s
        self._thread.start()

    def attach(self, process: Process) -> None:
        """Watch over *process*, which leads a process group; kill it at once if it comes too late."""
        self._process = process
        if self.reason is not None:
            self._signal(signal.SIGKILL)

    def cell_started(self) -> None:
        """A cell begins: its own time runs."""
        if self.cell_timeout_s is not None:
            self._cell_deadline = time.monotonic() + self.cell_timeout_s
            os.write(self._wake, b".")

    def cell_ended(self) -> None:
        """The cell has ended in time."""
        self._cell_deadline = None

    def stop(self, reason: Reason, limit: Limit | None = None) -> None:
        """Stop the kernel now. The first reason stands."""
        if self.reason is None:
            self.limit, self.reason = limit, reason
        os.write(self._wake, b".")

    def finish(self) -> None:
        """The kernel has ended by itself."""
        self._finished.set()
        os.write(self._wake, b".")
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        while self.reason is None and not self._finished.is_set():
            wait = self._check()
            if self.reason is None and poll.poll(wait):
                os.read(self._woken, 4096)
        if self._finished.is_set():
            return
        self._signal(signal.SIGINT)
        if not self._finished.wait(self.grace_s):
            self._signal(signal.SIGKILL)

    def _check(self) -> float | None:
        """Stop at a limit that is reached; returns the milliseconds to the next one, None when there is none."""
        limits: list[tuple[float | None, Limit]] = [(self._deadline, "stage"), (self._cell_deadline, "cell")]
        left = [(deadline - time.monotonic(), limit) for deadline, limit in limits if deadline is not None]
        if not left:
            return None
        seconds, limit = min(left)
        if seconds <= 0:
            self.stop("timed_out", limit)
        return max(0.0, seconds) * 1000 + 1

    def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return  # it ended in between
