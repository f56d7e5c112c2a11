"""Stops a kernel that runs too long or that nobody wants any more."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Literal, Protocol

Reason = Literal["timed_out", "cancelled"]


class Process(Protocol):
    """What a kernel's process offers, be it a Popen or a forked one."""

    pid: int

    def poll(self) -> int | None: ...


class Watchdog:
    """Interrupts the kernel at the time limit or on request, and kills it *grace_s* seconds later.

    The time runs from :meth:`start`. ``reason`` says why the kernel was stopped, None if it was not.
    :meth:`stop` may be called from a signal handler.
    """

    def __init__(self, timeout_s: float | None = None, grace_s: float = 3.0) -> None:
        self.reason: Reason | None = None
        self.timeout_s = timeout_s
        self.grace_s = grace_s
        self._process: Process | None = None
        self._wake = threading.Event()
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="himalia-watchdog", daemon=True)

    def start(self) -> None:
        """Start to count the time."""
        self._deadline = None if self.timeout_s is None else time.monotonic() + self.timeout_s
        self._thread.start()

    def attach(self, process: Process) -> None:
        """Watch over *process*, which leads a process group; kill it at once if it comes too late."""
        self._process = process
        if self.reason is not None:
            self._signal(signal.SIGKILL)

    def stop(self, reason: Reason) -> None:
        """Stop the kernel now. The first reason stands."""
        if self.reason is None:
            self.reason = reason
        self._wake.set()

    def finish(self) -> None:
        """The kernel has ended by itself."""
        self._finished.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        left = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        woken = self._wake.wait(left)
        if self._finished.is_set():
            return
        if not woken:
            self.reason = self.reason or "timed_out"
        self._signal(signal.SIGINT)
        if not self._finished.wait(self.grace_s):
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return  # it ended in between
