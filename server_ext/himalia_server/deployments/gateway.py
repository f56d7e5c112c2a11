"""The service's hold on the gateway process: its config file, its child, and what it tells of itself."""

from __future__ import annotations

import json
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from ..service.children import ChildSpec
from ..service.context import Context
from ..service.environment import child_environment
from ..service.logs import last_line
from ..service.ports import free_port
from ..service.site import private_folder, write_private

log = logging.getLogger(__name__)
CHILD = "gateway"
APPLY_SECONDS = 5.0
COUNTS_SECONDS = 2.0


class GatewayProcess:
    """Starts the gateway when there is something to serve and follows its state.

    The config file is the whole contract: the gateway reads nothing else, and keeps serving by it when the service
    is down.
    """

    def __init__(self, context: Context, on_state: Callable[[dict[str, Any]], None]) -> None:
        self.context, self.on_state = context, on_state
        self.config = context.site.home / "gateway.json"
        self.run_dir = context.site.runtime / "gw"
        self.port = context.settings.gateway_port or int(context.site.remembered().get("gateway_port", 0))
        self.state: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._told = threading.Condition()
        self._follower: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where clients send predictions."""
        return f"http://127.0.0.1:{self.port}"

    def alive(self) -> bool:
        """Whether the gateway's process lives."""
        return self.context.children.alive(CHILD)

    def told_of(self, name: str) -> dict[str, Any]:
        """What the gateway told last of an endpoint's revisions, by their ids."""
        return dict(self.state.get("deployments", {}).get(name, {}).get("revisions", {}))

    def wait_applied(self, version: int) -> None:
        """Wait until a running gateway has taken a config over (at most `APPLY_SECONDS`): then a new token works, and
        a revoked one does not."""
        with self._told:
            self._told.wait_for(lambda: self.state.get("config_version", 0) >= version, APPLY_SECONDS)

    def apply(self, deployments: list[dict[str, Any]]) -> int:
        """Make the gateway serve exactly these, and start it when there is one. Returns the config's version."""
        with self._lock:
            if not self.port:
                self.port = free_port()
                self.context.site.remember(gateway_port=self.port)
            document: dict[str, Any] = {
                "version": self._next_version(),
                "listen": {"host": "127.0.0.1", "port": self.port},
                "deployments": deployments,
            }
            write_private(self.config, json.dumps(document))
            if not deployments and not self.alive():
                return 0
            if not self.alive():
                self._start()
            else:
                self._send({"op": "reload"})
            if self._follower is None or not self._follower.is_alive():
                self._follower = threading.Thread(target=self._follow, name="gateway-state", daemon=True)
                self._follower.start()
        return int(document["version"])

    def _next_version(self) -> int:
        """Above the one before, also when the clock was put back: else nobody could tell which one is applied."""
        try:
            before = int(json.loads(self.config.read_text())["version"])
        except (OSError, ValueError, KeyError, TypeError):
            before = 0
        return max(before + 1, time.time_ns() // 1000)

    def stop(self) -> None:
        """End the gateway."""
        self.context.children.stop(CHILD)
        self.context.children.forget(CHILD)
        self.state = {}

    def _start(self) -> None:
        private_folder(self.run_dir)
        command = [sys.executable, "-m", "himalia_server.gateway"]
        self.context.children.ensure(
            ChildSpec(
                name=CHILD,
                argv=[*command, "--config", str(self.config), "--run-dir", str(self.run_dir)],
                env=child_environment(),
                cwd=str(self.context.site.home),
                keep=True,
                grace=25.0,
                sockets=[str(self.run_dir / "control.sock")],
            )
        )

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(self.run_dir / "control.sock"))
        except OSError:
            connection.close()
            raise
        return connection

    def _send(self, message: dict[str, str]) -> None:
        try:
            with self._connect() as connection:
                connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            # it is starting, and then reads the file anyway
            log.info("gateway not reachable for a reload")

    def counts(self) -> dict[str, Any]:
        """Requests since the gateway's start (`himalia_server.gateway.counts.Counts.total`); {} when it is away."""
        try:
            with self._connect() as connection:
                connection.settimeout(COUNTS_SECONDS)
                connection.sendall(b'{"op": "counts"}\n')
                with connection.makefile("rb") as lines:
                    for line in lines:
                        message = json.loads(line)
                        if "counts" in message:
                            return dict(message["counts"])
        except OSError:
            pass  # it is not there, starts, or hangs: a reading of numbers is not the place to say so
        return {}

    def _follow(self) -> None:
        while self.context.children.get(CHILD) is not None and not self.context.stopping.is_set():
            try:
                for message in self._messages():
                    if "state" in message:
                        self._take(message["state"])
                if self.state:
                    self._take({})
            except Exception:
                log.exception("the gateway's state could not be recorded; it is read again")
            self.context.stopping.wait(0.1)

    def _take(self, state: dict[str, Any]) -> None:
        with self._told:
            self.state = state
            self._told.notify_all()
        self.on_state(state)

    def _messages(self) -> Iterator[dict[str, Any]]:
        try:
            with self._connect() as connection, connection.makefile("rb") as lines:
                for line in lines:
                    yield json.loads(line)
        except OSError:
            return

    def explain(self) -> str | None:
        """Why the gateway does not run, from its log's last line; None when it runs."""
        child = self.context.children.get(CHILD)
        if child is None or child.exit is None:
            return None
        return last_line(self.context.site.log(CHILD)) or child.exit.sentence
