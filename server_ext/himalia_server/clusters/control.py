"""Synchronous client of a holder's control socket (newline-delimited JSON over a unix socket)."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .state import ClusterState

_CHUNK = 65536


class ControlError(Exception):
    """A holder could not be asked, or refused."""


class HolderUnreachableError(ControlError):
    """No holder listens on the socket: it has not started yet, has ended, or was killed."""


class HolderGoneError(ControlError):
    """The holder ended in the middle of the conversation."""


class ControlTimeoutError(ControlError):
    """The holder did not answer in time."""


class RequestRefusedError(ControlError):
    """The holder understood the request and refused it; the text says why."""


class _Line:
    """One connection, read line by line with a deadline."""

    def __init__(self, path: Path, timeout: float) -> None:
        self._buffer = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(str(path))
        except TimeoutError as error:
            self._socket.close()
            raise ControlTimeoutError(f"the cluster's holder does not accept on {path}") from error
        except OSError as error:
            self._socket.close()
            raise HolderUnreachableError(f"no cluster holder listens on {path}: {error.strerror}") from error

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, message: dict[str, Any]) -> None:
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except TimeoutError as error:
            raise ControlTimeoutError("the cluster's holder does not read its control socket") from error
        except OSError as error:
            raise HolderGoneError("the cluster's holder closed its control socket") from error

    def receive(self, deadline: float | None) -> dict[str, Any]:
        """Return the next message; *deadline* is on the monotonic clock, None waits for ever."""
        while b"\n" not in self._buffer:
            remaining = None if deadline is None else max(deadline - time.monotonic(), 0.001)
            self._socket.settimeout(remaining)
            try:
                data = self._socket.recv(_CHUNK)
            except TimeoutError as error:
                raise ControlTimeoutError("the cluster's holder did not answer in time") from error
            except OSError as error:
                raise HolderGoneError("the connection to the cluster's holder broke") from error
            if not data:
                raise HolderGoneError("the cluster's holder ended")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        message = json.loads(line)
        if not isinstance(message, dict):
            raise ControlError("the holder sent something that is not a JSON object")
        return message


class ClusterControl:
    """Asks the holder behind *socket*. Every call opens a connection of its own; *timeout* is in seconds."""

    def __init__(self, socket: Path | str, timeout: float = 10.0) -> None:
        self._path = Path(socket)
        self._timeout = timeout

    def state(self) -> ClusterState:
        """Return the cluster's present state."""
        return ClusterState.from_wire(self._ask({"op": "state"})["state"])

    def scale(self, workers: int) -> ClusterState:
        """Ask for *workers* workers and return the state then; they start and end in the background.

        Raises RequestRefusedError for a number that is not allowed or while the cluster is closing.
        """
        return ClusterState.from_wire(self._ask({"op": "scale", "workers": workers})["state"])

    def close(self, timeout: float = 30.0) -> None:
        """End the cluster and wait for its holder to go; ControlTimeoutError after *timeout* seconds."""
        deadline = time.monotonic() + timeout
        with _Line(self._path, self._timeout) as line:
            line.send({"op": "close"})
            while True:
                try:
                    line.receive(deadline)
                except HolderGoneError:
                    return

    def watch(self) -> Iterator[ClusterState]:
        """Yield the state now and after each change; ends when the holder does."""
        with _Line(self._path, self._timeout) as line:
            while True:
                try:
                    message = line.receive(None)
                except HolderGoneError:
                    return
                if "reply" not in message and "state" in message:
                    yield ClusterState.from_wire(message["state"])

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        deadline = time.monotonic() + self._timeout
        with _Line(self._path, self._timeout) as line:
            line.send(request)
            while True:
                message = line.receive(deadline)
                if message.get("reply") != request["op"]:
                    continue
                if not message.get("ok"):
                    raise RequestRefusedError(str(message.get("error")))
                return message
