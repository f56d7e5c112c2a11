"""The worker as the parent sees it: a process that is always there, and the link to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from typing import Any

from himalia_server.gateway.logs import Log

FIRST_DELAY, LONGEST_DELAY = 0.2, 5.0
STABLE_SECONDS = 5.0
PING_SECONDS = 5.0
SILENT_PINGS = 12
"""A worker that does not answer so many in a row hangs, and all its clients with it."""


class WorkerProcess:
    """Starts the worker, starts it again when it has died (at once, unless it dies again and again)."""

    def __init__(self, listener: socket.socket, log: Log) -> None:
        self._listener = listener
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._received = b""
        self._sending = b""
        self._started = 0.0
        self._deaths = 0
        self._silent_pings = 0
        self.next_start = 0.0
        self.next_ping = 0.0
        self.wanted = True

    @property
    def running(self) -> bool:
        """Whether a worker process is there."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """The worker's process id."""
        return self._process.pid if self._process is not None else None

    @property
    def fd(self) -> int | None:
        """The file descriptor of the link."""
        return self._link.fileno() if self._link is not None else None

    @property
    def wants_to_send(self) -> bool:
        """Whether a table is waiting until the worker reads."""
        return bool(self._sending)

    def start(self, now: float) -> bool:
        """Start a worker; it must be sent the table. False when the system has no room for one now."""
        try:
            self._start(now)
        except OSError as error:
            self._log.error("the worker cannot be started", error=str(error))
            self.next_start = now + LONGEST_DELAY
            return False
        return True

    def _start(self, now: float) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "himalia_server.gateway.worker",
                    f"--listener-fd={self._listener.fileno()}",
                    f"--link-fd={theirs.fileno()}",
                    f"--parent-pid={os.getpid()}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr.fileno(),
                pass_fds=[self._listener.fileno(), theirs.fileno()],
                start_new_session=True,
            )
        self._link, self._received, self._sending = ours, b"", b""
        self._started = now
        self._silent_pings, self.next_ping = 0, now + PING_SECONDS
        self._log.info("worker starts", worker_pid=self._process.pid)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message, as far as the worker reads; the rest follows with `flush`."""
        self._sending += json.dumps(message).encode() + b"\n"
        self.flush()

    def watch(self, now: float) -> None:
        """Ask the worker whether it is there, and kill it when it has not answered for long."""
        if self._process is None or now < self.next_ping:
            return
        self.next_ping = now + PING_SECONDS
        self._silent_pings += 1
        if self._silent_pings > SILENT_PINGS:
            self._log.error("the worker hangs and is killed")
            self.kill()
        elif not self._sending:
            self.send({"ping": True})

    def flush(self) -> None:
        """Send what is waiting."""
        try:
            while self._sending and self._link is not None:
                self._sending = self._sending[self._link.send(self._sending) :]
        except BlockingIOError:
            return
        except OSError:  # it has died; reap follows
            self._sending = b""

    def receive(self) -> list[dict[str, Any]]:
        """Return the worker's reports."""
        if self._link is None:
            return []
        try:
            data = self._link.recv(65536)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self._link.close()
            self._link = None
            return []
        self._silent_pings = 0
        *lines, self._received = (self._received + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def reap(self, now: float) -> bool:
        """Whether the worker has ended since the last call."""
        if self._process is None or self._process.poll() is None:
            return False
        code, self._process = self._process.returncode, None
        if self._link is not None:
            self._link.close()
            self._link = None
        if self.wanted:
            self._deaths = 0 if now - self._started > STABLE_SECONDS else self._deaths + 1
            delay = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(self._deaths - 2, 10)) if self._deaths > 1 else 0.0
            self.next_start = now + delay
            self._log.error("worker died", exit_code=code, next_start_in=delay)
        return True

    def kill(self) -> None:
        """End the worker without waiting for its requests."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
