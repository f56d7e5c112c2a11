"""A process that another one forked for us, used like a subprocess.Popen."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import threading
import time

from himalia import _zygote_wire as wire

STATUS_SECONDS = 1.0


class ForkedProcess:
    """A child of a zygote: its pidfd tells that it ended, the zygote tells how.

    Has the attributes and methods of Popen that Jupyter uses. ``returncode`` is None while it lives, then the exit
    status or minus the signal's number. When its zygote died before it, and it did not end by itself, that number is
    not known, and SIGKILL is assumed. May be used from several threads.
    """

    stdin = stdout = stderr = None

    def __init__(self, pid: int, pidfd: int, connection: socket.socket, args: list[str]) -> None:
        self.pid, self.args = pid, args
        self.returncode: int | None = None
        self._pidfd, self._connection = pidfd, connection
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """``returncode``, brought up to date."""
        with self._lock:
            if self.returncode is None and _readable(self._pidfd, 0.0):
                self.returncode = self._status()
                # the zygote may now forget the process, and its id be given to another
                self._connection.close()
                os.close(self._pidfd)
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end. Raises subprocess.TimeoutExpired after *timeout* seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            left = 1.0 if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            self.ended_within(min(left, 1.0))
        return code

    def ended_within(self, seconds: float) -> bool:
        """Wait for the end for so long; whether it came."""
        with self._lock:
            if self.returncode is not None:
                return True
            watched = os.dup(self._pidfd)
        try:
            return _readable(watched, seconds)
        finally:
            os.close(watched)

    def send_signal(self, number: int) -> None:
        """Send a signal to the process; nothing happens when it has ended."""
        with self._lock:
            if self.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._pidfd, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _status(self) -> int:
        """How the process, which has ended, ended."""
        leaving: int | None = None
        self._connection.settimeout(STATUS_SECONDS)
        try:
            while True:
                message, _ = wire.receive(self._connection)
                if "exit" in message:
                    return int(message["exit"])
                leaving = message.get("leaving", leaving)
        except (OSError, wire.WireError):
            return -signal.SIGKILL if leaving is None else leaving

    def __del__(self) -> None:
        if self.returncode is None:
            self._connection.close()
            with contextlib.suppress(OSError):
                os.close(self._pidfd)


def _readable(descriptor: int, seconds: float) -> bool:
    """Whether the descriptor becomes readable in time; its number may be above select's limit."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
