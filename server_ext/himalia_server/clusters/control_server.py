"""The holder's control socket: requests in, replies and pushed states out, one JSON object a line.

Requests: ``{"op": "state"}``, ``{"op": "scale", "workers": n}``, ``{"op": "close"}``. Each is answered by
``{"reply": op, "ok": true, "state": {…}}`` or ``{"reply": op, "ok": false, "error": "…"}``. A connected
client also gets ``{"state": {…}}`` at once and after each change.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .spec import check_workers
from .state import ClusterState

log = logging.getLogger(__name__)

_MAX_REQUEST = 65536
_MAX_UNREAD = 1 << 20  # bytes a client may leave unread before it is dropped


class ControlServer:
    """Serves one holder with its operations *state*, *scale* and *close*; *scale* refuses by ValueError."""

    def __init__(
        self,
        path: Path,
        state: Callable[[], ClusterState],
        scale: Callable[[int], None],
        close: Callable[[], None],
    ) -> None:
        self._path = path
        self._state = state
        self._scale = scale
        self._close = close
        self._writers: set[asyncio.StreamWriter] = set()
        self._conversations: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._last: bytes = b""

    async def start(self) -> None:
        """Listen (mode 0600); a socket that a killed holder left is replaced."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._accept, str(self._path), limit=_MAX_REQUEST)
        self._path.chmod(0o600)

    async def stop(self) -> None:
        """Stop listening, hang up, remove the socket."""
        self._path.unlink(missing_ok=True)
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.close()
        await asyncio.gather(*self._conversations)

    def publish(self) -> None:
        """Push the state to every client, when it differs from the last one pushed."""
        line = _line({"state": self._state().to_wire()})
        if line == self._last:
            return
        self._last = line
        for writer in list(self._writers):
            self._send(writer, line)

    def _send(self, writer: asyncio.StreamWriter, line: bytes) -> None:
        if writer.transport.get_write_buffer_size() > _MAX_UNREAD:
            log.warning("a control client does not read; it was disconnected")
            writer.transport.abort()
            return
        writer.write(line)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = asyncio.create_task(self._serve(reader, writer))
        self._conversations.add(conversation)
        conversation.add_done_callback(self._conversations.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            self._send(writer, _line({"state": self._state().to_wire()}))
            while line := await reader.readline():
                self._send(writer, _line(self._answer(line)))
                await writer.drain()
        except (ConnectionError, ValueError) as error:  # ValueError: a line longer than the limit
            log.info("control client disconnected: %s", error)
        finally:
            self._writers.discard(writer)
            writer.close()

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except ValueError:
            return _refusal(None, "the request is not valid JSON")
        if not isinstance(request, dict):
            return _refusal(None, "the request is not a JSON object")
        operation = request.get("op")
        try:
            if operation == "scale":
                self._scale(check_workers(request.get("workers")))
            elif operation == "close":
                self._close()
            elif operation != "state":
                return _refusal(operation, f"unknown operation {operation!r}; known are state, scale, close")
        except ValueError as error:
            return _refusal(operation, str(error))
        return {"reply": operation, "ok": True, "state": self._state().to_wire()}


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def _refusal(operation: object, error: str) -> dict[str, Any]:
    return {"reply": operation, "ok": False, "error": error}
