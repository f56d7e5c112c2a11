"""Keeps other users of the host away from a kernel's debugger.

debugpy listens on loopback TCP ports and asks nobody who connects for a password; whoever is let in can run code in the
kernel. Its adapter, a process of its own, and the kernel's one short-lived port therefore look at the account that
connects.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

GUARD = os.path.join(os.path.dirname(os.path.realpath(__file__)), "_debug_guard")  # noqa: PTH118, PTH120


class _GuardedSocket(socket.socket):
    """A listening socket that accepts connections of this account only."""

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection that comes from this account."""
        from himalia._debug_guard.peers import of_this_account

        while True:
            connection, address = super().accept()
            if of_this_account(connection):
                return connection, address
            connection.close()


def guard() -> None:
    """Guard the debugger that ipykernel has imported; nothing to do when it has none."""
    if "debugpy.server.api" not in sys.modules:
        return
    import debugpy
    from debugpy.common import sockets

    path = os.pathsep.join(filter(None, [GUARD, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    config = getattr(sys.modules["debugpy.server.api"], "_config", None)
    if isinstance(config, dict) and isinstance(config.get("pythonEnv"), dict):
        # `configure` would read the metadata of every installed package for a log that nobody asked for: 0.3 s
        config["pythonEnv"] = environment
    else:
        debugpy.configure(pythonEnv=environment)
    create: Any = sockets.create_server

    def create_server(*arguments: Any, **options: Any) -> socket.socket:
        made = create(*arguments, **options)
        timeout = made.gettimeout()
        guarded = _GuardedSocket(fileno=made.detach())
        guarded.settimeout(timeout)
        return guarded

    sockets.create_server = create_server
