"""The worker: HTTP on the inherited listener, queues, links to replicas. Holds no state that matters.

Started by the parent with the listener and one end of a socket pair as inherited file descriptors. Over
the pair come tables, ``{"ping": true}`` and ``{"drain": seconds}``, back go reports, as JSON lines; its end
is the worker's.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import json
import os
import resource
import signal
import socket
import sys
from typing import Any, cast

from himalia._replica_life import die_with_parent
from himalia_server.gateway.application import GatewayApplication
from himalia_server.gateway.connection import Connection
from himalia_server.gateway.counts import Counts
from himalia_server.gateway.logs import Log
from himalia_server.gateway.router import Router

SWEEP_SECONDS = 0.25
MAX_LINE = 64 * 1024 * 1024


class Worker:
    """One gateway worker."""

    def __init__(self, listener: socket.socket, link: socket.socket) -> None:
        self._log = Log("worker")
        self._listener = listener
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._writer: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._router = Router(self._log, self._report)
        self._counts = Counts()
        self._application = GatewayApplication(self._router, self._counts)
        self._room = max(64, _raise_file_limit() - 64)

    async def run(self) -> None:
        """Serve until the parent says drain, or has gone."""
        reader, self._writer = await asyncio.open_connection(sock=self._link, limit=MAX_LINE)
        sweeping = asyncio.create_task(self._sweep())
        while line := await reader.readline():
            message: dict[str, Any] = json.loads(line)
            if "ping" in message:
                self._report({"pong": True})
                continue
            if "drain" in message:
                await self._drain(message["drain"])
                break
            self._router.apply(message)
            if self._server is None:  # the first table is there: addresses and keys are known
                self._server = await self._loop.create_server(self._connection, sock=self._listener)
        sweeping.cancel()

    def _connection(self) -> asyncio.Protocol:
        if len(self._connections) >= self._room:
            return _Refusal()
        return Connection(self._application, self._connections)

    def _report(self, message: dict[str, Any]) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = self._loop.time()
            self._router.sweep(now)
            self._report_counts()
            for connection in list(self._connections):
                connection.check(now)

    def _report_counts(self) -> None:
        counts = self._counts.take()
        if counts:
            self._report({"counts": counts})

    async def _drain(self, seconds: float) -> None:
        """Accept no more, answer what is here, at most for *seconds*."""
        if self._server is not None:
            self._server.close()
        end = self._loop.time() + seconds
        while self._connections and self._loop.time() < end:
            for connection in list(self._connections):
                connection.drain()
            await asyncio.sleep(0.02)
        self._report_counts()
        if self._router.unanswered:
            self._log.warning("requests were given up at the end", unanswered=self._router.unanswered)


class _Refusal(asyncio.Protocol):
    """Closes a connection for which there is no room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).abort()


def _raise_file_limit() -> int:
    """Allow as many open files as the system lets this process have; return how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)


async def _run(listener: socket.socket, link: socket.socket) -> None:
    await Worker(listener, link).run()


def main() -> int:
    """Run a worker; returns when it has drained or the parent has gone."""
    arguments = argparse.ArgumentParser(description="one worker of the Himalia gateway")
    for name in ("--listener-fd", "--link-fd", "--parent-pid"):
        arguments.add_argument(name, type=int, required=True)
    given = arguments.parse_args()
    die_with_parent(given.parent_pid, None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for fd in (given.listener_fd, given.link_fd):
        os.set_inheritable(fd, False)
    listener = socket.socket(fileno=given.listener_fd)
    link = socket.socket(fileno=given.link_fd)
    listener.setblocking(False)
    link.setblocking(False)
    factory = None
    if importlib.util.find_spec("uvloop") is not None:
        factory = importlib.import_module("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_run(listener, link))
    return 0


if __name__ == "__main__":
    sys.exit(main())
