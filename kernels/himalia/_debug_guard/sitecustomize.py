"""Loaded by Python itself in debugpy's adapter: its ports accept connections of this account only.

The folder is on the path of that process alone; see `himalia._debugger`.
"""

import socket
from typing import Any

from peers import of_this_account  # type: ignore[import-not-found]

_accept = socket.socket.accept


def accept(self: socket.socket) -> tuple[socket.socket, Any]:
    """The next connection that comes from this account; others are hung up on."""
    while True:
        connection, address = _accept(self)
        if of_this_account(connection):
            return connection, address
        connection.close()


socket.socket.accept = accept  # type: ignore[method-assign]
