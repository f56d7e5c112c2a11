"""The control socket: newline-delimited JSON for the service, in `RUN/control.sock` (0600).

Clients send ``{"op": "reload"}``, ``{"op": "state"}`` or ``{"op": "counts"}``. Each client gets ``{"state": …}`` when
it connects, after each change, and when it asks; ``{"counts": …}`` (`himalia_server.gateway.counts`) when it asks.
The state's ``config_version`` is that of the configuration by which requests are answered: it is told only when the
worker has taken it over.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MAX_LINE = 64 * 1024
MAX_CLIENTS = 64
PAUSE_SECONDS = 1.0


class Client:
    """One connected client. A slow one misses intermediate states, never the last one."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self._received = b""
        self._sending = b""
        self._next: bytes | None = None

    @property
    def wants_to_send(self) -> bool:
        """Whether bytes are waiting until the client reads."""
        return bool(self._sending)

    def push(self, line: bytes) -> None:
        """Send a line, instead of earlier ones that have not been begun."""
        if self._sending:
            self._next = line
        else:
            self._sending = line
        self.send()

    def send(self) -> None:
        """Send what can be sent without waiting.

        A client that does not listen any more may have said something before it left: it is dropped only
        when all of that was read.
        """
        while self._sending:
            try:
                count = self.connection.send(self._sending)
            except BlockingIOError:
                return
            except OSError:
                self._sending, self._next = b"", None
                return
            self._sending = self._sending[count:]
            if not self._sending and self._next is not None:
                self._sending, self._next = self._next, None

    def receive(self) -> list[bytes] | None:
        """Return whole lines; None when the client has gone or sends a line without end."""
        try:
            data = self.connection.recv(65536)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data or len(self._received) > MAX_LINE:
            return None
        *lines, self._received = (self._received + data).split(b"\n")
        return lines


class ControlServer:
    """The listener and its clients, driven by the parent's loop."""

    def __init__(
        self,
        path: Path,
        state: Callable[[], dict[str, Any]],
        counts: Callable[[], dict[str, Any]],
        reload: Callable[[], None],
    ) -> None:
        """*state* gives what is pushed, *counts* what is asked for; *reload* reads the configuration again."""
        self._path = path
        self._state = state
        self._counts = counts
        self._reload = reload
        self._clients: dict[int, Client] = {}
        self._accepts_at = 0.0
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self.listener.bind(str(new))
        finally:
            os.umask(before)
        self.listener.listen(16)
        new.replace(path)  # who finds it can connect
        self.listener.setblocking(False)

    def sources(self) -> list[tuple[int, bool]]:
        """File descriptors to wait for, and whether also until they take more bytes."""
        return [(fd, client.wants_to_send) for fd, client in self._clients.items()]

    @property
    def accepts(self) -> bool:
        """Whether to wait for clients: not for a moment after this process had as many files open as it may."""
        return time.monotonic() >= self._accepts_at

    def accept(self) -> None:
        """Take a new client and tell it the state."""
        try:
            connection, _ = self.listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            self._accepts_at = time.monotonic() + PAUSE_SECONDS  # it waits in the backlog
            return
        if len(self._clients) >= MAX_CLIENTS:
            connection.close()
            return
        client = self._clients[connection.fileno()] = Client(connection)
        client.push(self._line())

    def serve(self, fd: int) -> None:
        """Read from and write to the client with this file descriptor."""
        client = self._clients.get(fd)
        if client is None:
            return
        client.send()
        lines = client.receive()
        if lines is None:
            self._drop(client)
            return
        for line in lines:
            self._obey(client, line)

    def _obey(self, client: Client, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        operation = message.get("op") if isinstance(message, dict) else None
        if operation == "reload":
            self._reload()
        elif operation == "state":
            client.push(self._line())
        elif operation == "counts":
            client.push(json.dumps({"counts": self._counts()}).encode() + b"\n")
        else:
            client.push(b'{"error": "unknown message; send {\\"op\\": \\"reload\\", \\"state\\" or \\"counts\\"}"}\n')

    def push(self) -> None:
        """Tell every client the state."""
        line = self._line()
        for client in self._clients.values():
            client.push(line)

    def _line(self) -> bytes:
        return json.dumps({"state": self._state()}).encode() + b"\n"

    def _drop(self, client: Client) -> None:
        self._clients.pop(client.connection.fileno(), None)
        client.connection.close()

    def close(self) -> None:
        """Close everything and remove the socket."""
        for client in list(self._clients.values()):
            self._drop(client)
        self.listener.close()
        self._path.unlink(missing_ok=True)
